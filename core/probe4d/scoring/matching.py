"""Which predicted row belongs to which target row: by ids, or by overlap in the first frame."""

from __future__ import annotations

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import DataError

__all__ = ["assign", "first_overlap", "pairwise_iou", "rows_by_ids", "take_rows"]


def rows_by_ids(field: str, predicted: Array, target: Array) -> Array:
    """Return for each target row the predicted row of the same id, -1 where there is none `(n,)`.

    Raises:
        DataError: an id occurs twice on one side.
    """
    for role, ids in (("predictions", predicted), ("targets", target)):
        found, counts = np.unique(ids, return_counts=True)
        if (counts > 1).any():
            twice = found[int(np.argmax(counts > 1))]
            raise DataError(f"{role}.{field}: expected each id once, got {twice} twice.")
    places = {value: row for row, value in enumerate(predicted.tolist())}
    return np.array([places.get(value, -1) for value in target.tolist()], dtype=np.int64)


def take_rows(values: Array, rows: Array, missing: float | bool) -> Array:
    """Return `values[rows]`, with `missing` where a row is -1."""
    taken = values[np.maximum(rows, 0)] if len(values) else np.empty((len(rows), *values.shape[1:]), values.dtype)
    taken[rows < 0] = missing
    return taken


def first_overlap(predicted: Array, predicted_present: Array, target: Array, target_present: Array) -> Array:
    """Return for each target the predicted row that it is assigned to, -1 for none `(n,)`.

    Each pair weighs its IoU in the first frame in which the target is present; the assignment is
    one-to-one and of the largest total; pairs that do not overlap are never made.

    Args:
        predicted: `(m, t, 4)` = (ymin, xmin, ymax, xmax); predicted_present: `(m, t)` bool.
        target: `(n, t, 4)`; target_present: `(n, t)` bool.
    """
    overlap = np.zeros((len(target), len(predicted)))
    for row in np.flatnonzero(target_present.any(axis=1)):
        frame = int(np.argmax(target_present[row]))
        iou = pairwise_iou(target[row, frame][None], predicted[:, frame])[0]
        overlap[row] = np.where(predicted_present[:, frame], iou, 0.0)
    rows = assign(overlap)
    chosen = np.take_along_axis(overlap, np.maximum(rows, 0)[:, None], axis=1)[:, 0] if overlap.size else np.zeros(0)
    return np.where((rows >= 0) & (chosen > 0), rows, -1) if overlap.size else np.full(len(target), -1)


def pairwise_iou(first: Array, second: Array) -> Array:
    """Return the IoU of every pair of boxes `(n, m)`; 0 for an inverted, empty or NaN box.

    Args:
        first: `(n, 4)`, second: `(m, 4)` = (ymin, xmin, ymax, xmax).
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    union = _area(first)[:, None] + _area(second)[None] - shared
    valid = (_area(first)[:, None] > 0) & (_area(second)[None] > 0) & (union > 0)
    return np.where(valid, shared / np.where(valid, union, 1), 0.0)


def _area(boxes: Array) -> Array:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(np.where((sides > 0).all(axis=1), np.prod(sides, axis=1), 0.0))


def assign(weights: Array) -> Array:
    """Return for each row the column that it is given, -1 for none, one-to-one, of largest total weight.

    The Hungarian method by shortest augmenting paths, O(n² m).

    Args:
        weights: `(n, m)`, finite. Where n > m, n − m rows get none.

    Source: Kuhn (1955); the potentials form after Jonker and Volgenant (1987).
    """
    rows, columns = weights.shape
    if rows == 0 or columns == 0:
        return np.full(rows, -1, dtype=np.int64)
    if rows > columns:
        owner = assign(weights.T)
        chosen = np.full(rows, -1, dtype=np.int64)
        chosen[owner] = np.arange(columns)
        return chosen
    owner = _shortest_paths(-weights)
    chosen = np.full(rows, -1, dtype=np.int64)
    chosen[owner[owner >= 0]] = np.flatnonzero(owner >= 0)
    return chosen


def _shortest_paths(costs: Array) -> Array:
    """Return for each column the row that owns it, -1 for none; `costs (n, m)`, n <= m."""
    rows, columns = costs.shape
    owner = np.full(columns + 1, -1, dtype=np.int64)  # the last column is where a search starts
    row_potential, column_potential = np.zeros(rows), np.zeros(columns + 1)
    for row in range(rows):
        owner[columns] = row
        distance, previous = np.full(columns, np.inf), np.full(columns, columns, dtype=np.int64)
        done = np.zeros(columns + 1, dtype=bool)
        column = columns
        while owner[column] >= 0:
            done[column] = True
            current = owner[column]
            slack = costs[current] - row_potential[current] - column_potential[:columns]
            nearer = ~done[:columns] & (slack < distance)
            distance[nearer], previous[nearer] = slack[nearer], column
            following = int(np.argmin(np.where(done[:columns], np.inf, distance)))
            step = distance[following]
            row_potential[owner[done]] += step
            column_potential[done] -= step
            distance[~done[:columns]] -= step
            column = following
        while column != columns:
            owner[column] = owner[previous[column]]
            column = int(previous[column])
    return owner[:columns]
