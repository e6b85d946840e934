"""Point tracks: those of TAP-Vid-Kubric on the fixture, exact ones on made scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from movi.made_movi import made_features
from probe4d.errors import DataError, UsageError
from probe4d_datasets.formats.record_index import record_of
from probe4d_datasets.formats.tf_example import encode_example
from probe4d_datasets.movi.queries import QueryDraw, draw_queries, quotas
from probe4d_datasets.movi.record import Record, open_record
from probe4d_datasets.movi.targets import points_of, scene_of
from probe4d_datasets.movi.tracks import Surface, anchor, follow, rotations, smooth
from probe4d_datasets.own.options import settings
from probe4d_datasets.own.root import Root

FILES = {
    "train0": "movi_e-train.tfrecord-00000-of-00002",
    "train1": "movi_e-train.tfrecord-00001-of-00002",
    "validation2": "movi_e-validation.tfrecord-00000-of-00001",
}


def tracked(record: Record, queries: np.ndarray, frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and occlusion of given pixels at these frames."""
    every = range(record.length)
    distance = record.metres(record.images("depth", every)[..., 0])
    segments = record.images("segmentations", every)[..., 0]
    normals, coordinates = record.images("normal", every), record.images("object_coordinates", every)
    scene = scene_of(record, segments.shape[1:], "tapvid")
    surfaces = {t: Surface(distance[t], segments[t], normals[t], coordinates[t]) for t in every}
    anchors = anchor(scene, surfaces, queries)
    chosen = list(frames)
    return follow(scene, anchors, chosen, distance[chosen], segments[chosen])


def opened(tfds: Path, tag: str) -> Record:
    return open_record(record_of(Root(str(tfds)), f"movi_e/28x28/1.0.0/{FILES[tag]}", 0, tag), ("points",), tag)


@pytest.mark.parametrize("tag", FILES)
def test_tracks_are_those_of_the_official_code(tag: str, tfds: Path, expected: dict[str, np.ndarray]) -> None:
    record = opened(tfds, tag)
    positions, occluded = tracked(record, expected[f"{tag}/query_tyx_pixel"], range(record.length))
    assert np.abs(positions - expected[f"{tag}/tapvid_tracks_xy_px"]).max() <= 1e-3
    np.testing.assert_array_equal(occluded, expected[f"{tag}/tapvid_occluded"])


@pytest.mark.parametrize("tag", FILES)
def test_tracks_are_near_the_ray_cast_truth(tag: str, tfds: Path, expected: dict[str, np.ndarray]) -> None:
    positions, occluded = tracked(opened(tfds, tag), expected[f"{tag}/query_tyx_pixel"], range(24))
    assert np.abs(positions - expected[f"{tag}/analytic_tracks_xy_px"]).max() <= 1e-3
    # The rest are the edge rules of the algorithm: it looks at the four pixels around.
    assert (occluded == ~expected[f"{tag}/analytic_visible"]).mean() >= 0.95


def test_tracks_of_some_frames_are_those_of_all_at_these_frames(tfds: Path, expected: dict[str, np.ndarray]) -> None:
    record, queries = opened(tfds, "train0"), expected["train0/query_tyx_pixel"]
    positions, occluded = tracked(record, queries, range(24))
    frames = [7, 3, 3, 20]
    some, hidden = tracked(record, queries, frames)
    np.testing.assert_array_equal(some, positions[:, frames])
    np.testing.assert_array_equal(hidden, occluded[:, frames])


@pytest.mark.parametrize(("frames", "size", "wanted"), [(6, 16, None), (3, 40, None), (5, 0, (24, 40))])
def test_a_made_scene_of_any_size_and_length_is_followed_exactly(frames: int, size: int, wanted: tuple | None) -> None:
    record = open_record(encode_example(made_features(frames, size, wanted=wanted)), ("points",), "made")
    height, width = wanted or (size, size)
    segments = record.images("segmentations", [0])[0, :, :, 0]
    y, x = (axis.ravel() for axis in np.mgrid[:height, :width])
    queries = np.stack([np.zeros_like(y), y, x], axis=1)
    positions, occluded = tracked(record, queries, range(frames))
    on_box = segments[y, x] == 1
    shift = np.where(on_box, 0.1 / 3 * width, 0.0)[:, None] * np.arange(frames)
    want = np.stack([x[:, None] + 0.5 + shift, np.broadcast_to(y[:, None] + 0.5, shift.shape)], -1)
    np.testing.assert_allclose(positions, want, atol=0.02)
    assert not occluded[:, 0].any()
    inside = (want[..., 0] <= width) & on_box[:, None]
    assert not occluded[inside].any()
    # What the box comes to stand before is occluded: its depth says so.
    last = record.images("segmentations", [frames - 1])[0, :, :, 0]
    covered = ~on_box & (last[y, x] == 1)
    edge = np.zeros_like(covered)  # where one of the pixels around is not the box's
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            edge |= last[(y + dy).clip(0, height - 1), (x + dx).clip(0, width - 1)] == 0
    assert occluded[covered & ~edge, -1].all()


