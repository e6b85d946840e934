"""`rgbd-folder`: TUM sequences: association by time, metres, and poses turned to world-to-camera."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from numbered_videos import number_of
from own_data.same_samples import check_elsewhere
from probe4d.contracts import Sample
from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.rgbd_folder import RgbdFolder, nearest, parse_trajectory, world_to_camera

CAMERA = [50.0, 60.0, 31.5, 23.5]


def test_frames_are_the_colour_images_that_have_both_measurements(rgbd_sequence: Callable[..., Path]) -> None:
    for lists in (True, False):
        root = rgbd_sequence(lists=lists, name=f"train/desk{lists}")
        dataset = RgbdFolder(root, "train", intrinsics=CAMERA)
        sample = dataset.load(f"train/desk{lists}")
        assert [number_of(image) for image in sample.video] == [0, 1, 3, 4, 5]  # the third has no depth
        assert sample.provenance["images_left_out"] == 1
        depth, valid = (sample.targets["depth"][name] for name in ("depth", "valid"))
        np.testing.assert_array_equal(depth[:, 5, 5], [1, 2, 3, 4, 5])
        assert depth.dtype == np.float32
        assert valid[:, 1:].all()
        assert not valid[:, 0].any()


def test_poses_map_the_world_to_the_camera_in_opencv_axes(rgbd_sequence: Callable[..., Path]) -> None:
    sample = RgbdFolder(rgbd_sequence(), "train", intrinsics=CAMERA).load("train/desk", [0, 4])
    extrinsics, intrinsics = (sample.targets["pose"][name] for name in ("extrinsics", "intrinsics"))
    # At 10.0 s the camera is at (0.10, 2, 3), its x axis along world y: a point one metre along
    # world y before it is at (1, 0, 0).
    np.testing.assert_allclose(extrinsics[0] @ [0.10, 3.0, 3.0, 1.0], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(extrinsics[1] @ [0.27, 2.0, 4.0, 1.0], [0, 0, 1], atol=1e-6)
    np.testing.assert_array_equal(intrinsics[1], [[50, 0, 32], [0, 60, 24], [0, 0, 1]])
    corner = RgbdFolder(rgbd_sequence(), "train", intrinsics=CAMERA, pixel_origin="corner").load("train/desk", [0])
    np.testing.assert_array_equal(corner.targets["pose"]["intrinsics"][0, :2, 2], [31.5, 23.5])


def test_a_pose_turned_round_is_its_inverse() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        pose = rng.normal(size=7)
        matrix = np.vstack([world_to_camera(pose), [0, 0, 0, 1]])
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
        np.testing.assert_allclose(np.linalg.inv(matrix)[:3, 3], pose[:3], atol=1e-12)
    from scipy.spatial.transform import Rotation

    np.testing.assert_allclose(world_to_camera(pose)[:, :3].T, Rotation.from_quat(pose[3:]).as_matrix(), atol=1e-12)


def test_one_target_needs_only_its_own_files(rgbd_sequence: Callable[..., Path]) -> None:
    root = rgbd_sequence()
    (root / "train/desk/groundtruth.txt").unlink()
    depth = RgbdFolder(root, "train", targets=["depth"], depth_scale=1000).load("train/desk", [0])
    assert set(depth.targets) == {"depth"}
    assert depth.targets["depth"]["depth"][0, 5, 5] == 5
    root = rgbd_sequence(name="train/lamp")
    for file in (root / "train/lamp/depth").iterdir():
        file.unlink()
    pose = RgbdFolder(root, "train", targets=["pose"], intrinsics=CAMERA)
    assert pose.num_frames("train/lamp") == 6


def test_archives_and_memory_give_the_same(
    rgbd_sequence: Callable[..., Path], elsewhere: Callable[[Path], dict[str, str]]
) -> None:
    root = rgbd_sequence()

    def load(url: str | Path) -> Sample:
        return RgbdFolder(url, "train", intrinsics=CAMERA, windows={"frames": 2}).load("train/desk@2-4")

    truth = check_elsewhere(load, root, elsewhere(root).values())
    assert [number_of(image) for image in truth.video] == [3, 4]


def test_nearest_is_the_nearest_on_either_side_and_at_the_ends() -> None:
    place, distance = nearest(np.array([0.0, 1.4, 1.6, 9.0]), np.array([1.0, 2.0, 3.0]))
    assert place.tolist() == [0, 0, 1, 2]
    np.testing.assert_allclose(distance, [1.0, 0.4, 0.4, 6.0])
    assert nearest(np.array([5.0]), np.array([1.0]))[0].tolist() == [0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 0 0 0 0 0\n", r"line 1: expected time, position and a unit quaternion"),
        ("1 0 0 0 0 0 0 0\n", "line 1: expected time, position and a unit quaternion"),
        ("1 0 0 nan 0 0 0 1\n", "line 1: expected time, position"),
        ("# x\n1 0 0 a 0 0 0 1\n", "line 2: expected eight numbers"),
        ("2 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 1\n", "expected lines with increasing times"),
        ("", "expected lines with increasing times, got 0"),
    ],
)
def test_a_broken_trajectory_names_its_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_trajectory(text, "groundtruth.txt")


def test_times_that_never_meet_are_told(rgbd_sequence: Callable[..., Path]) -> None:
    root = rgbd_sequence()
    with pytest.raises(DataError, match=r"train/desk: expected times of depth within 0\.001 s"):
        RgbdFolder(root, "train", targets=["depth"], max_difference=0.001).load("train/desk")
    (root / "train/desk/rgb.txt").write_text("1.0 rgb/a.png extra\n")
    with pytest.raises(DataError, match=r"rgb\.txt: expected a time in seconds and a file each"):
        RgbdFolder(root, "train", targets=["depth"]).load("train/desk")
    (root / "train/desk/rgb.txt").write_text("10.0 ../../../secret.png\n")
    with pytest.raises(DataError, match="expected paths inside the root"):
        RgbdFolder(root, "train", targets=["depth"]).load("train/desk")


def test_depth_that_is_no_depth_is_refused(rgbd_sequence: Callable[..., Path]) -> None:
    root = rgbd_sequence()
    first = sorted((root / "train/desk/depth").iterdir())[0]
    dataset = RgbdFolder(root, "train", targets=["depth"])
    Image.new("L", (64, 48)).save(first)
    with pytest.raises(DataError, match=r"png: expected a 16-bit grey image, got mode 'L'"):
        dataset.load("train/desk", [0])
    Image.fromarray(np.ones((24, 32), np.uint16)).save(first)
    with pytest.raises(DataError, match=r"expected depth of the colour image's size \(48, 64\), got \(24, 32\)"):
        dataset.load("train/desk", [0])
    first.write_bytes(first.read_bytes()[:60])
    with pytest.raises(DataError, match="expected a whole image"):
        dataset.load("train/desk", [0])
    assert dataset.load("train/desk", [1]).video.shape == (1, 48, 64, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"intrinsics: expected \[fx, fy, cx, cy\] in pixels, got None"),
        ({"intrinsics": [1, 2, 3]}, "intrinsics: expected"),
        ({"intrinsics": [0, 2, 3, 4]}, "intrinsics: expected"),
        ({"targets": "depth"}, "targets: expected a list of depth and pose, got 'depth'"),
        ({"targets": ["dept"]}, r"got 'dept'\. Did you mean 'depth'"),
        ({"targets": ["depth"], "depth_scale": 0}, "depth_scale: expected a number above 0"),
        ({"intrinsics": CAMERA, "pixel_origin": "middle"}, "pixel_origin: expected center, corner, got 'middle'"),
    ],
)
def test_options_that_are_not_right_say_what_is(
    options: dict, message: str, rgbd_sequence: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError, match=message):
        RgbdFolder(rgbd_sequence(), "train", **options)
