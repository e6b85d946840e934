"""`scannet`: ScanNet v2 as a dataset of depth."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.images import stack
from probe4d_datasets.own.options import one_of
from probe4d_datasets.own.root import Root
from probe4d_datasets.published import Policy, Published
from probe4d_datasets.resize import resize_pixels
from probe4d_datasets.scannet.cameras import pose_target
from probe4d_datasets.scannet.exported import DEPTH_SHIFT, Exported, is_exported, open_exported, read_matrix
from probe4d_datasets.scannet.sens import Sens, colour_of, depth_of, open_sens, read_blocks

__all__ = ["ScanNet", "valid_depth"]

SCENE = re.compile(r"scene\d{4}_\d{2}")
LAYOUTS = ("sens", "exported")
LISTS = ("", "Tasks/Benchmark/", "splits/")
SCENES = ("scans/", "scans_test/", "exported/", "")
MAX_LIST = 1 << 20


class ScanNet(Published):
    """Scenes, each a video with depth in metres; a sample is a scene.

    Colour and depth cameras differ in size; their small offset is ignored, as is usual.

    Args:
        split: `train`, `val` or `test`: scenes of `scannetv2_<split>.txt`.
        layout: `sens`, `exported`, or `auto`: per scene its `.sens` where there is one.
        size: of the video and the depth: `depth`: colour is resized to the depth image's size;
            `colour`: depth is brought to the colour image's, by the nearest pixel.
        valid_mm: depth counts strictly between these whole millimetres. Source: paper, A.2.2.
        targets: `depth`, or also `pose`, which frames of lost tracking do not have.
        missing, max_missing: see `probe4d_datasets.published.Policy`.
    """

    name = "scannet"
    splits = ("train", "val", "test")
    unit = "scenes"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        split: str = "train",
        *,
        layout: str = "auto",
        size: str = "depth",
        valid_mm: Sequence[int] = (1, 10000),
        targets: Sequence[str] = ("depth",),
        missing: str = "keep",
        max_missing: float = 0.1,
    ) -> None:
        super().__init__(root, split, Policy(missing=missing, max_missing=max_missing))
        self.layout = one_of("scannet layout", layout, ("auto", *LAYOUTS))
        self.size = one_of("scannet size", size, ("depth", "colour"))
        self.valid_mm = _whole_range(valid_mm)
        if isinstance(targets, str) or "depth" not in targets:
            raise UsageError(f"scannet targets: expected ['depth'] or ['depth', 'pose'], got {targets!r}.")
        self.targets = tuple(one_of("scannet targets", target, ("depth", "pose")) for target in targets)
        self._list, scenes = _scenes(self.root, split)
        self._paths = _find(self.root, scenes, LAYOUTS if self.layout == "auto" else (self.layout,))
        absent = {scene: f"no scan: {scene}.sens or exported frames" for scene in scenes if scene not in self._paths}
        self._plan(scenes, absent)

    def _options(self) -> Mapping[str, Any]:
        return {
            "layout": self.layout,
            "size": self.size,
            "valid_mm": list(self.valid_mm),
            "targets": list(self.targets),
            "list": self._list,
        }

    def _states(self) -> Sequence[str]:
        """State of each `.sens`; of an exported scene the names of its frames, as it has thousands."""
        states = [f"{self._list} {self.root.state(self._list)}"]
        for scene, (layout, path) in sorted(self._paths.items()):
            if layout == "sens":
                states.append(f"{scene} {self.root.state(path)}")
            else:
                states.append(f"{scene} {' '.join((*self.root.names(path), *self.root.names(f'{path}/depth')))}")
        return states

    def scene(self, sample_id: str) -> Sens | Exported:
        """Return the index of a scene's frames.

        Raises:
            DataError: it is missing or broken.
        """
        self._check(sample_id)
        layout, path = self._paths[sample_id]
        return open_sens(self.root, path) if layout == "sens" else open_exported(self.root, path)

    def _length(self, sample_id: str) -> int:
        return len(self.scene(sample_id))

    def _load(self, sample_id: str, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        scene = self.scene(sample_id)
        images, depths, shift = _images(scene, frames)
        video, depth = self._same_size(images, depths)
        # What each of the 65,536 values means is worked out once, then looked up.
        values = np.arange(1 << 16, dtype=np.uint16)
        metres = (values / np.float64(shift)).astype(np.float32)[depth]
        targets: dict[str, Any] = {
            "depth": {"depth": metres, "valid": valid_depth(values, shift, self.valid_mm)[depth]}
        }
        if "pose" in self.targets:
            size = (video.shape[1], video.shape[2])
            if isinstance(scene, Sens):
                poses = np.asarray([scene.poses[frame] for frame in frames], np.float32).reshape(-1, 4, 4)
                intrinsic = scene.camera("intrinsic_color")
            else:
                poses = np.stack([read_matrix(scene.root, scene.pose_path(frame)) for frame in frames])
                intrinsic = read_matrix(scene.root, f"{scene.folder}/intrinsic/intrinsic_color.txt")
            targets["pose"] = pose_target(poses, intrinsic, images.shape[1:3], size, f"{sample_id}")
        layout, path = self._paths[sample_id]
        return video, targets, {"scan": self.root.location(path), "layout": layout, "depth_shift": shift}

    def _same_size(self, images: Array, depths: Array) -> tuple[Array, Array]:
        """Return `(t, h, w, 3)` and `(t, h, w)` of one size."""
        if self.size == "depth":
            size = (depths.shape[1], depths.shape[2])
            if images.shape[1:3] != size:
                images = resize_pixels(images, (0.0, 0.0, float(images.shape[2]), float(images.shape[1])), size)
            return images, depths
        (height, width), (tall, wide) = depths.shape[1:], images.shape[1:3]
        rows = ((np.arange(tall) + 0.5) * height / tall).astype(np.intp)
        columns = ((np.arange(wide) + 0.5) * width / wide).astype(np.intp)
        return images, depths[:, rows][:, :, columns]


def valid_depth(depth: Array, shift: float, valid_mm: tuple[int, int]) -> Array:
    """Return where depth in units of `1 / shift` metres is strictly between two whole millimetres."""
    # Whole numbers on both sides: in float64 a depth of 1 mm, 0.001 in float32, is above 0.001.
    millimetres = depth.astype(np.float64) * 1000  # times `shift` on the other side: nothing is divided
    return np.asarray((millimetres > valid_mm[0] * shift) & (millimetres < valid_mm[1] * shift))


def _images(scene: Sens | Exported, frames: list[int]) -> tuple[Array, Array, float]:
    """Return colour `(t, h, w, 3)`, depth `(t, h, w)` uint16 and its units in a metre; each frame is read once."""
    unique = sorted(set(frames))
    if isinstance(scene, Sens):
        blocks = read_blocks(scene, unique)
        colour = [colour_of(scene, block[0], frame) for frame, block in zip(unique, blocks, strict=True)]
        depth = [depth_of(scene, block[1], frame) for frame, block in zip(unique, blocks, strict=True)]
        names, shift = [f"{scene.where}, frame {frame}" for frame in unique], scene.depth_shift
    else:
        colour = [scene.read_colour(frame) for frame in unique]
        depth = [scene.read_depth(frame) for frame in unique]
        names, shift = [f"{scene.folder}, frame {scene.numbers[frame]}" for frame in unique], DEPTH_SHIFT
    images, depths = stack(colour, names), stack(depth, names)
    if frames != unique:
        places = np.searchsorted(unique, frames)
        images, depths = images[places], depths[places]
    return images, depths, shift


def _scenes(root: Root, split: str) -> tuple[str, list[str]]:
    """Return the path of the split's list, and the scenes that it names."""
    name = f"scannetv2_{split}.txt"
    for folder in LISTS:
        if name in root.names(folder.rstrip("/")):
            break
    else:
        raise DataError(
            f"{root.url}: expected {name} at the root or in {', '.join(LISTS[1:])}, got none. "
            "It is in Tasks/Benchmark of ScanNet's repository."
        )
    where = root.location(folder + name)
    try:
        lines = root.read_up_to(folder + name, MAX_LIST).decode("ascii").split()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected scene names, got {error}.") from error
    if wrong := [line for line in lines if not SCENE.fullmatch(line)]:
        raise DataError(f"{where}: expected names as scene0000_00, got {wrong[0][:40]!r}.")
    return folder + name, lines


