"""Box tracks: whatever order and unit, as (ymin, xmin, ymax, xmax), rows associated as stated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays, Field, MetaKey, Role
from probe4d.errors import DataError
from probe4d.scoring.matching import first_overlap, rows_by_ids, take_rows

__all__ = ["Boxes"]

Meta = Mapping[Role, Mapping[str, Any]]

OUTSIDE = 4.0  # normalized coordinates beyond this are pixels in truth
FIELDS = {
    "boxes": Field(dims="n t 4", dtypes="fiu", finite=False, summary="four numbers in the stated order"),
    "present": Field(dims="n t", dtypes="b", required=False, summary="False where there is no box; default all"),
    "track_ids": Field(dims="n", dtypes="iuU", required=False, summary="what --match ids matches"),
    "frame_ids": Field(dims="t", dtypes="iu", required=False, summary="the video's frame that each frame is"),
    "frame_size": Field(dims="2", dtypes="iuf", required=False, summary="(height, width), where it differs by sample"),
}
META = {
    "order": MetaKey(
        choices=("xyxy", "yxyx", "xywh", "cxcywh"),
        required=True,
        summary="two corners, x or y first; a corner and sizes; or the centre and sizes",
    ),
    "coords": MetaKey(choices=("normalized", "pixels"), required=True, summary="the unit of `boxes`"),
    "frame_size": MetaKey(type="size", summary="[height, width] of the frames that pixels are of"),
}
SKIP = MetaKey(type="boolean", default=True, summary="whether the first frame, which is given, is left out")


class Boxes:
    """The kind `boxes`.

    Args:
        match: `rows`, `ids` (by `track_ids`) or `first-overlap`; see `probe4d.scoring.matching`.
    """

    def __init__(self, match: str = "rows") -> None:
        self.match = match

    def choices(self) -> Mapping[str, tuple[str, ...]]:
        """Return the options of `probe4d score`; association is stated, never assumed."""
        return {"match": ("", "rows", "ids", "first-overlap")}

    def fields(self, role: Role) -> Mapping[str, Field]:
        """Return the fields of a sample."""
        return FIELDS

    def meta(self, role: Role) -> Mapping[str, MetaKey]:
        """Return the conventions of a file."""
        return META if role == "predictions" else {**META, "skip_first_frame": SKIP}

    def formats(self) -> Mapping[str, str]:
        """Return the foreign formats."""
        return {
            "mot": "probe4d.scoring.foreign.mot:open_mot",
            "perception-test": "probe4d.scoring.foreign.perception_test:open_boxes",
        }

    def metric_options(self, meta: Meta) -> Mapping[str, Any]:
        """Return whether the first frame is left out."""
        return {"skip_first_frame": meta["targets"]["skip_first_frame"]}

    def read(self, predictions: Arrays, targets: Arrays, meta: Meta) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return boxes `(n, t, 4)` = (ymin, xmin, ymax, xmax), one predicted row per target.

        Raises:
            DataError: see `Kind.read`.
        """
        sizes = _frame_sizes(predictions, targets, meta)
        target = _corners(targets, meta["targets"], sizes["targets"])
        target_present = _present(targets)
        _check_targets(target, target_present, meta["targets"]["coords"])
        pred = _corners(predictions, meta["predictions"], sizes["predictions"])
        present = _present(predictions)
        _check_finite("predictions", pred, present)
        pred, present = _on_frames(pred, present, predictions, targets, target.shape[1])
        rows = self._rows(pred, present, predictions, target, target_present, targets)
        if rows is not None:
            pred, present = take_rows(pred, rows, 0.0), take_rows(present, rows, False)
        # Where there is no box the numbers mean nothing and may be NaN.
        pred, target = np.where(present[..., None], pred, 0.0), np.where(target_present[..., None], target, 0.0)
        return {"boxes": pred, "present": present}, {"boxes": target, "present": target_present}

    def _rows(
        self, pred: Array, present: Array, predictions: Arrays, target: Array, target_present: Array, targets: Arrays
    ) -> Array | None:
        if self.match == "first-overlap":
            return first_overlap(pred, present, target, target_present)
        if self.match == "ids":
            for role, arrays in (("predictions", predictions), ("targets", targets)):
                if "track_ids" not in arrays:
                    raise DataError(f"{role}.track_ids: expected ids (n,) for --match ids, got none. Use --match rows.")
            return rows_by_ids("track_ids", predictions["track_ids"], targets["track_ids"])
        if len(pred) != len(target):
            raise DataError(
                f"predictions.boxes: expected {len(target)} rows for --match rows, as the targets, got {len(pred)}. "
                "Match by ids or first-overlap instead."
            )
        return None

    def worst(self, targets: Arrays, meta: Meta) -> Arrays:
        """Return rows in which no box is present."""
        shape = targets["boxes"].shape
        wrong: dict[str, Array] = {
            "boxes": np.zeros(shape),
            "present": np.zeros(shape[:2], dtype=bool),
            "frame_size": np.ones(2),
        }
        for name in ("track_ids", "frame_ids"):
            if name in targets:
                wrong[name] = targets[name]
            elif name == "track_ids":
                wrong[name] = np.arange(shape[0])
        return wrong

    def example(self, seed: int) -> tuple[Arrays, Arrays, Meta]:
        """Return three boxes over five frames."""
        random = np.random.default_rng(seed)
        low = random.uniform(0, 0.5, (3, 5, 2))
        boxes = np.concatenate([low, low + random.uniform(0.1, 0.4, (3, 5, 2))], axis=-1)
        convention = {"order": "yxyx", "coords": "normalized"}
        return (
            {"boxes": boxes.copy()},
            {"boxes": boxes},
            {"predictions": convention, "targets": {**convention, "skip_first_frame": True}},
        )

    def from_dataset(self, targets: Arrays, size: tuple[int, int]) -> tuple[Arrays, Mapping[str, Any]]:
        """Return a dataset's boxes, which are normalized, as a file has them."""
        fields = {name: np.asarray(value) for name, value in targets.items() if name in FIELDS}
        return fields, {"order": "yxyx", "coords": "normalized"}


