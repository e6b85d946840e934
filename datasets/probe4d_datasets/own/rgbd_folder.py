"""`rgbd-folder`: sequences in the layout of the TUM RGB-D benchmark, with depth and camera poses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.images import read_colour, read_depth, stack
from probe4d_datasets.own.options import one_of, positive
from probe4d_datasets.own.parts import OwnDataset
from probe4d_datasets.own.root import under

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["RgbdFolder", "nearest", "parse_trajectory", "world_to_camera"]


class RgbdFolder(OwnDataset):
    """Depth and poses of `<sequence>/{rgb,depth}/*.png` and `<sequence>/groundtruth.txt`.

    A colour image is a frame of the sample where each target has a measurement within
    `max_difference` of its time; the others are left out. Times stand in `rgb.txt` and `depth.txt`,
    or are the names of the files.
    Source: https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats

    Args:
        targets: `depth`, `pose` or both.
        depth_scale: units of the depth images in a metre.
        max_difference: seconds.
        intrinsics: (fx, fy, cx, cy) in pixels; needed for poses, as nothing in the files says it.
        pixel_origin: whether `cx, cy` count from the first pixel's `center`, as in TUM's tables, or
            from its `corner`.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        split: str = "train",
        *,
        rule: Any = None,
        windows: Any = None,
        targets: Sequence[str] = ("depth", "pose"),
        depth_scale: float = 5000.0,
        max_difference: float = 0.02,
        intrinsics: Sequence[float] | None = None,
        pixel_origin: str = "center",
    ) -> None:
        super().__init__(root, split, rule, windows)
        if isinstance(targets, str) or not targets:
            raise UsageError(f"rgbd-folder targets: expected a list of depth and pose, got {targets!r}.")
        self.targets = tuple(one_of("targets", target, ("depth", "pose")) for target in targets)
        self.depth_scale = positive("rgbd-folder depth_scale", depth_scale)
        self.max_difference = positive("rgbd-folder max_difference", max_difference)
        self.intrinsics = None
        if "pose" in self.targets:
            shift = {"center": 0.5, "corner": 0.0}[one_of("pixel_origin", pixel_origin, ("center", "corner"))]
            self.intrinsics = _intrinsics(intrinsics, shift)
        self._files = self.root.files()
        self._plan(sorted({path.partition("/rgb/")[0] for path in self._files if "/rgb/" in path}))

    def _length(self, item: str) -> int:
        return len(self._associate(item)[0])

    def _load(self, item: str, _: range, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        colour, depth, poses, left_out = self._associate(item)
        names = [f"{item}/{colour[frame]}" for frame in frames]
        where = [self.root.location(name) for name in names]
        video = stack([read_colour(c, w) for c, w in zip(self.root.read(names), where, strict=True)], where)
        targets: dict[str, Any] = {}
        if depth is not None:
            names = [f"{item}/{depth[frame]}" for frame in frames]
            where = [self.root.location(name) for name in names]
            contents = zip(self.root.read(names), where, strict=True)
            metres = stack([read_depth(c, w, self.depth_scale) for c, w in contents], where)
            if metres.shape != video.shape[:3]:
                raise DataError(
                    f"{where[0]}: expected depth of the colour image's size {video.shape[1:3]}, "
                    f"got {metres.shape[1:]}. Register the depth to the colour camera."
                )
            targets["depth"] = {"depth": metres, "valid": metres > 0}
        if poses is not None:
            extrinsics = np.stack([world_to_camera(poses[frame]) for frame in frames])
            intrinsics = np.broadcast_to(np.asarray(self.intrinsics), (len(frames), 3, 3)).copy()
            targets["pose"] = {"extrinsics": extrinsics, "intrinsics": intrinsics}
        return video, targets, {"images": [colour[frame] for frame in frames], "images_left_out": left_out}

    def _associate(self, item: str) -> tuple[list[str], list[str] | None, npt.NDArray[np.float64] | None, int]:
        """Return colour files, depth files, poses (tx ty tz qx qy qz qw) per frame, and how many were left out."""
        times, colour = self._listing(item, "rgb")
        keep = np.ones(len(times), np.bool_)
        depth: list[str] | None = None
        poses: npt.NDArray[np.float64] | None = None
        if "depth" in self.targets:
            depth_times, names = self._listing(item, "depth")
            places, difference = nearest(times, depth_times)
            keep &= difference <= self.max_difference
            depth = [names[place] for place in places]
        if "pose" in self.targets:
            path = f"{item}/groundtruth.txt"
            trajectory = parse_trajectory(self.root.read_text(path), self.root.location(path))
            places, difference = nearest(times, trajectory[:, 0])
            keep &= difference <= self.max_difference
            poses = trajectory[places, 1:]
        kept = np.flatnonzero(keep)
        if not len(kept):
            raise DataError(
                f"{item}: expected times of {' and '.join(self.targets)} within {self.max_difference} s of the colour "
                "images', got none. Check the clocks, or state max_difference."
            )
        return (
            [colour[i] for i in kept],
            None if depth is None else [depth[i] for i in kept],
            None if poses is None else poses[kept],
            len(times) - len(kept),
        )

    def _listing(self, item: str, folder: str) -> tuple[npt.NDArray[np.float64], list[str]]:
        """Return the times (seconds, increasing) and the files of one camera."""
        path = f"{item}/{folder}.txt"
        if under(self._files, path):
            lines = [line.split() for line in self.root.read_text(path).splitlines()]
            pairs = [line for line in lines if line and not line[0].startswith("#")]
            where = self.root.location(path)
        else:
            names = under(self._files, f"{item}/{folder}/")
            pairs = [[PurePosixPath(name).stem, name.removeprefix(f"{item}/")] for name in names]
            where = self.root.location(f"{item}/{folder}")
        try:
            timed = sorted((float(time), name) for time, name in pairs)
        except ValueError as error:
            raise DataError(f"{where}: expected a time in seconds and a file each, got {error}.") from error
        times = np.asarray([time for time, _ in timed], np.float64)
        if not len(times) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise DataError(f"{where}: expected times, each once, got {len(times)} that are not.")
        return times, [name for _, name in timed]


def nearest(
    times: npt.NDArray[np.float64], others: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return, for each time, the place of the nearest of `others` (increasing), and how far it is."""
    right = np.searchsorted(others, times).clip(0, len(others) - 1)
    left = np.maximum(right - 1, 0)
    place = np.where(np.abs(others[left] - times) <= np.abs(others[right] - times), left, right)
    return place, np.abs(others[place] - times)


def parse_trajectory(text: str, where: str) -> npt.NDArray[np.float64]:
    """Return `(n, 8)`: time, tx ty tz in metres, qx qy qz qw of camera to world; times increase.

    Raises:
        DataError: a line is not eight finite numbers, a quaternion is zero, or times do not increase.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            row = [float(value) for value in line.replace(",", " ").split()]
        except ValueError as error:
            raise DataError(f"{where}, line {number}: expected eight numbers, got {error}.") from error
        if len(row) != 8 or not np.isfinite(row).all() or sum(value * value for value in row[4:]) < 0.25:
            raise DataError(
                f"{where}, line {number}: expected time, position and a unit quaternion, eight finite numbers, "
                f"got {line.strip()!r}."
            )
        rows.append(row)
    found = np.asarray(rows, np.float64).reshape(-1, 8)
    if not len(found) or (np.diff(found[:, 0]) <= 0).any():
        raise DataError(f"{where}: expected lines with increasing times, got {len(found)} that do not increase.")
    return found


def world_to_camera(pose: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return `(3, 4)` world to camera, of a camera-to-world pose tx ty tz qx qy qz qw."""
    x, y, z, w = pose[3:] / np.linalg.norm(pose[3:])
    camera_to_world = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    rotation = camera_to_world.T
    return np.concatenate([rotation, -rotation @ pose[:3, None]], axis=1)


def _intrinsics(value: Any, shift: float) -> list[list[float]]:
    numbers = [] if value is None or isinstance(value, str) else list(value)
    if len(numbers) != 4 or not all(isinstance(n, int | float) and n > 0 for n in numbers):
        raise UsageError(
            f"rgbd-folder intrinsics: expected [fx, fy, cx, cy] in pixels, got {value!r}. "
            "State the camera's own, or targets = ['depth']."
        )
    fx, fy, cx, cy = (float(number) for number in numbers)
    return [[fx, 0.0, cx + shift], [0.0, fy, cy + shift], [0.0, 0.0, 1.0]]