def _find(root: Root, scenes: Sequence[str], layouts: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return layout and path of each scene that is there; nothing of its thousands of frames is listed but once."""
    there = {folder: set(root.names(folder.rstrip("/"))) for folder in SCENES}
    found: dict[str, tuple[str, str]] = {}
    for scene in scenes:
        for folder in (folder for folder in SCENES if f"{scene}/" in there[folder] or f"{scene}.sens" in there[folder]):
            for layout in layouts:
                if scene not in found and (path := _place(root, folder, scene, layout, there[folder])):
                    found[scene] = (layout, path)
    return found


def _place(root: Root, folder: str, scene: str, layout: str, there: set[str]) -> str | None:
    if layout == "exported":
        return f"{folder}{scene}" if f"{scene}/" in there and is_exported(root, f"{folder}{scene}") else None
    if f"{scene}.sens" in there:
        return f"{folder}{scene}.sens"
    return f"{folder}{scene}/{scene}.sens" if f"{scene}.sens" in root.names(f"{folder}{scene}") else None


def _whole_range(value: Any) -> tuple[int, int]:
    numbers = list(value) if isinstance(value, list | tuple) else []
    if len(numbers) != 2 or not all(type(n) is int for n in numbers) or not 0 <= numbers[0] < numbers[1] <= 65535:
        raise UsageError(f"scannet valid_mm: expected [low, high] in whole millimetres, got {value!r}.")
    return numbers[0], numbers[1]
