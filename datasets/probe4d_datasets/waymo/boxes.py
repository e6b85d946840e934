"""Box tracks of a clip: into the cropped frame, and which of them count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.resize import resize_pixels
from probe4d_datasets.waymo.frames import TYPES, CameraFrame

__all__ = ["Placement", "Selection", "in_crop", "pixel_tracks", "select_tracks"]


@frozen
class Placement:
    """How an image becomes the clip's frame: resized, then the middle cut out.

    Attributes:
        image: (height, width) as it is stored.
        resize, crop: (height, width); None leaves it as it is.
    """

    image: tuple[int, int]
    resize: tuple[int, int] | None
    crop: tuple[int, int] | None

    @property
    def size(self) -> tuple[int, int]:
        """The clip's (height, width)."""
        return self.crop or self.resize or self.image

    @property
    def scale(self) -> tuple[float, float]:
        """Resized pixels per stored pixel, in y and x."""
        resized = self.resize or self.image
        return resized[0] / self.image[0], resized[1] / self.image[1]

    @property
    def origin(self) -> tuple[float, float]:
        """Where the crop begins, in resized pixels, y and x."""
        resized = self.resize or self.image
        return (resized[0] - self.size[0]) // 2, (resized[1] - self.size[1]) // 2

    def apply(self, image: Array, where: str) -> Array:
        """Return an image `(h, w, 3)` uint8 as the clip's frame.

        Raises:
            DataError: the crop is larger than the image.
        """
        if min(self.origin) < 0:
            raise DataError(f"{where}: expected images of at least the crop {self.crop}, got {image.shape[:2]}.")
        if self.resize is not None:
            resized: Array = resize_pixels(image[None], self.window(), self.size)[0]
            return resized
        (top, left), (height, width) = self.origin, self.size
        return image[int(top) : int(top) + height, int(left) : int(left) + width]

    def window(self) -> tuple[float, float, float, float]:
        """Return the part of the stored image that is seen: left, top, right, bottom."""
        top, left = self.origin[0] / self.scale[0], self.origin[1] / self.scale[1]
        return left, top, left + self.size[1] / self.scale[1], top + self.size[0] / self.scale[0]


def pixel_tracks(frames: Sequence[CameraFrame], ids: Sequence[str]) -> Array:
    """Return `(n, t, 4)` xmin ymin xmax ymax in pixels of the stored image, NaN where an object is not."""
    out = np.full((len(ids), len(frames), 4), np.nan)
    row = {name: number for number, name in enumerate(ids)}
    for place, frame in enumerate(frames):
        for name, box in frame.boxes.items():
            if name in row:
                x, y, w, h = box.center_x, box.center_y, box.length, box.width
                out[row[name], place] = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    return out


def in_crop(pixels: Array, placement: Placement) -> Array:
    """Return boxes xmin ymin xmax ymax in pixels of the clip's frame, not clipped."""
    (sy, sx), (top, left) = placement.scale, placement.origin
    moved: Array = pixels * (sx, sy, sx, sy) - (left, top, left, top)
    return moved


@frozen
class Selection:
    """Which tracks count, and what each stage left out.

    Attributes:
        rows: of the tracks that came in.
        stages: one entry per stage, as plain JSON values.
    """

    rows: Array
    stages: tuple[Mapping[str, Any], ...]


def select_tracks(
    ids: Sequence[str],
    boxes: Array,
    types: Sequence[int],
    wanted_types: Sequence[str] | None,
    min_area: float | None,
    max_boxes: int | None,
) -> Selection:
    """Return the tracks that count, by their boxes in the first frame.

    Args:
        boxes: `(n, t, 4)` normalised to the clip's frame, clipped or not as the rule wants; NaN is absent.
        min_area: share of the frame that the first box has at least. Source: 4DS paper, A.2.4.
        max_boxes: of more, the largest of the first frame count; of equal ones, the first by id.
    """
    first = boxes[:, 0]
    area = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1])
    keep = np.ones(len(ids), bool)
    stages: list[Mapping[str, Any]] = []

    def stage(name: str, passed: Array, **facts: Any) -> None:
        out = [ids[int(row)] for row in np.flatnonzero(keep & ~passed)]
        np.logical_and(keep, passed, out=keep)
        stages.append({"stage": name, **facts, "left_out": out, "kept": int(keep.sum())})

    if wanted_types is not None:
        named = np.array([TYPES.get(kind, "unknown") in wanted_types for kind in types], bool)
        stage("type", named, types=list(wanted_types))
    if min_area is not None or max_boxes is not None:
        stage("present in the first frame", np.isfinite(area))
    if min_area is not None:
        with np.errstate(invalid="ignore"):
            stage("area in the first frame", area >= min_area, min_area=min_area)
    if max_boxes is not None:
        order = np.argsort(-np.where(keep, area, -1.0), kind="stable")[:max_boxes]
        stage("the largest in the first frame", np.isin(np.arange(len(ids)), order), max_boxes=max_boxes)
    return Selection(np.flatnonzero(keep), tuple(stages))
