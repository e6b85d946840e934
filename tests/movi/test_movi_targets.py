"""The targets of MOVi clips: depth, cameras, boxes and points agree with each other and with the fixture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from movi.made_movi import made_features, write_build
from probe4d.errors import DataError, UsageError
from probe4d_datasets.movi.dataset import Movi

TRAIN = ("train0", "train1")


def test_depth_is_stored_as_distance_and_given_as_z(tfds: Path, expected: dict[str, np.ndarray]) -> None:
    z = Movi(tfds, "train", targets=["depth"])
    stored = Movi(tfds, "train", targets=["depth"], depth="distance")
    name = z.sample_ids()[0]
    frames = [0, 6, 12, 18]
    distance = stored.load(name, frames).targets["depth"]["depth"]
    np.testing.assert_allclose(distance, expected["train0/depth_m"][..., 0], rtol=1e-6)
    along = z.load(name, frames).targets["depth"]
    u = (np.arange(28) + 0.5) / 28 - 0.5
    fx = 35 / 32
    rays = np.sqrt(1 + (u / fx)[None] ** 2 + (u / fx)[:, None] ** 2)
    np.testing.assert_allclose(along["depth"] * rays, distance, rtol=1e-5)
    assert (along["depth"] < distance).all()
    assert along["valid"].all()
    assert z.facts["options"]["depth"] == "z"


def test_cameras_are_world_to_camera_in_opencv_axes(tfds: Path, expected: dict[str, np.ndarray]) -> None:
    movi = Movi(tfds, "train", targets=["pose", "depth", "points"])
    for tag, name in zip(TRAIN, movi.sample_ids(), strict=True):
        sample = movi.load(name)
        extrinsics, intrinsics = sample.targets["pose"]["extrinsics"], sample.targets["pose"]["intrinsics"]
        rotation, shift = extrinsics[:, :, :3], extrinsics[:, :, 3]
        np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-5)
        centres = -np.einsum("tji,tj->ti", rotation, shift)
        np.testing.assert_allclose(centres, expected[f"{tag}/camera_positions"], atol=1e-5)
        np.testing.assert_allclose(intrinsics[0], [[28 * 35 / 32, 0, 14], [0, 28 * 35 / 32, 14], [0, 0, 1]])
        # A background point, lifted by depth and cameras, is seen where its track says.
        segments = expected[f"{tag}/segmentations"][0, :, :, 0]
        points = sample.targets["points"]
        still = [
            row
            for row, (_, y, x) in enumerate(points["query_points"])
            if segments[int(y), int(x)] == 0 and points["visible"][row].sum() > 5
        ]
        assert still
        for row in still:
            _, y, x = points["query_points"][row]
            depth = sample.targets["depth"]["depth"][0, int(y), int(x)]
            camera = np.linalg.inv(intrinsics[0]) @ [x, y, 1] * depth
            world = rotation[0].T @ (camera - shift[0])
            seen = np.einsum("tij,j->ti", rotation, world) + shift
            pixels = np.einsum("tij,tj->ti", intrinsics, seen)
            want = (pixels[:, :2] / pixels[:, 2:])[points["visible"][row]]
            np.testing.assert_allclose(points["tracks"][row][points["visible"][row]], want, atol=2e-3)


def test_boxes_stand_in_the_frames_that_their_ragged_rows_name(tfds: Path, expected: dict[str, np.ndarray]) -> None:
    for split, tags in (("train", TRAIN), ("validation", ("validation2",))):
        movi = Movi(tfds, split, targets=["boxes"])
        for tag, name in zip(tags, movi.sample_ids(), strict=True):
            boxes = movi.load(name).targets["boxes"]
            lengths = expected[f"{tag}/bbox_row_lengths"]
            np.testing.assert_array_equal(boxes["present"].sum(1), lengths)
            np.testing.assert_array_equal(boxes["boxes"][boxes["present"]], expected[f"{tag}/bbox_flat"])
            np.testing.assert_array_equal(boxes["present"], expected[f"{tag}/visibility"] > 0)
            segments = expected[f"{tag}/segmentations"][..., 0]
            for number, frame in np.argwhere(boxes["present"]):
                rows, columns = np.nonzero(segments[frame] == number + 1)
                ymin, xmin, ymax, xmax = boxes["boxes"][number, frame] * 28
                assert abs(ymin - rows.min()) <= 1
                assert abs(xmin - columns.min()) <= 1
                assert abs(ymax - rows.max()) <= 1.001
                assert abs(xmax - columns.max()) <= 1.001


def test_queries_lie_on_the_first_frame_loaded(tfds: Path) -> None:
    movi = Movi(tfds, "train", targets=["points"], queries={"max_share": 1.0})
    name = movi.sample_ids()[0]
    for frames in (range(16), range(5, 21), [9, 8, 9]):
        points = movi.load(name, frames).targets["points"]
        queries = points["query_points"]
        assert (queries[:, 0] == 0).all()
        assert ((queries[:, 1:] % 1) == 0.5).all()
        seen = points["visible"][:, 0]
        assert seen.mean() > 0.8
        np.testing.assert_allclose(points["tracks"][seen, 0], queries[seen, :0:-1], atol=1e-2)
    whole = movi.load(name).targets["points"]
    part = movi.load(name, [0, 3, 3]).targets["points"]
    np.testing.assert_array_equal(part["tracks"], whole["tracks"][:, [0, 3, 3]])


def test_queries_on_any_frame_stay_with_the_video(tfds: Path) -> None:
    movi = Movi(tfds, "train", targets=["points"], queries={"on": "any"})
    name = movi.sample_ids()[0]
    whole, part = (movi.load(name, frames).targets["points"] for frames in (None, [9, 3, 3]))
    np.testing.assert_array_equal(part["tracks"], whole["tracks"][:, [9, 3, 3]])
    np.testing.assert_array_equal(part["visible"], whole["visible"][:, [9, 3, 3]])
    times = whole["query_points"][:, 0]
    assert len(set(times)) > 2
    own = times == 9
    np.testing.assert_array_equal(part["query_points"][own, 1:], whole["query_points"][own, 1:])
    assert (part["query_points"][own, 0] == 0).all()


def test_a_clip_costs_only_the_images_it_needs(tfds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import probe4d_datasets.movi.record as module

    decoded: dict[str, int] = {}
    real = module.decode_pngs

    def counting(images: list, channels: int, bits: int, where: str) -> np.ndarray:
        decoded[where.rpartition(", ")[2]] = len(images)
        return real(images, channels, bits, where)

    monkeypatch.setattr(module, "decode_pngs", counting)
    movi = Movi(tfds, "train", targets=["points"])
    movi.load(movi.sample_ids()[0], range(4, 20))
    assert decoded == {"video": 16, "segmentations": 16, "depth": 16, "normal": 1, "object_coordinates": 1}


def test_frames_that_are_not_square_keep_both_camera_models(tmp_path: Path) -> None:
    write_build(tmp_path, [[made_features(frames=2, wanted=(24, 40))]])
    for model, fy in (("tapvid", 24 * 24 / 40), ("square-pixels", 40)):
        movi = Movi(tmp_path, "train", targets=["pose"], camera_model=model)
        pose = movi.load(movi.sample_ids()[0]).targets["pose"]
        np.testing.assert_allclose(pose["intrinsics"][0], [[40, 0, 20], [0, fy, 12], [0, 0, 1]])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("instances/bboxes/ragged_row_lengths_0", np.array([1]), "bboxes: expected rows of 2 values, got lengths"),
        ("instances/bbox_frames/ragged_flat_values", np.array([0, 9]), "expected boxes of frames 0 to 1, got 9"),
        ("instances/bbox_frames/ragged_row_lengths_0", np.array([1, 1]), "expected a frame for every box"),
        ("instances/bboxes/ragged_flat_values", np.full(8, np.nan, np.float32), "expected finite numbers"),
        ("instances/quaternions", np.zeros(0, np.float32), "expected as many quaternions as boxes 1, got 0"),
    ],
)
def test_ragged_boxes_that_do_not_add_up_are_refused(key: str, value: np.ndarray, message: str, tmp_path: Path) -> None:
    write_build(tmp_path, [[{**made_features(frames=2), key: value}]])
    movi = Movi(tmp_path, "train")
    with pytest.raises(DataError, match=message):
        movi.load(movi.sample_ids()[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": "points"}, "targets: expected a list"),
        ({"targets": ["flow"]}, "targets: expected points, boxes, depth, pose, got 'flow'"),
        ({"depth": "disparity"}, "depth: expected z, distance"),
        ({"camera_model": "fisheye"}, "camera_model: expected tapvid, square-pixels"),
        ({"queries": {"number": 3}}, "queries: expected tracks"),
        ({"split": "val"}, "split: expected train, validation, test, got 'val'"),
        ({"missing": "skip"}, "missing: expected keep, drop"),
    ],
)
def test_options_are_checked(options: dict, message: str, tfds: Path) -> None:
    with pytest.raises(UsageError, match=message):
        Movi(tfds, **options)