def _frame_sizes(predictions: Arrays, targets: Arrays, meta: Meta) -> dict[Role, tuple[float, float]]:
    """Return what each file's pixels are divided by.

    `same` says that both files are in pixels of the same image. Scale does not change an IoU, so
    that no size is needed then.
    """
    stated: dict[Role, Any] = {}
    arrays: dict[Role, Arrays] = {"predictions": predictions, "targets": targets}
    for role, fields in arrays.items():
        if meta[role]["coords"] == "normalized":
            stated[role] = (1.0, 1.0)
        else:
            stated[role] = fields["frame_size"].tolist() if "frame_size" in fields else meta[role].get("frame_size")
        if stated[role] is None:
            raise DataError(
                f"{role}.boxes: expected a frame_size with coords=pixels, got none. Add --meta frame_size=<height>,"
                "<width>, or frame_size=same if predictions and targets are in pixels of the same image."
            )
    pixels = [role for role in arrays if meta[role]["coords"] == "pixels"]
    known = [stated[role] for role in pixels if stated[role] != "same"]
    if len(pixels) == 1 and not known:
        raise DataError(f"{pixels[0]}.boxes: expected a frame_size of numbers beside normalized boxes, got 'same'.")
    sizes = {role: (known[0] if known else (1.0, 1.0)) if size == "same" else size for role, size in stated.items()}
    for role, (height, width) in sizes.items():
        if not (0 < height < 1e6 and 0 < width < 1e6):
            raise DataError(f"{role}.frame_size: expected (height, width) in pixels, got {(height, width)}.")
    return {role: (float(height), float(width)) for role, (height, width) in sizes.items()}


def _corners(arrays: Arrays, meta: Mapping[str, Any], size: tuple[float, float]) -> Array:
    a, b, c, d = np.moveaxis(arrays["boxes"].astype(np.float64), -1, 0)
    height, width = size
    with np.errstate(over="ignore", invalid="ignore"):
        if meta["order"] == "yxyx":
            corners = (a, b, c, d)
        elif meta["order"] == "xyxy":
            corners = (b, a, d, c)
        elif meta["order"] == "xywh":
            corners = (b, a, b + d, a + c)
        else:
            corners = (b - d / 2, a - c / 2, b + d / 2, a + c / 2)
        return np.asarray(np.stack(corners, axis=-1) / np.array([height, width, height, width]))


def _present(arrays: Arrays) -> Array:
    if "present" in arrays:
        return arrays["present"]
    return np.ones(arrays["boxes"].shape[:2], dtype=bool)


def _check_finite(role: Role, boxes: Array, present: Array) -> None:
    wrong = present & ~(np.abs(boxes) < 1e100).all(axis=-1)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            f"{role}.boxes: expected finite numbers where a box is present, got {boxes[at].tolist()} at row {at[0]}, "
            f"frame {at[1]}. Say where there is no box by `present (n, t)`."
        )


def _check_targets(boxes: Array, present: Array, coords: str) -> None:
    _check_finite("targets", boxes, present)
    inverted = present & ~((boxes[..., 2:] > boxes[..., :2]).all(axis=-1))
    if inverted.any():
        row, frame = (int(i) for i in np.argwhere(inverted)[0])
        raise DataError(
            f"targets.boxes: expected boxes with a size, got an inverted or empty one at row {row}, frame {frame}. "
            "Is the order right?"
        )
    if coords == "normalized" and present.any() and np.abs(boxes[present]).max() > OUTSIDE:
        raise DataError(
            f"targets.boxes: expected normalized coordinates, got {np.abs(boxes[present]).max():g}. Are they pixels?"
        )


def _on_frames(boxes: Array, present: Array, predictions: Arrays, targets: Arrays, frames: int) -> tuple[Array, Array]:
    """Return the predictions on the targets' frames; a frame that they lack has no box."""
    if "frame_ids" not in predictions:
        if boxes.shape[1] != frames:
            raise DataError(
                f"predictions.boxes: expected {frames} frames, as the targets, got {boxes.shape[1]}. "
                "Write these frames only, or frame_ids (t,) that say which frames they are."
            )
        return boxes, present
    target_ids = targets.get("frame_ids", np.arange(frames))
    rows = rows_by_ids("frame_ids", predictions["frame_ids"], target_ids)
    taken = take_rows(boxes.swapaxes(0, 1), rows, 0.0), take_rows(present.swapaxes(0, 1), rows, False)
    return taken[0].swapaxes(0, 1), taken[1].swapaxes(0, 1)
