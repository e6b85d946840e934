"""Intersection over union of tracked boxes.

IoU does not change when an axis is scaled, so boxes normalised by height and width give the IoU of
pixels whatever the aspect of the frame. Widths are differences of edges; there is no `+ 1`.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, TypeAlias

import numpy as np

from probe4d_metrics.estimators import Estimator, Mean, Ratio, Total
from probe4d_metrics.shapes import check_shapes
from probe4d_metrics.state import Fields, Measured, Metric

__all__ = ["SUCCESS_THRESHOLDS", "BoxIoU", "box_iou", "pairwise_iou"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

SUCCESS_THRESHOLDS = np.arange(21) / 20  # 0, 0.05, …, 1 of the OTB success plot; IoU has to be more
SUCCESS_THRESHOLDS.flags.writeable = False
BLOCK = 1 << 14  # boxes at a time


def box_iou(pred_boxes: Array, target_boxes: Array) -> Array:
    """Return the IoU `(...)` of boxes `(..., 4)` = (ymin, xmin, ymax, xmax), row by row.

    A box that is inverted or has a NaN or infinite edge, and a pair without any area, have IoU 0.

    >>> box_iou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[0.0, 1.0, 2.0, 3.0]]))
    array([0.33333333])
    """
    pred, target = np.asarray(pred_boxes), np.asarray(target_boxes)
    if pred.shape != target.shape or pred.shape[-1:] != (4,):
        raise ValueError(f"boxes: expected two arrays of one shape (..., 4), got {pred.shape} and {target.shape}.")
    flat = pred.reshape(-1, 4), target.reshape(-1, 4)
    iou = np.empty(len(flat[0]))
    room, areas = np.empty((2, 4 * min(BLOCK, len(iou)))), np.empty((2, min(BLOCK, len(iou))))
    for start in range(0, len(iou), BLOCK):
        part = slice(start, start + BLOCK)
        edges = [np.ascontiguousarray(boxes[part], dtype=np.float64).reshape(-1) for boxes in flat]
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            _iou_of_rows(edges[0], edges[1], room[:, : edges[0].size], areas[:, : len(iou[part])], iou[part])
    return iou.reshape(pred.shape[:-1])


def _iou_of_rows(pred: Array, target: Array, room: Array, areas: Array, out: Array) -> None:
    """Write the IoU of boxes that lie one after the other, `(4 * boxes,)`.

    `room (2, 4 * boxes)` and `areas (2, boxes)` are to work in.

    All four edges go through each operation in one run. Then a number two places on, less the one here,
    is a side for the first two of four places, and of no use for the others.
    """
    low, high = room
    np.subtract(pred[2:], pred[:-2], out=low[:-2])
    np.subtract(target[2:], target[:-2], out=high[:-2])
    np.multiply(low[0::4], low[1::4], out=areas[0])
    np.multiply(high[0::4], high[1::4], out=areas[1])
    areas[0] += areas[1]
    np.maximum(pred, target, out=low)
    np.minimum(pred, target, out=high)
    overlap = np.subtract(high[2:], low[:-2], out=low[:-2])
    np.maximum(overlap, 0.0, out=overlap)  # an inverted box overlaps nothing; NaN stays
    np.multiply(overlap[0::4], overlap[1::4], out=out)
    _over_union(areas[0], out)


def pairwise_iou(pred_boxes: Array, target_boxes: Array) -> Array:
    """Return the IoU `(m, n)` of every one of `(m, 4)` with every one of `(n, 4)` boxes, as `box_iou`.

    >>> pairwise_iou(np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([[0.0, 0.0, 1.0, 2.0], [5.0, 5.0, 6.0, 6.0]]))
    array([[0.5, 0. ]])
    """
    sizes = check_shapes(pred_boxes=(pred_boxes, "m 4"), target_boxes=(target_boxes, "n 4"))
    target = np.ascontiguousarray(np.asarray(target_boxes, dtype=np.float64).T)[:, None, :]
    iou = np.empty((sizes["m"], sizes["n"]))
    step = max(1, BLOCK // max(1, sizes["n"]))
    room, areas = np.empty((2, 2, step, sizes["n"])), np.empty((step, sizes["n"]))
    for start in range(0, sizes["m"], step):
        pred = np.asarray(pred_boxes[start : start + step], dtype=np.float64).T[:, :, None]
        count = pred.shape[1]
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            union = np.add(_area(pred), _area(target), out=areas[:count])
            _divide_overlap(pred, target, union, room[:, :, :count], iou[start : start + step])
    return iou


def _area(edges: Array) -> Array:
    return np.asarray((edges[2] - edges[0]) * (edges[3] - edges[1]))


def _divide_overlap(pred: Array, target: Array, areas: Array, room: Array, out: Array) -> None:
    """Write the IoU of boxes given by edge, `(4, …)` each.

    Args:
        areas: the sum of the two areas; becomes the union.
        room: `(2, 2, …)` to work in.
    """
    overlap, low = room
    np.minimum(pred[2:], target[2:], out=overlap)
    np.maximum(pred[:2], target[:2], out=low)
    overlap -= low
    np.maximum(overlap, 0.0, out=overlap)  # an inverted box overlaps nothing; NaN stays
    np.multiply(overlap[0], overlap[1], out=out)
    _over_union(areas, out)


def _over_union(areas: Array, out: Array) -> None:
    """Turn overlaps into IoU; `areas`, the sum of both areas, becomes the union."""
    areas -= out
    out /= areas
    defined = np.isfinite(out)
    if not defined.all():
        out[~defined] = 0.0


class BoxIoU(Metric):
    """Mean IoU of tracked boxes, pooled and nested, and the area under the success plot.

    Predictions: `boxes (n, t, 4)`, optional `present (n, t)` bool. Targets: the same. Edges are
    (ymin, xmin, ymax, xmax) as shares of the frame. A box counts where the target is present; one
    that is absent or broken in the prediction has IoU 0 there.

    Args:
        skip_first_frame: whether the frame in which the boxes are given is left out.
    """

    values: ClassVar[dict[str, Estimator]] = {
        "mean_iou": Ratio("iou_sum", "boxes"),
        "mean_iou_nested": Mean(Ratio("iou_sum", "boxes")),
        "success_auc": Ratio("successes", "attempts"),
    }
    notes: ClassVar[dict[str, Estimator]] = {"absent_boxes": Total("absent"), "broken_boxes": Total("broken")}

    def __init__(self, skip_first_frame: bool = True) -> None:
        self.skip_first_frame = skip_first_frame

    def measure_batch(self, predictions: Fields, targets: Fields, size: int) -> Measured:
        """Return the sums of `size` clips, boxes `(b, n, t, 4)` and present `(b, n, t)`."""
        pred, target = (np.asarray(side["boxes"]) for side in (predictions, targets))
        check_shapes(pred_boxes=(pred, "b n t 4"), target_boxes=(target, "b n t 4"))
        predicted, counted = _present("predictions", predictions, pred), _present("targets", targets, target).copy()
        counted[:, :, : int(self.skip_first_frame)] = False
        if not _is_sound(target)[counted].all():
            raise ValueError("targets.boxes: expected finite boxes with ymin <= ymax, xmin <= xmax where present.")
        broken = counted & predicted & ~_is_sound(pred)
        used = counted & predicted & ~broken
        iou = box_iou(pred, target)
        iou[~used] = 0.0
        boxes = counted.sum(axis=(1, 2))
        # Exact sums of what counts, so that no padding changes a bit.
        sums = np.array([math.fsum(own[seen].tolist()) for own, seen in zip(iou, used, strict=True)])
        over = [(iou > threshold).sum(axis=(1, 2)) for threshold in SUCCESS_THRESHOLDS]
        columns = {
            "iou_sum": sums,
            "boxes": boxes,
            "successes": np.sum(over, axis=0),
            "attempts": boxes * len(SUCCESS_THRESHOLDS),
            "absent": (counted & ~predicted).sum(axis=(1, 2)),
            "broken": broken.sum(axis=(1, 2)),
        }
        nothing = boxes == 0
        after = " after the first frame" if self.skip_first_frame else ""
        reasons = dict.fromkeys(np.flatnonzero(nothing).tolist(), f"no target box is present{after}")
        return Measured(columns, reasons, nothing)


def _present(role: str, fields: Fields, boxes: Array) -> Array:
    if fields.get("present") is None:
        return np.ones(boxes.shape[:-1], dtype=bool)
    present = np.asarray(fields["present"])
    if present.dtype != np.bool_ or present.shape != boxes.shape[:-1]:
        raise ValueError(
            f"{role}.present: expected bool of shape {boxes.shape[:-1]}, got {present.dtype} of {present.shape}."
        )
    return present


def _is_sound(boxes: Array) -> Array:
    """Return where a box has finite edges in the right order."""
    with np.errstate(invalid="ignore"):
        ordered = (boxes[..., 2] >= boxes[..., 0]) & (boxes[..., 3] >= boxes[..., 1])
    return np.asarray(ordered & np.isfinite(boxes).all(axis=-1))