def test_a_surface_that_turned_away_is_hidden_unless_its_normals_are_rough() -> None:
    features = made_features(frames=2, size=24)
    half = np.sqrt(0.5)
    # The second orientation is a half turn about y; the stored boxes stay, so that only the normal tells.
    features["instances/quaternions"] = np.array([1, 0, 0, 0, 0, 0, 1, 0], np.float32)
    assert half > 0
    record = open_record(encode_example(features), ("points",), "made")
    queries = np.array([[0, 12, 9], [0, 2, 2]])
    _, occluded = tracked(record, queries, [0, 1])
    assert occluded.tolist() == [[False, True], [False, False]]
    rough = np.random.default_rng(0).integers(0, 65536, (24, 24, 3)).astype(np.uint16)
    assert smooth(np.full((24, 24, 3), 40000, np.uint16))[1:-1, 1:-1].all()
    assert not smooth(rough)[1:-1, 1:-1].any()


def test_a_point_behind_the_camera_is_hidden_and_finite() -> None:
    features = made_features(frames=2)
    features["camera/positions"] = np.array([0, 0, 0, 0, 0, -20], np.float32)  # beyond the wall
    record = open_record(encode_example(features), ("points",), "made")
    fields = points_of(record, [0, 1], QueryDraw(max_share=1.0), "tapvid", "a")
    assert fields["visible"][:, 0].all()
    assert not fields["visible"][:, 1].any()
    assert np.isfinite(fields["tracks"]).all()


def test_quaternions_become_rotations() -> None:
    half = np.sqrt(0.5)
    quarter = rotations(np.array([half, 0, 0, half]))  # about z
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(rotations(np.array([[0, 1, 0, 0]]))[0], np.diag([1, -1, -1]), atol=1e-6)


@pytest.mark.parametrize(
    ("counts", "tracks", "share", "want"),
    [
        ([900, 100], 64, 0.1, [54, 10]),  # the small one gives its tenth, the background what is left
        ([4096, 0, 0], 64, 0.1, [64, 0, 0]),
        ([500, 500, 500, 500], 64, 1.0, [16, 16, 16, 16]),
        ([40, 9], 64, 0.1, [4, 1]),
        ([10, 5], 5, 1.0, [3, 2]),  # half of 5 rounds to the even 2, as in the original
    ],
)
def test_small_objects_get_their_share_first(counts: list[int], tracks: int, share: float, want: list[int]) -> None:
    assert quotas(np.array(counts), QueryDraw(tracks=tracks, max_share=share)) == want


def test_draws_are_the_same_everywhere_and_differ_by_name_frame_and_seed() -> None:
    segments = np.random.default_rng(1).integers(0, 4, (3, 64, 64)).astype(np.uint8)
    draw = QueryDraw(max_share=1.0)
    one = draw_queries(segments[:1], np.array([5]), draw, "a")
    np.testing.assert_array_equal(one, draw_queries(segments[:1], np.array([5]), draw, "a"))
    assert one.shape == (64, 3)
    assert set(one[:, 0]) == {5}
    for other in (
        draw_queries(segments[:1], np.array([5]), draw, "b"),
        draw_queries(segments[:1], np.array([6]), draw, "a"),
        draw_queries(segments[:1], np.array([5]), QueryDraw(max_share=1.0, seed=1), "a"),
    ):
        assert not np.array_equal(one[:, 1:], other[:, 1:])
    grid = draw_queries(segments[:1], np.array([0]), QueryDraw(replacement=False, max_share=1.0, tracks=256), "a")
    assert len(np.unique(grid, axis=0)) == len(grid) == 256
    assert len(np.unique(grid[:, 1] % 4)) == len(np.unique(grid[:, 2] % 4)) == 1
    anywhere = draw_queries(np.zeros((9, 64, 64), np.uint8), np.arange(9), QueryDraw(on="any"), "a")
    assert len(set(anywhere[:, 0])) > 1


def test_segments_beyond_the_limit_are_never_drawn() -> None:
    segments = np.full((1, 32, 32), 30, np.uint8)
    segments[0, :16] = 0
    drawn = draw_queries(segments, np.array([0]), QueryDraw(max_share=1.0), "a")
    assert len(drawn)
    assert (drawn[:, 1] < 16).all()


@pytest.mark.parametrize(
    "options",
    [
        {"tracks": 0},
        {"stride": True},
        {"max_share": 0},
        {"max_share": 1.5},
        {"on": "last"},
        {"replacement": 1},
        {"track": 3},
    ],
)
def test_options_of_the_draw_are_checked(options: dict) -> None:
    with pytest.raises(UsageError, match="queries"):
        settings(QueryDraw, options, "movi_e queries")


def test_a_segment_without_a_box_is_refused() -> None:
    features = made_features(frames=2)
    features["instances/bboxes_3d"] = np.zeros(0, np.float32)
    features["instances/quaternions"] = np.zeros(0, np.float32)
    record = open_record(encode_example(features), ("points",), "made")
    with pytest.raises(DataError, match="expected segments up to 0, got 1"):
        points_of(record, [0], QueryDraw(), "tapvid", "a")
