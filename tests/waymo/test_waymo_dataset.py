"""Waymo: made segments of other sizes and structures, rules one by one, and what is broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from probe4d.errors import DataError, UsageError
from probe4d_datasets.formats.tfrecord import frame_record
from probe4d_datasets.formats.wire import encode_field
from probe4d_datasets.waymo.boxes import Placement, select_tracks
from probe4d_datasets.waymo.dataset import Waymo
from waymo.made_waymo import Moment, frame, jpeg, labels, write_both

CONTEXT = "1_000_0_000"
WHOLE = {"resize": None, "crop": None, "min_area": None, "max_boxes": None}


def moments(count: int = 4) -> list[Moment]:
    """A vehicle that moves right and a cyclist that comes and goes, at 10 Hz."""
    made = []
    for number in range(count):
        boxes = {"b-car": (40.0 + number, 32.0, 30.0, 20.0, 1)}
        if number % 2 == 0:
            boxes["a-bike"] = (20.0, 40.0, 10.0, 16.0, 4)
        turned = dict(reversed(boxes.items())) if number % 3 else boxes  # the order of labels changes
        side = {"b-car": (5.0, 5.0, 4.0, 4.0, 2)}  # the same id in another camera is another object
        made.append(Moment(1_000_000 + 100_000 * number, {1: turned, 5: side}))
    return made


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (128, 192)])
@pytest.mark.parametrize("count", [1, 7])
def test_segments_of_any_size_and_length_give_the_same_from_both_releases(
    size: tuple[int, int], count: int, tmp_path: Path
) -> None:
    v1, v2 = write_both(tmp_path, moments(count), size=size)
    for options in (WHOLE, {"resize": [32, 48], "crop": None, "min_area": None}, {}):
        one, other = Waymo(v1, **options).load(CONTEXT), Waymo(v2, **options).load(CONTEXT)
        np.testing.assert_array_equal(one.video, other.video)
        for name in ("boxes", "present"):
            np.testing.assert_array_equal(one.targets["boxes"][name], other.targets["boxes"][name])
        assert one.provenance["ids"] == other.provenance["ids"]
        assert "b-car" in one.provenance["ids"]
    sample = Waymo(v1, **WHOLE).load(CONTEXT)
    assert (sample.provenance["ids"], sample.provenance["types"]) == (["a-bike", "b-car"], ["cyclist", "vehicle"])
    height, width = size
    assert sample.video.shape == (count, height, width, 3)
    want = np.array([(32 - 10) / height, (40 - 15) / width, (32 + 10) / height, (40 + 15) / width])
    np.testing.assert_allclose(sample.targets["boxes"]["boxes"][1, 0], want.clip(0, 1), rtol=1e-6)
    assert sample.targets["boxes"]["present"][0].tolist() == [number % 2 == 0 for number in range(count)]


def test_another_camera_has_its_own_objects(tmp_path: Path) -> None:
    for root in write_both(tmp_path, moments()):
        sample = Waymo(root, camera="side_right", **WHOLE).load(CONTEXT)
        assert (sample.provenance["ids"], sample.provenance["types"]) == (["b-car"], ["pedestrian"])
        assert Waymo(root, camera="front_left", **WHOLE).load(CONTEXT).targets["boxes"]["boxes"].shape == (0, 4, 4)


def test_the_first_frame_loaded_decides_which_tracks_count(tmp_path: Path) -> None:
    for root in write_both(tmp_path, moments()):
        waymo = Waymo(root, resize=None, crop=None, min_area=None)
        assert waymo.load(CONTEXT, [0, 1]).provenance["ids"] == ["a-bike", "b-car"]
        assert waymo.load(CONTEXT, [1, 0]).provenance["ids"] == ["b-car"]
        every = Waymo(root, resize=None, crop=None, tracks="all")
        assert every.load(CONTEXT, [1]).provenance["ids"] == ["a-bike", "b-car"]
        assert every.load(CONTEXT, [1]).targets["boxes"]["present"].tolist() == [[False], [True]]


def test_a_frame_with_no_image_at_all_is_still_a_frame(tmp_path: Path) -> None:
    made = moments(3)
    made[1] = Moment(made[1].time, made[1].boxes, without_image=(1, 2, 3, 4, 5))
    for root in write_both(tmp_path, made):
        waymo = Waymo(root, **WHOLE)
        assert waymo.num_frames(CONTEXT) == 3
        waymo.load(CONTEXT, [0, 2])
        with pytest.raises(DataError, match="front, frame 1: expected an image, got none"):
            waymo.load(CONTEXT)


def test_old_files_name_their_cameras(tmp_path: Path) -> None:
    _, root = write_both(tmp_path, moments(), camera_names=True)
    assert Waymo(root, **WHOLE).load(CONTEXT).provenance["ids"] == ["a-bike", "b-car"]


IDS = ["a", "b", "c", "d"]


def tracks(*sides: float | None) -> np.ndarray:
    """Squares at the origin with these sides in the first frame; None is absent."""
    return np.array([[[0, 0, side, side] if side is not None else [np.nan] * 4] for side in sides])


@pytest.mark.parametrize(
    ("boxes", "min_area", "limit", "kept"),
    [
        (tracks(0.5, 0.1, None, 0.2), None, None, [0, 1, 2, 3]),
        (tracks(0.5, 0.1, None, 0.2), None, 25, [0, 1, 3]),
        (tracks(0.5, 0.1, None, 0.2), 0.04 - 1e-9, 25, [0, 3]),
        (tracks(0.5, 0.5, 0.25, 0.125), 0.25, 25, [0, 1]),  # exactly the smallest area counts
        (tracks(0.1, 0.3, 0.2, 0.3), 0.0, 2, [1, 3]),
        (tracks(0.3, 0.3, 0.3, 0.3), 0.0, 2, [0, 1]),  # of equal ones the first by id
    ],
)
def test_rules_leave_out_what_they_say(
    boxes: np.ndarray, min_area: float | None, limit: int | None, kept: list[int]
) -> None:
    chosen = select_tracks(IDS, boxes, [1, 2, 4, 1], None, min_area, limit)
    assert chosen.rows.tolist() == kept
    named = [name for stage in chosen.stages for name in stage["left_out"]]
    assert sorted(named + [IDS[row] for row in kept]) == IDS


def test_types_are_chosen_by_name() -> None:
    chosen = select_tracks(IDS, tracks(1, 1, 1, 1), [1, 2, 4, 9], ("pedestrian", "unknown"), None, None)
    assert chosen.rows.tolist() == [1, 3]


def test_the_area_may_be_of_the_box_before_it_is_clipped(tmp_path: Path) -> None:
    wide = {"half": (0.0, 32.0, 24.0, 24.0, 1)}  # half of it is outside of the picture
    v1, _ = write_both(tmp_path, [Moment(1, {1: wide})])
    share = 24 * 24 / (64 * 96)
    for area, factor, kept in (("clipped", 0.49, 1), ("clipped", 0.51, 0), ("unclipped", 0.51, 1)):
        sample = Waymo(v1, resize=None, crop=None, min_area=share * factor, area=area).load(CONTEXT)
        assert len(sample.provenance["ids"]) == kept


def test_a_box_outside_of_the_crop_is_absent(tmp_path: Path) -> None:
    boxes = {"left": (4.0, 32.0, 4.0, 20.0, 1), "middle": (48.0, 32.0, 20.0, 20.0, 1)}
    v1, _ = write_both(tmp_path, [Moment(1, {1: boxes})])
    assert Waymo(v1).load(CONTEXT).provenance["ids"] == ["middle"]
    every = Waymo(v1, tracks="all").load(CONTEXT)
    assert every.targets["boxes"]["present"].tolist() == [[False], [True]]


def test_the_crop_is_where_the_paper_puts_it() -> None:
    placement = Placement((1280, 1920), (256, 384), (256, 256))
    assert (placement.origin, placement.scale) == ((0, 64), (0.2, 0.2))
    assert placement.window() == (320, 0, 1600, 1280)


def test_a_picture_smaller_than_the_crop_is_refused(tmp_path: Path) -> None:
    v1, _ = write_both(tmp_path, moments(1))
    with pytest.raises(DataError, match=r"expected images of at least the crop \(256, 256\), got \(64, 96\)"):
        Waymo(v1, resize=None, min_area=None).load(CONTEXT)
    sample = Waymo(v1, resize=None, crop=[31, 33], min_area=None).load(CONTEXT)
    assert sample.video.shape == (1, 31, 33, 3)


def test_one_of_two_parquet_files_costs_its_segment(tmp_path: Path) -> None:
    _, root = write_both(tmp_path, moments())
    write_both(tmp_path, moments(), context="2_000_0_000")
    (root / "training/camera_box/2_000_0_000.parquet").unlink()
    waymo = Waymo(root, **WHOLE)
    assert len(waymo.sample_ids()) == 2
    assert waymo.coverage()["missing"] == {"no camera_box": {"count": 1, "ids": ["2_000_0_000"]}}
    assert waymo.missing()[0].expected == "training/camera_box/2_000_0_000.parquet"
    waymo.load(CONTEXT)
    with pytest.raises(DataError, match="2_000_0_000: expected its data, got no camera_box"):
        waymo.load("2_000_0_000")


@pytest.mark.parametrize("part", ["camera_image", "camera_box", "vehicle_pose"])
def test_damaged_parquet_is_refused(part: str, tmp_path: Path) -> None:
    _, root = write_both(tmp_path, moments())
    path = root / f"training/{part}/{CONTEXT}.parquet"
    whole = path.read_bytes()
    for content in (b"", whole[:-9], whole[: len(whole) // 2], b"PAR1" + bytes(50) + b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{part}/.*parquet.*expected a whole parquet file"):
            Waymo(root, **WHOLE).load(CONTEXT)
    pq.write_table(pq.read_table(_whole(path, whole)).select([0]), path)
    with pytest.raises(DataError, match=r"expected the column 'key\.frame_timestamp_micros', got"):
        Waymo(root, **WHOLE).load(CONTEXT)


def _whole(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_truncated_record_file_costs_its_segment(tmp_path: Path) -> None:
    root, _ = write_both(tmp_path, moments())
    path = next((root / "training").iterdir())
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"record 3 at byte .* it is cut"):
        Waymo(root).num_frames(CONTEXT)


SIZES = dict.fromkeys(range(1, 6), (64, 96))
GOOD = frame(Moment(1, {1: {"a": (9.0, 9.0, 4.0, 4.0, 1)}}), SIZES)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"", "expected a Frame with timestamp_micros, got none"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "field 2: expected 9223372036854775807 bytes"),
        (GOOD + encode_field(8, labels(1, {})), "expected camera 1 once, got 1 images, 2 label sets"),
        (GOOD + encode_field(4, encode_field(1, 1) + encode_field(2, b"x")), "expected camera 1 once, got 2 images"),
        (frame(Moment(1, {1: {"a": (np.nan, 9.0, 4.0, 4.0, 1)}}), SIZES), "a: expected a box of finite numbers"),
        (frame(Moment(1, {1: {"a": (9.0, 9.0, -4.0, 4.0, 1)}}), SIZES), "a: expected a box of finite numbers"),
        (frame(Moment(1, {1: {"": (9.0, 9.0, 4.0, 4.0, 1)}}), SIZES), "expected each object's id once, got ''"),
    ],
)
def test_a_record_that_is_no_sound_frame_is_refused(record: bytes, message: str, tmp_path: Path) -> None:
    root, _ = write_both(tmp_path, moments(1))
    next((root / "training").iterdir()).write_bytes(frame_record(record))
    with pytest.raises(DataError, match=message):
        Waymo(root).load(CONTEXT)


def test_times_that_run_backwards_are_refused(tmp_path: Path) -> None:
    root, _ = write_both(tmp_path, moments(2)[::-1])
    with pytest.raises(DataError, match="record 1: expected a time after 1100000, got 1000000"):
        Waymo(root, **WHOLE).load(CONTEXT)


def test_a_picture_that_is_none_names_its_frame(tmp_path: Path) -> None:
    root, _ = write_both(tmp_path, moments(1))
    broken = frame(Moment(1, {}), SIZES).replace(jpeg((64, 96), 2), b"\xff\xd8" + bytes(len(jpeg((64, 96), 2)) - 2))
    next((root / "training").iterdir()).write_bytes(frame_record(broken))
    with pytest.raises(DataError, match="front, frame 0: expected a whole image"):
        Waymo(root, **WHOLE).load(CONTEXT)


def test_both_releases_in_one_place_have_to_be_told_apart(tmp_path: Path) -> None:
    root, other = write_both(tmp_path, moments(1))
    for part in (other / "training").iterdir():
        part.rename(root / "training" / part.name)
    with pytest.raises(DataError, match="expected one release, got both"):
        Waymo(root)
    assert {Waymo(root, version=release).facts["options"]["version"] for release in ("v1", "v2")} == {"v1", "v2"}


def test_a_place_without_segments_says_what_is_there(tmp_path: Path) -> None:
    write_both(tmp_path, moments(1))
    with pytest.raises(DataError, match=r"segment-\*_with_camera_labels\.tfrecord \(v1\) .*, got v1/, v2/"):
        Waymo(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"camera": "rear"}, "camera: expected front, "),
        ({"resize": [256]}, "resize: expected"),
        ({"crop": [0, 5]}, "crop: expected"),
        ({"types": "vehicle"}, "types: expected a list"),
        ({"types": ["vehicles"]}, "Did you mean 'vehicle'"),
        ({"min_area": 1.5}, "min_area: expected"),
        ({"max_boxes": 0}, "max_boxes: expected"),
        ({"area": "boxed"}, "area: expected clipped, unclipped"),
        ({"tracks": "some"}, "tracks: expected first, all"),
        ({"missing_images": "skip"}, "missing_images: expected error, black"),
        ({"version": "v3"}, "version: expected v1, v2"),
        ({"split": "train"}, "split: expected training"),
    ],
)
def test_options_are_checked(options: dict, message: str, data: Path) -> None:
    with pytest.raises(UsageError, match=message):
        Waymo(data / "v1", **options)
