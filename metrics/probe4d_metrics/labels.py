"""Top-1 and top-5 accuracy."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import numpy as np

from probe4d_metrics.estimators import Estimator, Mean, Total
from probe4d_metrics.shapes import check_shapes
from probe4d_metrics.state import Fields, Measured, Metric

__all__ = ["Accuracy", "label_ranks"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

BLOCK = 1 << 18  # logits compared at a time


def label_ranks(logits: Array, labels: Array) -> Array:
    """Return `(b,)` how many classes stand before the label: 0 is top-1, less than 5 is top-5.

    Among equal logits the first index stands first. A row with a NaN ranks its label last: `c`.

    Args:
        logits: `(b, c)`.
        labels: `(b,)` integers in [0, c).

    Raises:
        ValueError: a shape is wrong, or a label is out of range.

    >>> label_ranks(np.array([[0.1, 0.7, 0.7], [0.1, np.nan, 0.2]]), np.array([2, 2]))
    array([1, 3])
    """
    sizes = check_shapes(logits=(logits, "b c"), labels=(labels, "b"))
    classes = sizes["c"]
    _check_labels(labels, classes)
    ranks = np.empty(sizes["b"], dtype=np.int64)
    rows = max(1, BLOCK // max(1, classes))
    for start in range(0, sizes["b"], rows):
        part, of = logits[start : start + rows], labels[start : start + rows, None]
        own = np.take_along_axis(part, of, axis=1)
        before = (part > own) | ((part == own) & (np.arange(classes) < of))
        ranks[start : start + rows] = np.where(np.isnan(part).any(axis=1), classes, before.sum(axis=1))
    return ranks


class Accuracy(Metric):
    """Top-1 and top-5 of labels.

    Predictions: `logits (c,)`, or `label ()` where there are none (then top-5 is undefined).
    Targets: `label ()` integer.
    """

    values: ClassVar[dict[str, Estimator]] = {"top1": Mean("top1"), "top5": Mean("top5")}
    notes: ClassVar[dict[str, Estimator]] = {"nan_rows": Total("nan_rows")}

    def measure_batch(self, predictions: Fields, targets: Fields, size: int) -> Measured:
        """Return whether the labels are first, and among the first five: `logits (b, c)` or `label (b,)`."""
        if ("logits" in predictions) == ("label" in predictions):
            raise ValueError(f"predictions: expected either logits or label, got {sorted(predictions)}.")
        labels = _integers("targets.label", targets["label"])
        if "label" in predictions:
            predicted = _integers("predictions.label", predictions["label"])
            check_shapes(predicted=(predicted, "b"), labels=(labels, "b"))
            none = np.zeros(size)
            return Measured({"top1": predicted == labels, "top5": np.full(size, np.nan), "nan_rows": none})
        logits = np.asarray(predictions["logits"])
        ranks = label_ranks(logits, labels)
        nan = np.isnan(logits).any(axis=1)
        return Measured({"top1": (ranks < 1) & ~nan, "top5": (ranks < 5) & ~nan, "nan_rows": nan})


def _integers(where: str, values: Any) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{where}: expected integers, got {array.dtype}.")
    return array


def _check_labels(labels: Array, classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels: expected integers, got {labels.dtype}.")
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise ValueError(f"labels: expected 0 to {classes - 1}, got {int(labels[wrong][0])}.")
