"""`waymo`: box tracks of one camera of the Waymo Open perception dataset, release 1 or 2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.images import read_colour
from probe4d_datasets.own.options import one_of
from probe4d_datasets.published import Policy, Published
from probe4d_datasets.waymo.boxes import Placement, in_crop, pixel_tracks, select_tracks
from probe4d_datasets.waymo.frames import CAMERAS, TYPES, CameraFrame, Segment
from probe4d_datasets.waymo.options import area_share, count, size
from probe4d_datasets.waymo.v1 import SegmentV1
from probe4d_datasets.waymo.v2 import SegmentV2

__all__ = ["Waymo"]

V1 = re.compile(r"segment-(?P<context>.+?)(_with_camera_labels)?\.tfrecord")
COMPONENTS = ("camera_image", "camera_box")
POSE = "vehicle_pose"


class Waymo(Published):
    """Segments of `<root>/<split>/segment-*.tfrecord` (v1) or `<root>/<split>/camera_{image,box}/*.parquet` (v2).

    Frames are those of the recording, at 10 Hz; 5 Hz is a clip's `stride` of 2. Which tracks a sample
    has is decided on the first of the frames that are loaded; `provenance["stages"]` tells what each
    rule left out. Boxes are clipped to the frame; an object without a label in a frame, or wholly
    outside of it, is absent there.

    Args:
        version: `v1` or `v2`; found by what lies there where it is not stated.
        camera: `front`, `front_left`, `front_right`, `side_left` or `side_right`.
        resize, crop: `[height, width]` that images are resized to, and of the middle that is cut out; None: not.
        types: of `vehicle`, `pedestrian`, `cyclist`, `sign`; None takes every one.
        min_area: of the first frame, as a share of it; None takes every size.
        area: whether that is of the box `clipped` to the frame or of the `unclipped` one.
        max_boxes: the largest so many; None takes every one.
        tracks: `first`: those present in the first frame; `all`: those of the whole segment (no rule
            by area or number then; v1 files are read whole).
        missing_images: `error` refuses a clip with a frame whose image is missing; `black` shows none.
        missing, max_missing: see `probe4d_datasets.published.Policy`.
    """

    name = "waymo"
    splits = ("training", "validation", "testing")
    unit = "segments"

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        split: str = "training",
        *,
        version: str | None = None,
        camera: str = "front",
        resize: Sequence[int] | None = (256, 384),
        crop: Sequence[int] | None = (256, 256),
        types: Sequence[str] | None = None,
        min_area: float | None = 0.005,
        area: str = "clipped",
        max_boxes: int | None = 25,
        tracks: str = "first",
        missing_images: str = "error",
        missing: str = "keep",
        max_missing: float = 0.1,
    ) -> None:
        super().__init__(root, split, Policy(missing=missing, max_missing=max_missing))
        self.camera = one_of("waymo camera", camera, tuple(CAMERAS))
        self.resize, self.crop = size("waymo resize", resize), size("waymo crop", crop)
        if isinstance(types, str):
            raise UsageError(f"waymo types: expected a list of {', '.join(TYPES.values())}, got {types!r}.")
        self.types = None if types is None else tuple(one_of("waymo types", t, tuple(TYPES.values())) for t in types)
        self.tracks = one_of("waymo tracks", tracks, ("first", "all"))
        self.min_area = area_share("waymo min_area", min_area)
        self.max_boxes = count("waymo max_boxes", max_boxes)
        if self.tracks == "all":
            self.min_area = self.max_boxes = None
        self.area = one_of("waymo area", area, ("clipped", "unclipped"))
        self.missing_images = one_of("waymo missing_images", missing_images, ("error", "black"))
        stated = None if version is None else one_of("waymo version", version, ("v1", "v2"))
        self._find(stated)

    def _find(self, version: str | None) -> None:
        """Fix the ids by the names in the split's folder."""
        here = self.root.names(self.split)
        v1: dict[str, tuple[str, ...]] = {}
        v1 |= {m["context"]: (f"{self.split}/{name}",) for name in here if (m := V1.fullmatch(name))}
        v2 = any(f"{part}/" in here for part in COMPONENTS)
        if version is None and v1 and v2:
            raise DataError(f"{self.root.location(self.split)}: expected one release, got both. State `version`.")
        self.version = version or ("v2" if v2 else "v1")
        self._paths: dict[str, tuple[str, ...]] = v1 if self.version == "v1" else self._components()
        if not self._paths:
            there = ", ".join((here or self.root.names())[:5]) or "nothing"
            raise DataError(
                f"{self.root.location(self.split)}: expected segment-*_with_camera_labels.tfrecord (v1) or folders "
                f"camera_image and camera_box (v2), got {there}. Check the root and the split."
            )
        absent = {
            context: f"no {part}: {self.split}/{part}/{context}.parquet"
            for context, paths in self._paths.items()
            for part, path in zip(COMPONENTS, paths, strict=False)
            if not path
        }
        self._plan(tuple(self._paths), absent)

    def _components(self) -> dict[str, tuple[str, ...]]:
        """Return the parquet files of each segment, in the order of COMPONENTS, and its poses; empty for none."""
        parts = {part: frozenset(self.root.names(f"{self.split}/{part}")) for part in (*COMPONENTS, POSE)}
        files = sorted({name for part in COMPONENTS for name in parts[part] if name.endswith(".parquet")})
        return {
            name.removesuffix(".parquet"): tuple(
                f"{self.split}/{part}/{name}" if name in there else "" for part, there in parts.items()
            )
            for name in files
        }

    def _states(self) -> Sequence[str]:
        paths = [path for segment in self._paths.values() for path in segment if path]
        return [f"{path} {self.root.state(path)}" for path in paths]

    @property
    def first_frame_decides(self) -> Sequence[str]:
        """Boxes, where those present in the first of the frames are the ones asked for."""
        return ("boxes",) if self.tracks == "first" else ()

    def _options(self) -> Mapping[str, Any]:
        return {
            "version": self.version,
            "camera": self.camera,
            "resize": None if self.resize is None else list(self.resize),
            "crop": None if self.crop is None else list(self.crop),
            "types": None if self.types is None else list(self.types),
            "min_area": self.min_area,
            "area": self.area,
            "max_boxes": self.max_boxes,
            "tracks": self.tracks,
            "missing_images": self.missing_images,
        }

    def _segment(self, sample_id: str) -> Segment:
        paths = self._paths[sample_id]
        if self.version == "v1":
            return SegmentV1(self.root, paths[0])
        return SegmentV2(self.root, paths[0], paths[1], paths[2] or None)

    def _length(self, sample_id: str) -> int:
        return self._segment(sample_id).length()

    def _load(self, sample_id: str, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        segment, camera = self._segment(sample_id), CAMERAS[self.camera]
        moments = sorted(set(frames))
        read = dict(zip(moments, segment.read(moments, camera, images=True), strict=True))
        clip = [read[frame] for frame in frames]
        video, placement = self._video(clip, frames, f"{self.root.url}, {sample_id}, {self.camera}")
        named = clip[:1] if self.tracks == "first" else segment.read(range(segment.length()), camera, images=False)
        kinds = {name: box.type for frame in named for name, box in frame.boxes.items()}
        ids = sorted(kinds)
        boxes = in_crop(pixel_tracks(clip, ids), placement) / (placement.size[::-1] * 2)
        clipped = boxes.clip(0.0, 1.0)
        ruled = clipped if self.area == "clipped" else boxes
        chosen = select_tracks(ids, ruled, [kinds[i] for i in ids], self.types, self.min_area, self.max_boxes)
        kept = [ids[row] for row in chosen.rows]
        provenance = {
            "timestamps": [frame.timestamp for frame in clip],
            "image": list(placement.image),
            "ids": kept,
            "types": [TYPES.get(kinds[name], "unknown") for name in kept],
            "stages": [dict(stage) for stage in chosen.stages],
            "unlabelled": _unlabelled(clip, frames),
            "without_boxes": [number for number, frame in zip(frames, clip, strict=True) if not frame.boxes],
            "options": self._options(),
        }
        return video, {"boxes": _fields(clipped[chosen.rows])}, provenance

    def _video(self, clip: Sequence[CameraFrame], frames: Sequence[int], where: str) -> tuple[Array, Placement]:
        """Return the clip's frames, resized and cropped one after the other, and how."""
        placement: Placement | None = None
        placed: dict[int, Array] = {}
        for number, frame in zip(frames, clip, strict=True):
            name = f"{where}, frame {number}"
            if frame.image is None:
                if self.missing_images == "error":
                    hint = "Leave the clip out, or state missing_images = 'black'."
                    raise DataError(f"{name}: expected an image, got none. {hint}")
                continue
            if number in placed:
                continue
            image = read_colour(frame.image, name)
            placement = placement or Placement((image.shape[0], image.shape[1]), self.resize, self.crop)
            if image.shape[:2] != placement.image:
                raise DataError(f"{name}: expected {placement.image} (h, w) as the first, got {image.shape[:2]}.")
            placed[number] = placement.apply(image, name)
        if placement is None:
            raise DataError(f"{where}: expected an image in one of the frames, got none. Leave the clip out.")
        black = np.zeros((*placement.size, 3), np.uint8)
        return np.stack([placed.get(number, black) for number in frames]), placement


def _unlabelled(clip: Sequence[CameraFrame], frames: Sequence[int]) -> list[int] | None:
    """Return the frames without labels (rather than with nothing to label); None where nothing tells them."""
    if any(frame.labelled is None for frame in clip):
        return None
    return [number for number, frame in zip(frames, clip, strict=True) if not frame.labelled]


def _fields(clipped: Array) -> dict[str, Array]:
    """Return boxes (n, t, 4) = ymin xmin ymax xmax, zero where absent, and present (n, t)."""
    with np.errstate(invalid="ignore"):
        present = (clipped[..., 2] > clipped[..., 0]) & (clipped[..., 3] > clipped[..., 1])
    boxes = np.where(present[..., None], clipped[..., [1, 0, 3, 2]], 0.0)
    return {"boxes": boxes.astype(np.float32), "present": present}
