"""TAP-Vid's point-tracking metrics: average Jaccard, occlusion accuracy, points within a distance.

Source: Doersch et al., TAP-Vid (2022), Sec. 3.1, and tapnet's `compute_tapvid_metrics`, whose float64
numbers these are, bit for bit. Here the squared distance is taken once; five compares turn it into a
level 0 to 5; a level and three flags make one code per point; and one histogram of the codes per
video holds every count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, TypeAlias

import numpy as np

from probe4d_metrics.estimators import Average, Estimator, Mean, Ratio, Total
from probe4d_metrics.shapes import check_shapes
from probe4d_metrics.state import Fields, Measured, Metric

__all__ = ["RASTER", "THRESHOLDS", "PointTracks", "count_points", "tapvid_metrics", "to_raster"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

RASTER = 256  # pixels a side, in which distances are measured
THRESHOLDS = (1, 2, 4, 8, 16)  # pixels; a point is within when it is strictly nearer

LEVELS = 8  # of which 0..5 are used: how many thresholds a point is within
VISIBLE, PREDICTED, EVALUATED = 8, 16, 32  # flags of a code, above its level
CODES = 64
BLOCK = 1 << 16  # points at a time: buffers that stay in the caches


def to_raster(tracks: Array, frame_size: Any) -> Array:
    """Return tracks in the 256x256 raster: x * 256 / width, y * 256 / height.

    Args:
        tracks: `(..., 2)` = (x, y) in pixels of the frame, corner origin (no half-pixel shift).
        frame_size: `(height, width)` in pixels.

    >>> to_raster(np.array([[320.0, 120.0]]), (240, 640))
    array([[128., 128.]])
    """
    height, width = (float(side) for side in frame_size)
    if not (height > 0 and width > 0):
        raise ValueError(f"frame_size: expected a positive (height, width), got {(height, width)}.")
    return np.asarray(tracks * float(RASTER) / np.array([width, height], dtype=np.result_type(tracks, np.float32)))


def tapvid_metrics(
    pred_tracks: Array,
    pred_visible: Array | None,
    target_tracks: Array,
    target_visible: Array,
    query_points: Array,
    query_mode: str,
    evaluated: Array | None = None,
) -> dict[str, Array]:
    """Return every TAP-Vid metric of each video, `(b,)` each; NaN where a video does not define it.

    Args:
        pred_tracks: `(b, n, t, 2)` = (x, y) in pixels of the 256x256 raster. NaN and infinity are
            "not within" any threshold.
        pred_visible: `(b, n, t)` bool; None leaves only the `points_within` values defined.
        target_tracks: `(b, n, t, 2)`, as `pred_tracks`.
        target_visible: `(b, n, t)` bool.
        query_points: `(b, n, 3)` = (t, y, x); only the frame is used, rounded half to even.
        query_mode: `first` evaluates the frames after the query frame, `strided` all but it.
        evaluated: `(b, n, t)` bool, False for points that are padding.

    Raises:
        ValueError: a shape is wrong, a query frame is outside of the video, or a visible target is NaN.

    >>> tracks = np.array([[[[10.0, 10.0], [12.0, 10.0], [20.0, 10.0]]]])
    >>> seen = np.ones((1, 1, 3), dtype=bool)
    >>> found = tapvid_metrics(tracks + [1.5, 0.0], seen, tracks, seen, np.zeros((1, 1, 3)), "first")
    >>> float(found["points_within_1"][0]), float(found["points_within_2"][0]), float(found["average_jaccard"][0])
    (0.0, 1.0, 0.8)
    """
    columns = count_points(
        pred_tracks, pred_visible, target_tracks, target_visible, query_points, query_mode, evaluated
    )
    return {name: estimator.of_samples(columns) for name, estimator in PointTracks.values.items()}


def count_points(
    pred_tracks: Array,
    pred_visible: Array | None,
    target_tracks: Array,
    target_visible: Array,
    query_points: Array,
    query_mode: Any,
    evaluated: Array | None = None,
) -> dict[str, Array]:
    """Return the counts that the metrics are ratios of, `(b,)` each.

    Takes what `tapvid_metrics` takes; `query_mode` may also be `(b,)` strings.

    Returns:
        `evaluated`, `visible` and `occlusion_agrees` points; for each threshold `within_*` (visible points
        whose prediction is within), `true_positives_*` (those also predicted visible) and `union_*`
        (visible points and false positives together); `nan_points`, evaluated points with a NaN or
        infinite prediction. Without `pred_visible` what depends on it is NaN.
    """
    sizes = check_shapes(
        pred_tracks=(pred_tracks, "b n t 2"),
        target_tracks=(target_tracks, "b n t 2"),
        target_visible=(target_visible, "b n t"),
        query_points=(query_points, "b n 3"),
        **({} if pred_visible is None else {"pred_visible": (pred_visible, "b n t")}),
        **({} if evaluated is None else {"evaluated": (evaluated, "b n t")}),
    )
    flags = (
        _flags("target_visible", target_visible),
        None if pred_visible is None else _flags("pred_visible", pred_visible),
        None if evaluated is None else _flags("evaluated", evaluated),
    )
    histogram, nan_points = _histogram(
        pred_tracks, target_tracks, flags, _query_rows(query_points, query_mode, sizes["t"])
    )
    return {**_counts(histogram, pred_visible is not None), "nan_points": nan_points}


def _query_rows(query_points: Array, query_mode: Any, frames: int) -> Array:
    """Return `(b * n,)` which row of `_evaluation_windows` each query has."""
    modes = np.asarray(query_mode)
    strided = modes == "strided"
    fits = modes.shape in ((), query_points.shape[:1])
    if not fits or not np.all(strided | (modes == "first")):
        raise ValueError(f"query_mode: expected 'first' or 'strided', got {query_mode!r}.")
    query_frames = np.asarray(query_points[..., 0])
    with np.errstate(invalid="ignore"):
        rounded = np.round(query_frames)
        inside = (rounded >= 0) & (rounded < frames)
    if not inside.all():
        raise ValueError(
            f"query_points: expected frames from 0 to {frames - 1}, got {float(query_frames[~inside][0])}."
        )
    starts = frames - 1 - rounded.astype(np.int64)
    return np.asarray(starts + np.reshape(strided, (-1, 1)) * (2 * frames - 1)).reshape(-1)


def _evaluation_windows(frames: int) -> Array:
    """Return a view whose row `frames - 1 - q` holds the flag of every frame for the query frame q.

    The rows are windows that slide over one step (`first`: 0 up to the query frame, set after it), and
    over one notch (`strided`: 0 at the query frame only), which stand one after the other.
    """
    step = np.repeat(np.array([0, EVALUATED], np.uint8), [frames, frames - 1])
    notch = np.full(2 * frames - 1, EVALUATED, np.uint8)
    notch[frames - 1] = 0
    return np.lib.stride_tricks.sliding_window_view(np.concatenate([step, notch]), frames)


def _histogram(
    pred_tracks: Array, target_tracks: Array, flags: tuple[Array, Array | None, Array | None], queries: Array
) -> tuple[Array, Array]:
    """Return how many points of each video have each code `(b, 64)`, and how many predictions are not finite `(b,)`."""
    videos, tracks, frames = flags[0].shape
    histogram = np.zeros((videos, CODES), dtype=np.int64)
    nan_points = np.zeros(videos)
    if not (videos and tracks and frames):
        return histogram, nan_points
    pred, target = pred_tracks.reshape(-1, frames, 2), target_tracks.reshape(-1, frames, 2)
    visible, predicted, counted = (None if flag is None else flag.reshape(-1, frames) for flag in flags)
    assert visible is not None
    codes_of = _Codes(frames, np.result_type(pred, target, np.float32))
    for rows in _row_blocks(videos, tracks, frames):
        within = slice(rows.start // tracks, (rows.stop - 1) // tracks + 1)  # the videos of these rows
        here = within.stop - within.start
        evaluated = codes_of.evaluated(queries[rows], None if counted is None else counted[rows])
        seen = None if predicted is None else predicted[rows]
        codes, all_finite = codes_of(pred[rows], target[rows], visible[rows], seen, evaluated)
        if not all_finite:
            _check_targets(target[rows], visible[rows] & (evaluated > 0))
            bad = ~np.isfinite(pred[rows]).all(axis=-1) & (evaluated > 0)
            nan_points[within] += bad.reshape(here, -1).sum(axis=1)
        local = codes.reshape(here, -1).astype(np.intp)
        if here > 1:
            local += np.arange(here)[:, None] * CODES
        histogram[within] += np.bincount(local.reshape(-1), minlength=here * CODES).reshape(here, CODES)
    return histogram, nan_points


class _Codes:
    """The code of every point of a block, in buffers that are made once."""

    def __init__(self, frames: int, dtype: np.dtype[Any]) -> None:
        rows = max(1, BLOCK // frames)
        self.windows = _evaluation_windows(frames)
        self.difference = np.empty((rows, frames, 2), dtype)
        self.squared = np.empty((rows, frames), dtype)
        self.within = np.empty((rows, frames), bool)
        self.code = np.empty((rows, frames), np.uint8)

    def evaluated(self, queries: Array, counted: Array | None) -> Array:
        """Return `(rows, frames)` uint8, the flag where a point is evaluated."""
        # `take` is fast on short rows, and copies the windows, the square of the frames, first.
        short = self.windows.shape[1] <= 128
        flags = np.take(self.windows, queries, axis=0) if short else self.windows[queries]
        return flags if counted is None else np.asarray(flags * counted.view(np.uint8))

    def __call__(
        self, pred: Array, target: Array, visible: Array, predicted: Array | None, evaluated: Array
    ) -> tuple[Array, bool]:
        """Return the codes `(rows, frames)` uint8, and whether every distance is finite."""
        rows = len(pred)
        difference, squared = self.difference[:rows], self.squared[:rows]
        within, code = self.within[:rows], self.code[:rows]
        with np.errstate(invalid="ignore", over="ignore"):
            np.subtract(pred, target, out=difference)
            np.multiply(difference, difference, out=difference)
            np.add(difference[..., 0], difference[..., 1], out=squared)
            all_finite = bool(np.isfinite(squared.sum()))
            np.multiply(visible.view(np.uint8), np.uint8(VISIBLE), out=code)
            code += evaluated
            for threshold in THRESHOLDS:
                np.less(squared, threshold * threshold, out=within)
                code += within.view(np.uint8)
        if predicted is not None:
            code += predicted.view(np.uint8) * np.uint8(PREDICTED)
        return code, all_finite


def _row_blocks(videos: int, tracks: int, frames: int) -> Iterator[slice]:
    """Yield rows of `(videos * tracks)`: whole videos, or parts of one, about BLOCK points at a time."""
    if tracks * frames <= BLOCK:
        step = BLOCK // (tracks * frames) * tracks
        yield from (slice(start, min(start + step, videos * tracks)) for start in range(0, videos * tracks, step))
        return
    step = max(1, BLOCK // frames)
    for video in range(videos):
        for start in range(video * tracks, (video + 1) * tracks, step):
            yield slice(start, min(start + step, (video + 1) * tracks))


def _counts(histogram: Array, has_visibility: bool) -> dict[str, Array]:
    evaluated, predicted, visible, level = histogram.reshape(-1, 2, 2, 2, LEVELS)[:, 1], 1, 1, -1
    within = _at_least(evaluated[:, :, visible].sum(axis=1))
    true_positives = _at_least(evaluated[:, predicted, visible])
    target_visible = evaluated[:, :, visible].sum(axis=(1, 2))
    called_visible = evaluated[:, predicted].sum(axis=(1, 2))
    agrees = evaluated[:, 1, 1].sum(axis=level) + evaluated[:, 0, 0].sum(axis=level)
    missing = 0.0 if has_visibility else np.nan
    columns = {
        "evaluated": evaluated.sum(axis=(1, 2, 3)),
        "visible": target_visible,
        "occlusion_agrees": agrees + missing,
    }
    for i, px in enumerate(THRESHOLDS):
        columns[f"within_{px}"] = within[i]
        columns[f"true_positives_{px}"] = true_positives[i] + missing
        # False positives are all that is called visible and is not a true positive.
        columns[f"union_{px}"] = target_visible + called_visible - true_positives[i] + missing
    return {name: column.astype(np.float64) for name, column in columns.items()}


def _at_least(levels: Array) -> list[Array]:
    """Return, for each threshold, how many points are within it, of counts by level `(b, 8)`."""
    return [levels[:, len(THRESHOLDS) - i :].sum(axis=1) for i in range(len(THRESHOLDS))]


def _flags(name: str, array: Array) -> Array:
    if array.dtype != np.bool_:
        raise ValueError(f"{name}: expected bool, got {array.dtype}.")
    return array


def _check_targets(target: Array, counted: Array) -> None:
    if not np.isfinite(target[counted]).all():
        raise ValueError("target_tracks: expected finite coordinates where a point is visible, got NaN or infinity.")


class PointTracks(Metric):
    """TAP-Vid's metrics: means over videos of each video's own ratios.

    Predictions: `tracks (n, t, 2)` in the 256x256 raster, optional `visible (n, t)` bool.
    Targets: `tracks`, `visible`, `query_points (n, 3)`, `query_mode`, optional `evaluated (n, t)` bool.
    """

    values: ClassVar[dict[str, Estimator]] = {
        "average_jaccard": Mean(Average(tuple(Ratio(f"true_positives_{px}", f"union_{px}") for px in THRESHOLDS))),
        **{f"jaccard_{px}": Mean(Ratio(f"true_positives_{px}", f"union_{px}")) for px in THRESHOLDS},
        "occlusion_accuracy": Mean(Ratio("occlusion_agrees", "evaluated")),
        "points_within_delta": Mean(Average(tuple(Ratio(f"within_{px}", "visible") for px in THRESHOLDS))),
        **{f"points_within_{px}": Mean(Ratio(f"within_{px}", "visible")) for px in THRESHOLDS},
    }
    notes: ClassVar[dict[str, Estimator]] = {"nan_points": Total("nan_points")}

    def measure_batch(self, predictions: Fields, targets: Fields, size: int) -> Measured:
        """Return the counts of `size` videos, and why some have no value."""
        columns = count_points(
            np.asarray(predictions["tracks"]),
            predictions.get("visible"),
            np.asarray(targets["tracks"]),
            np.asarray(targets["visible"]),
            np.asarray(targets["query_points"]),
            targets["query_mode"],
            targets.get("evaluated"),
        )
        nothing = columns["evaluated"] == 0
        reasons = {int(i): self._reason(columns, int(i)) for i in np.flatnonzero(columns["visible"] == 0)}
        return Measured(columns, reasons, nothing)

    @staticmethod
    def _reason(columns: dict[str, Array], i: int) -> str:
        if columns["evaluated"][i] == 0:
            return "no frame is left to evaluate beside the query frames"
        if columns["union_1"][i] > 0:  # then a Jaccard of 0 is defined, as in tapnet
            return "no target point is visible after its query frame (left out of points_within only)"
        return "no target point is visible after its query frame"
