"""Clips and augmentations: what is done to the pixels is done to the truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from probe4d.contracts import Sample
from probe4d.errors import DataError, UsageError
from probe4d.specs import ClipSampling
from probe4d_datasets.clips import Window, apply_window, choose_window, clip_indices, clip_seed, prepare

SIZES = st.tuples(st.integers(8, 64), st.integers(8, 64))
SAMPLINGS = st.builds(
    ClipSampling,
    size=SIZES,
    fit=st.sampled_from(["center", "stretch"]),
    augment=st.lists(st.sampled_from(["random-crop", "area-crop", "flip"]), unique=True),
)


def scene(frame: tuple[int, int], seed: int = 0, n: int = 6, t: int = 3) -> Sample:
    """Return a sample of points in front of a moving camera: pixels blank, everything else exact."""
    random = np.random.default_rng(seed)
    height, width = frame
    world = random.uniform((-1, -1, 2), (1, 1, 5), (n, 3))
    extrinsics = np.concatenate([np.broadcast_to(np.eye(3), (t, 3, 3)), random.normal(0, 0.1, (t, 3, 1))], axis=2)
    intrinsics = np.broadcast_to([[width, 0.1, width / 2], [0, width * 0.9, height / 2], [0, 0, 1.0]], (t, 3, 3))
    tracks = project(world, extrinsics, intrinsics)
    inside = ((tracks >= 0) & (tracks < (width, height))).all(-1)
    low = random.uniform(0, 0.5, (2, t, 2))
    boxes = np.concatenate([low, low + random.uniform(0.05, 0.4, (2, t, 2))], axis=-1)
    queries = np.concatenate([np.zeros((n, 1)), tracks[:, 0, ::-1]], axis=1)
    targets = {
        "points": {"tracks": tracks, "visible": inside, "query_points": queries},
        "boxes": {"boxes": boxes, "present": np.ones((2, t), bool)},
        "pose": {"extrinsics": extrinsics, "intrinsics": intrinsics},
        "labels": {"label": np.array(3)},
    }
    return Sample(id="scene", video=np.zeros((t, *frame, 3), np.uint8), targets=targets, provenance={"world": world})


def project(world, extrinsics, intrinsics):
    """Return the tracks (n, t, 2) of world points (n, 3)."""
    camera = np.einsum("tij,nj->nti", extrinsics[:, :, :3], world) + extrinsics[None, :, :, 3]
    pixels = np.einsum("tij,ntj->nti", intrinsics, camera)
    return pixels[..., :2] / pixels[..., 2:]


@settings(deadline=None)
@given(SIZES, SAMPLINGS, st.integers(0, 2**32))
def test_projection_after_the_window_is_the_window_of_the_projection(frame, sampling, seed):
    sample = scene(frame, seed % 1000)
    window = choose_window(frame, sampling, seed)
    placed = apply_window(sample, window)
    world = sample.provenance["world"] * ((-1, 1, 1) if window.flip else (1, 1, 1))
    pose = placed.targets["pose"]
    again = project(world, pose["extrinsics"], pose["intrinsics"])
    np.testing.assert_allclose(placed.targets["points"]["tracks"], again, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(placed.targets["points"]["query_points"][:, 1:], again[:, 0, ::-1], atol=1e-6)
    assert placed.video.shape[1:3] == tuple(sampling.size)


@settings(deadline=None)
@given(SIZES, SAMPLINGS, st.integers(0, 2**32))
def test_a_box_around_points_stays_around_them(frame, sampling, seed):
    sample = scene(frame, seed % 1000)
    tracks = sample.targets["points"]["tracks"]
    scale = np.array([frame[0], frame[1]])
    low, high = tracks.min(0)[:, ::-1] / scale, tracks.max(0)[:, ::-1] / scale
    around = {"boxes": np.concatenate([low, high], -1)[None], "present": np.ones((1, len(low)), bool)}
    placed = apply_window(
        Sample(id="x", video=sample.video, targets={**sample.targets, "boxes": around}),
        choose_window(frame, sampling, seed),
    )
    moved = placed.targets["points"]["tracks"][..., ::-1] / np.array(placed.video.shape[1:3])
    boxes = placed.targets["boxes"]["boxes"][0]
    np.testing.assert_allclose(boxes[:, :2], np.clip(moved.min(0), 0, 1), atol=1e-9)
    np.testing.assert_allclose(boxes[:, 2:], np.clip(moved.max(0), 0, 1), atol=1e-9)


@given(SIZES, st.integers(0, 2**32))
def test_flipping_twice_changes_nothing(frame, seed):
    sample = scene(frame, seed % 1000)
    flip = Window(top=0, left=0, height=frame[0], width=frame[1], size=frame, flip=True)
    twice = apply_window(apply_window(sample, flip), flip)
    for kind, fields in sample.targets.items():
        for name, value in fields.items():
            if name not in ("visible", "present"):
                np.testing.assert_allclose(twice.targets[kind][name], value, atol=1e-9)


@given(SIZES)
def test_a_sample_of_the_right_size_is_left_as_it_is(frame):
    sample = scene(frame)
    depth = {"depth": np.random.default_rng(0).random((3, *frame)), "valid": np.ones((3, *frame), bool)}
    sample = Sample(id="x", video=sample.video, targets={**sample.targets, "depth": depth})
    placed = prepare(sample, ClipSampling(size=frame), seed=0)
    assert placed.video is sample.video or np.array_equal(placed.video, sample.video)
    for kind, fields in sample.targets.items():
        for name, value in fields.items():
            np.testing.assert_allclose(placed.targets[kind][name], value, atol=1e-9)


def test_depth_takes_the_nearest_pixel_and_its_validity():
    depth = np.arange(16.0).reshape(1, 4, 4)
    valid = depth % 2 == 0
    sample = Sample(id="x", video=np.zeros((1, 4, 4, 3), np.uint8), targets={"depth": {"depth": depth, "valid": valid}})
    placed = apply_window(sample, Window(top=1, left=1, height=2, width=2, size=(4, 4)))
    assert placed.targets["depth"]["depth"][0, 0].tolist() == [5, 5, 6, 6]
    assert placed.targets["depth"]["valid"][0, 0].tolist() == [False, False, True, True]
    mirrored = apply_window(sample, Window(top=0, left=0, height=4, width=4, size=(4, 4), flip=True))
    assert mirrored.targets["depth"]["depth"][0, 0].tolist() == [3, 2, 1, 0]


def test_pixels_and_tracks_move_together():
    video = np.zeros((1, 40, 60, 3), np.uint8)
    video[0, 20:24, 30:34] = 255
    tracks = np.array([[[32.0, 22.0]]])
    fields = {"tracks": tracks, "visible": np.ones((1, 1), bool), "query_points": np.array([[0, 22.0, 32.0]])}
    sample = Sample(id="x", video=video, targets={"points": fields})
    checked = 0
    for seed in range(40):
        sampling = ClipSampling(size=(32, 32), augment=("area-crop", "flip"))
        placed = prepare(sample, sampling, seed)
        x, y = placed.targets["points"]["tracks"][0, 0]
        if not (4 < x < 28 and 4 < y < 28):  # else the crop cuts the square, and its middle moves
            continue
        checked += 1
        rows, columns = np.nonzero(placed.video[0, :, :, 0] > 100)
        assert abs(columns.mean() + 0.5 - x) < 1.0
        assert abs(rows.mean() + 0.5 - y) < 1.0
    assert checked > 10


@given(
    st.integers(1, 200),
    st.builds(
        ClipSampling,
        frames=st.integers(1, 20),
        stride=st.integers(1, 5),
        start=st.sampled_from(["random", "first", "center", "even"]),
        clips=st.integers(1, 4),
    ),
    st.integers(0, 2**63),
)
def test_frames_are_in_the_video_a_stride_apart_and_clamped_at_its_end(length, sampling, seed):
    for clip in range(sampling.clips):
        frames = clip_indices(length, sampling, seed, clip)
        assert len(frames) == sampling.frames
        assert frames[0] >= 0
        for before, after in itertools.pairwise(frames):
            assert after == min(before + sampling.stride, length - 1)
        assert frames == clip_indices(length, sampling, seed, clip)


def test_a_short_video_repeats_its_last_frame_begins_again_or_is_refused():
    sampling = ClipSampling(frames=6, stride=2, start="first")
    assert clip_indices(5, sampling, 0) == (0, 2, 4, 4, 4, 4)
    assert clip_indices(5, evolve(sampling, short="loop"), 0) == (0, 2, 4, 1, 3, 0)
    with pytest.raises(DataError, match="expected a video of 11 frames, got 10"):
        clip_indices(10, evolve(sampling, short="refuse"), 0)
    assert clip_indices(11, evolve(sampling, short="refuse"), 0) == (0, 2, 4, 6, 8, 10)
    with pytest.raises(UsageError, match="short"):
        ClipSampling(short="stop")


def test_labels_are_never_mirrored():
    with pytest.raises(UsageError, match="expected no flip with labels"):
        prepare(scene((8, 8)), ClipSampling(size=(8, 8), augment=("flip",)), 0)


def test_evenly_spaced_clips_cover_the_video():
    sampling = ClipSampling(frames=10, start="even", clips=4)
    starts = [clip_indices(90, sampling, 0, clip)[0] for clip in range(4)]
    assert starts == [10, 30, 50, 70]


def test_the_center_clip_leaves_as_much_before_as_after():
    frames = clip_indices(61, ClipSampling(frames=16, stride=2, start="center"), 0)
    assert (frames[0], frames[-1]) == (15, 45)


def test_an_empty_video_is_refused():
    with pytest.raises(DataError, match="expected a video with frames"):
        clip_indices(0, ClipSampling(), 0)


def test_an_unknown_augmentation_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'random-crop'"):
        choose_window((8, 8), ClipSampling(augment=("random_crop",)), 0)


def test_seeds_differ_by_sample_and_view_and_nothing_else():
    seeds = {clip_seed(seed, sample, view) for seed in (0, 1) for sample in ("a", "b") for view in (0, 1)}
    assert len(seeds) == 8
    assert clip_seed(0, "a", 0) == clip_seed(0, "a", 0)


def test_random_crops_cover_the_paper_ranges():
    sampling = ClipSampling(size=(224, 224), augment=("area-crop",))
    windows = [choose_window((256, 256), sampling, seed) for seed in range(300)]
    areas = np.array([window.height * window.width for window in windows]) / 256**2
    aspects = np.array([window.width / window.height for window in windows])
    assert areas.min() >= 0.29
    assert areas.max() <= 1.0
    assert areas.std() > 0.15
    assert aspects.min() >= 0.48
    assert aspects.max() <= 2.05
    margin = ClipSampling(size=(224, 224), augment=("random-crop",))
    assert choose_window((239, 320), margin, 0).height == pytest.approx(224)


def test_colours_change_together_over_a_clip_and_keep_gray_gray():
    video = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8), 3, axis=0)
    sample = Sample(id="x", video=video)
    changed = 0
    for seed in range(40):
        out = prepare(sample, ClipSampling(size=(8, 8), augment=("colour-jitter", "grayscale")), seed).video
        assert (out[0] == out[1]).all()
        changed += bool((out != video).any())
    assert 25 <= changed <= 40
    gray = Sample(id="x", video=np.full((2, 4, 4, 3), 100, np.uint8))
    out = prepare(gray, ClipSampling(size=(4, 4), augment=("colour-jitter",)), 3).video
    assert np.ptp(out.astype(int), axis=-1).max() <= 1
