"""Depth errors: AbsRel, delta 1 and RMSE, pooled over valid pixels.

The frame is the unit of summing: each frame's pixels are added in one fixed way and the frames'
sums by `math.fsum`, so that neither batching nor padded frames change a bit. Arrays are read a few
frames at a time, so a memory-mapped or zarr array streams.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, TypeAlias

import numpy as np

from probe4d_metrics.estimators import Estimator, Ratio, Root
from probe4d_metrics.shapes import check_shapes
from probe4d_metrics.state import Fields, Metric, Undefined

__all__ = ["EPSILON", "DepthError", "abs_rel", "depth_sums", "valid_depth"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

EPSILON = 1e-6  # metres, in AbsRel's denominator
NEAR = 1.25  # delta 1: the ratio of the two depths is less than this
TERMS = ("abs_rel", "near", "squared")
BLOCK = 1 << 18  # pixels at a time: buffers that stay in the caches
DOT = 7168  # pixels of one inner product


def valid_depth(depth: Array, low: float = 0.001, high: float = 10.0, unit: str = "metre") -> Array:
    """Return where `low < depth < high`, both ends excluded, as a bool array.

    1 mm stored in float32 is 0.0010000000475 m: compared in float64 it would pass as more than
    0.001. Here an end excludes its float32 rounding too; whole millimetres are compared as such.

    Args:
        depth: any shape, of `unit`.
        low, high: in metres.
        unit: `metre` or `millimetre`.

    >>> valid_depth(np.array([0.001, 0.002, 9.999, 10.0], dtype=np.float32).astype(np.float64))
    array([False,  True,  True, False])
    >>> valid_depth(np.array([1, 2, 9999, 10000], dtype=np.uint16), unit="millimetre")
    array([False,  True,  True, False])
    """
    scales = {"metre": 1, "millimetre": 1000}
    if unit not in scales:
        raise ValueError(f"unit: expected 'metre' or 'millimetre', got {unit!r}.")
    low, high = low * scales[unit], high * scales[unit]
    low, high = max(low, float(np.float32(low))), min(high, float(np.float32(high)))
    return np.asarray((depth > low) & (depth < high))  # NaN is neither


def abs_rel(pred_depth: Array, target_depth: Array, valid: Array) -> float:
    """Return the mean of |target - prediction| / (target + 1e-6) over valid pixels; NaN without any.

    Args:
        pred_depth, target_depth: `(t, h, w)` metres; float32 is computed in float32.
        valid: `(t, h, w)` bool. Other pixels never count, also when NaN or infinite.

    Raises:
        ValueError: a valid pixel is NaN or infinite.

    >>> round(abs_rel(np.array([[[1.5, np.nan]]]), np.array([[[1.0, 2.0]]]), np.array([[[True, False]]])), 6)
    0.5
    """
    total, count = depth_sums(pred_depth, target_depth, valid, ("abs_rel",))
    return total / count if count else math.nan


def depth_sums(pred_depth: Any, target_depth: Any, valid: Any, terms: tuple[str, ...] = TERMS) -> tuple[float, ...]:
    """Return the sum over valid pixels of each term, and last the number of valid pixels.

    Args:
        pred_depth, target_depth, valid: `(t, h, w)`, as `abs_rel`; anything whose slices are arrays.
        terms: of `abs_rel`, `near` (1 where the depths are less than 1.25 times apart), `squared` (m²).

    Raises:
        ValueError: a shape or dtype is wrong, or a valid pixel is NaN or infinite.
    """
    check_shapes(pred_depth=(pred_depth, "t h w"), target_depth=(target_depth, "t h w"), valid=(valid, "t h w"))
    for name, array, kinds in (
        ("pred_depth", pred_depth, "fiu"),
        ("target_depth", target_depth, "fiu"),
        ("valid", valid, "b"),
    ):
        if array.dtype.kind not in kinds:
            raise ValueError(f"{name}: expected {'bool' if kinds == 'b' else 'numbers'}, got {array.dtype}.")
    sums: list[list[float]] = [[] for _ in terms]
    count = 0
    kernel = _Kernel(np.result_type(pred_depth.dtype, target_depth.dtype, np.float32), terms)
    for pred, target, seen, pixels in _blocks(pred_depth, target_depth, valid):
        count += int(np.count_nonzero(seen))
        for parts, found in zip(sums, kernel(pred, target, seen, pixels), strict=True):
            parts.extend(found.tolist())
    return (*(math.fsum(parts) for parts in sums), float(count))


def _blocks(pred: Any, target: Any, valid: Any) -> Iterator[tuple[Array, Array, Array, int]]:
    """Yield prediction, target and validity of whole frames or of a piece of one, and the pixels of each.

    Arrays are flat: numpy runs through one dimension faster than through two.
    """
    frames, height, width = target.shape
    pixels = height * width
    step = max(1, BLOCK // max(1, pixels))
    for start in range(0, frames, step):
        parts = [np.asarray(array[start : start + step]).reshape(-1) for array in (pred, target, valid)]
        if pixels <= BLOCK:
            yield parts[0], parts[1], parts[2], pixels
            continue
        for left in range(0, pixels, BLOCK):
            piece = [part[left : left + BLOCK] for part in parts]
            yield piece[0], piece[1], piece[2], len(piece[0])


class _Kernel:
    """Sums of one block, in buffers that are made once."""

    def __init__(self, dtype: np.dtype[Any], terms: tuple[str, ...]) -> None:
        unknown = set(terms) - set(TERMS)
        if unknown:
            raise ValueError(f"terms: expected {', '.join(TERMS)}, got {', '.join(sorted(unknown))}.")
        self.terms, self.dtype = terms, dtype
        self.weight, self.error, self.term = (np.empty(0, dtype) for _ in range(3))

    def __call__(self, pred: Array, target: Array, seen: Array, pixels: int) -> list[Array]:
        """Return, for each term, sums that add up to that of a block of frames of so many pixels."""
        if pred.size > self.term.size:
            self.weight, self.error, self.term = (np.empty(pred.size, self.dtype) for _ in range(3))
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            sums = self._sums(pred, target, seen, pixels)
            if all(np.isfinite(part).all() for part in sums):
                return sums
            # Not finite: an error at a valid pixel; nothing at another one, which is then set aside.
            for name, array in (("pred_depth", pred), ("target_depth", target)):
                if not np.isfinite(array[seen]).all():
                    raise ValueError(f"{name}: expected finite depth at every valid pixel, got NaN or infinity.")
            pred, target = np.where(seen, pred, 1), np.where(seen, target, 1)
            sums = self._sums(pred, target, seen, pixels)
            if self.dtype == np.float64 or all(np.isfinite(part).all() for part in sums):
                return sums
        return _Kernel(np.dtype(np.float64), self.terms)(pred, target, seen, pixels)  # too large for float32

    def _sums(self, pred: Array, target: Array, seen: Array, pixels: int) -> list[Array]:
        weight, error, term = (buffer[: pred.size] for buffer in (self.weight, self.error, self.term))
        np.copyto(weight, seen)
        np.subtract(target, pred, out=error, dtype=self.dtype)
        sums = []
        for name in self.terms:
            if name == "abs_rel":
                np.add(target, EPSILON, out=term, dtype=self.dtype)
                np.divide(error, term, out=term)
                np.abs(term, out=term)
                sums.append(_row_dots(term.reshape(-1, pixels), weight.reshape(-1, pixels)))
            elif name == "squared":
                np.multiply(error, error, out=term)
                sums.append(_row_dots(term.reshape(-1, pixels), weight.reshape(-1, pixels)))
            else:
                sums.append(_count_near(pred, target, seen, term))
        return sums


def _row_dots(values: Array, weights: Array) -> Array:
    """Return the inner products of pieces of the rows, which never hold pixels of two frames.

    A piece is as long as BLAS takes without threads, so that their number changes no bit.
    """
    rows, pixels = values.shape
    whole = pixels // DOT * DOT
    parts = []
    for cut, length in ((slice(0, whole), DOT), (slice(whole, None), pixels - whole)):
        if length and values[:, cut].size:
            left = values[:, cut].reshape(rows, -1, 1, length)
            right = weights[:, cut].reshape(rows, -1, length, 1)
            parts.append(np.matmul(left, right).ravel())
    return np.concatenate(parts) if parts else np.zeros(0)


def _count_near(pred: Array, target: Array, seen: Array, buffer: Array) -> Array:
    # max(p / t, t / p) < 1.25 without a division, which refuses p <= 0 as well.
    near = np.empty(pred.shape, bool)
    np.less(pred, np.multiply(target, NEAR, out=buffer, dtype=buffer.dtype), out=near)
    near &= seen
    near &= target < np.multiply(pred, NEAR, out=buffer, dtype=buffer.dtype)
    return np.array([np.count_nonzero(near)])


class DepthError(Metric):
    """AbsRel, delta 1 and RMSE, each pooled over the valid pixels of all samples.

    Predictions: `depth (t, h, w)` metres. Targets: `depth (t, h, w)` metres, `valid (t, h, w)` bool.
    """

    values: ClassVar[dict[str, Estimator]] = {
        "abs_rel": Ratio("abs_rel_sum", "valid_pixels"),
        "delta_1": Ratio("near_pixels", "valid_pixels"),
        "rmse": Root(Ratio("squared_sum", "valid_pixels")),
    }

    def measure(self, predictions: Fields, targets: Fields) -> dict[str, float] | Undefined:
        """Return the sums of one clip; the arrays may be anything whose slices are arrays."""
        pred, target, valid = (_sliceable(a) for a in (predictions["depth"], targets["depth"], targets["valid"]))
        absolute, near, squared, count = depth_sums(pred, target, valid, TERMS)
        if not count:
            return Undefined("no valid pixel")
        return {"abs_rel_sum": absolute, "near_pixels": near, "squared_sum": squared, "valid_pixels": count}


def _sliceable(array: Any) -> Any:
    return array if hasattr(array, "shape") and hasattr(array, "dtype") else np.asarray(array)
