"""Waymo: every expected value of the fixture, from both releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probe4d.builtin.datasets.waymo import DATASETS
from probe4d.testing import Given, check_dataset
from probe4d_datasets.waymo.boxes import Placement, in_crop, pixel_tracks
from probe4d_datasets.waymo.dataset import Waymo
from probe4d_datasets.waymo.frames import CAMERAS
from published_fixtures import elsewhere, frame_codes, thumbs

CONTEXTS = {
    "training": "1317510458029101274_1022_000_1042_000",
    "validation": "1146818987720289551_3068_000_3088_000",
}
RAW = {"resize": None, "crop": None, "tracks": "all"}
both = pytest.mark.parametrize("release", ["v1", "v2"])
splits = pytest.mark.parametrize("split", CONTEXTS)


@both
def test_the_dataset_passes_every_check(release: str, data: Path) -> None:
    results = check_dataset(DATASETS[0], given=Given(roots={"waymo": str(data / release)}))
    assert {result.status for result in results} == {"passed"}, [r for r in results if r.status != "passed"]


@both
@splits
def test_segments_and_frames_are_those_stated(release: str, split: str, data: Path, facts: dict[str, Any]) -> None:
    waymo = Waymo(data / release, split)
    context = CONTEXTS[split]
    assert list(waymo.sample_ids()) == [context] == [c for c, f in facts.items() if f["split"] == split]
    assert waymo.num_frames(context) == facts[context]["frames"]
    assert waymo.facts["options"]["version"] == release


@both
@splits
def test_every_front_box_is_where_it_was_labelled(
    release: str, split: str, data: Path, facts: dict[str, Any], expected: dict[str, np.ndarray]
) -> None:
    context = CONTEXTS[split]
    segment = Waymo(data / release, split)._segment(context)
    frames = segment.read(range(segment.length()), CAMERAS["front"], images=False)
    assert [frame.timestamp for frame in frames] == expected[f"{context}/timestamps"].tolist()
    ids = facts[context]["front_ids"]
    assert {name for frame in frames for name in frame.boxes} == set(ids)
    want = expected[f"{context}/front_boxes_cxcywh_px"]
    for number, frame in enumerate(frames):
        for row, name in enumerate(ids):
            if np.isnan(want[row, number]).any():
                assert name not in frame.boxes
            else:
                np.testing.assert_array_equal(frame.boxes[name][:4], want[row, number])
                assert frame.boxes[name].type == expected[f"{context}/front_types"][row]
    corners = pixel_tracks(frames, ids)
    half = want[..., 2:] / 2
    np.testing.assert_allclose(corners, np.concatenate([want[..., :2] - half, want[..., :2] + half], -1))


@both
@splits
def test_images_are_read_at_their_true_size(
    release: str, split: str, data: Path, facts: dict[str, Any], expected: dict[str, np.ndarray]
) -> None:
    context = CONTEXTS[split]
    sample = Waymo(data / release, split, **RAW).load(context)
    width, height = facts[context]["front_wh"]
    assert sample.video.shape == (facts[context]["frames"], height, width, 3)
    assert sample.provenance["image"] == [height, width]
    assert np.abs(thumbs(sample.video) - expected[f"{context}/front_thumb"].astype(float)).max() <= 1
    first = facts[context]["code0"]
    assert frame_codes(sample.video) == [first + number for number in range(len(sample.video))]


@both
@splits
@pytest.mark.parametrize("start", [0, 5])
def test_clips_at_5_hz_are_cropped_and_filtered_as_expected(
    release: str, split: str, start: int, data: Path, facts: dict[str, Any], expected: dict[str, np.ndarray]
) -> None:
    context, tag = CONTEXTS[split], f"{CONTEXTS[split]}/eval{start}"
    frames = expected[f"{tag}/idx"].tolist()
    assert frames == list(range(start, start + 32, 2))
    waymo = Waymo(data / release, split, max_boxes=None)
    sample = waymo.load(context, frames)
    assert sample.video.shape == (16, 256, 256, 3)
    ids = facts[context]["front_ids"]
    kept = sample.provenance["ids"]
    assert set(kept) == set(facts[context][f"eval{start}_kept_ids"])
    assert set(kept) == {name for name, keep in zip(ids, expected[f"{tag}/keep"], strict=True) if keep}
    rows = [ids.index(name) for name in kept]
    want = expected[f"{tag}/xyxy_norm_clipped"][rows]
    boxes, present = sample.targets["boxes"]["boxes"], sample.targets["boxes"]["present"]
    size = (want[..., 2] - want[..., 0]) * (want[..., 3] - want[..., 1])
    np.testing.assert_array_equal(present, size > 0)  # a comparison with NaN is false: absent
    np.testing.assert_allclose(boxes[present], want[..., [1, 0, 3, 2]][present], atol=1e-6)
    area = (boxes[:, 0, 2] - boxes[:, 0, 0]) * (boxes[:, 0, 3] - boxes[:, 0, 1])
    np.testing.assert_allclose(area, expected[f"{tag}/area_first"][rows], atol=1e-6)
    # Before clipping, in pixels of the crop.
    height, width = facts[context]["front_wh"][::-1]
    clip = waymo._segment(context).read(frames, CAMERAS["front"], images=False)
    pixels = in_crop(pixel_tracks(clip, ids), Placement((height, width), (256, 384), (256, 256)))
    np.testing.assert_allclose(pixels, expected[f"{tag}/xyxy_crop_px_unclipped"], atol=1e-8)


@splits
@pytest.mark.parametrize("options", [{}, RAW, {"camera": "side_right", "missing_images": "black"}], ids=str)
def test_both_releases_give_identical_samples(split: str, options: dict, data: Path) -> None:
    context = CONTEXTS[split]
    one, other = (Waymo(data / release, split, **options).load(context) for release in ("v1", "v2"))
    np.testing.assert_array_equal(one.video, other.video)
    for name, value in one.targets["boxes"].items():
        np.testing.assert_array_equal(value, other.targets["boxes"][name])
    told_by_v1_alone = {"root", "unlabelled"}
    for key in one.provenance.keys() - told_by_v1_alone - {"options"}:
        assert one.provenance[key] == other.provenance[key], key
    assert one.provenance["options"] | {"version": "v2"} == other.provenance["options"]


@both
def test_of_more_than_25_boxes_the_largest_count_and_the_others_are_named(
    release: str, data: Path, facts: dict[str, Any], expected: dict[str, np.ndarray]
) -> None:
    context = CONTEXTS["validation"]
    sample = Waymo(data / release, "validation").load(context, range(0, 32, 2))
    eligible = facts[context]["eval0_kept_ids"]
    assert len(eligible) == 27
    area = dict(zip(facts[context]["front_ids"], expected[f"{context}/eval0/area_first"], strict=True))
    largest = sorted(eligible, key=lambda name: -area[name])[:25]
    assert sample.provenance["ids"] == sorted(largest)
    stages = {stage["stage"]: stage for stage in sample.provenance["stages"]}
    assert stages["the largest in the first frame"]["kept"] == 25
    assert set(stages["the largest in the first frame"]["left_out"]) == set(eligible) - set(largest)
    assert stages["area in the first frame"]["kept"] == 27
    assert stages["area in the first frame"]["min_area"] == 0.005
    assert sample.targets["boxes"]["boxes"].shape == (25, 16, 4)


def test_unlabelled_and_empty_frames_are_told_apart_where_the_release_does(data: Path, facts: dict[str, Any]) -> None:
    for split, context in CONTEXTS.items():
        one, other = (Waymo(data / release, split, **RAW).load(context) for release in ("v1", "v2"))
        unlabelled, empty = facts[context]["unlabelled_frame"], facts[context]["empty_frame"]
        assert one.provenance["unlabelled"] == ([] if unlabelled is None else [unlabelled])
        assert other.provenance["unlabelled"] is None
        bare = [frame for frame in (unlabelled, empty) if frame is not None]
        assert one.provenance["without_boxes"] == other.provenance["without_boxes"] == bare
        assert not one.targets["boxes"]["present"][:, bare].any()


@both
def test_a_missing_image_costs_the_clips_that_have_its_frame(release: str, data: Path, facts: dict[str, Any]) -> None:
    from probe4d.errors import DataError

    for split, context in CONTEXTS.items():
        frame, camera = facts[context]["missing_image"]
        name = next(key for key, number in CAMERAS.items() if number == camera)
        waymo = Waymo(data / release, split, camera=name)
        assert waymo.num_frames(context) == facts[context]["frames"]  # the frame is there, its image is not
        waymo.load(context, [frame - 1, frame + 1])
        with pytest.raises(DataError, match=rf"{name}, frame {frame}: expected an image, got none"):
            waymo.load(context, [frame - 1, frame])
        black = Waymo(data / release, split, camera=name, missing_images="black").load(context, [frame, frame + 1])
        assert black.video[0].max() == 0
        assert black.video[1].max() > 0


@both
def test_any_place_gives_the_same(release: str, data: Path, tmp_path: Path) -> None:
    context = CONTEXTS["training"]
    truth = Waymo(data / release, "training").load(context, [4, 6])
    roots = elsewhere(data / release, tmp_path)
    for url in (roots["memory"], roots["zip"], roots["tar"]):
        sample = Waymo(url, "training").load(context, [4, 6])
        np.testing.assert_array_equal(sample.video, truth.video)
        np.testing.assert_array_equal(sample.targets["boxes"]["boxes"], truth.targets["boxes"]["boxes"])
