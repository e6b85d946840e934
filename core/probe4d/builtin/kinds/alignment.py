"""Fits of predictions that have no scale to the targets, over the valid pixels.

    median       s = median(target) / median(prediction)
    scale        s = Σ p·t / Σ p²                                    (least squares)
    scale_shift  s, b that minimise Σ (s·p + b − t)²
    disparity    s, b that minimise Σ (s·q + b − 1/t)², q = disparity or 1/p; then depth = 1 / (s·q + b),
                 with s·q + b held at 1/far at least, so that no depth is beyond the valid range

Source: median, Zhou et al. (2017), Sec. 4; disparity, Ranftl et al. (2020), Sec. 5.
"""

from __future__ import annotations

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import DataError

__all__ = ["align_depth", "scale_of"]


def align_depth(pred: Array, target: Array, valid: Array, how: str, per: str, *, disparity: bool, far: float) -> Array:
    """Return the aligned depth `(t, h, w)`; frames without a valid pixel stay as they are.

    Args:
        pred: `(t, h, w)` depth, or disparity; target: metres; valid: bool.
        how: `median`, `scale`, `scale_shift` or `disparity`.
        per: `clip` for one fit, `frame` for one each.
        far: metres, the far end of the valid range.

    Raises:
        DataError: the predictions admit no fit (all zero, or constant).
    """
    parts = [slice(None)] if per == "clip" else [slice(i, i + 1) for i in range(len(pred))]
    aligned = np.array(pred, dtype=np.float64)
    for part in parts:
        seen = valid[part]
        if seen.any():
            p, t = pred[part][seen].astype(np.float64), target[part][seen].astype(np.float64)
            values = np.full(seen.shape, np.nan)
            values[seen] = _fit(p, t, how, disparity=disparity, far=far)
            aligned[part] = np.where(seen, values, aligned[part])
    return aligned


def _fit(p: Array, t: Array, how: str, *, disparity: bool, far: float) -> Array:
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if how == "median":
            fitted = p * (np.median(t) / np.median(p))
        elif how == "scale":
            fitted = p * (np.dot(p, t) / np.dot(p, p))
        elif how == "scale_shift":
            fitted = _line(p, t)
        else:
            fitted = 1 / np.maximum(_line(p if disparity else 1 / p, 1 / t), 1 / far)
    if not np.isfinite(fitted).all():
        raise DataError(f"predictions.depth: expected values that --align {how} can fit, got zeros or a constant.")
    return np.asarray(fitted)


def _line(p: Array, t: Array) -> Array:
    """Return `s·p + b` of least squares; a single value, or equal ones, get the mean."""
    centred = p - p.mean()
    spread = np.dot(centred, centred)
    if spread <= 1e-24 * max(float(np.dot(p, p)), 1e-300):
        return np.full(p.shape, t.mean() if np.isfinite(p).all() else np.nan)
    return np.asarray(np.dot(centred, t) / spread * centred + t.mean())


def scale_of(pred: Array, target: Array) -> float:
    """Return the scale, not negative, that brings one translation nearest to another; 1 for a zero one.

    Args:
        pred: `(3,)`; target: `(3,)`.
    """
    size = float(np.dot(pred, pred))
    return max(float(np.dot(pred, target)) / size, 0.0) if size > 0 else 1.0
