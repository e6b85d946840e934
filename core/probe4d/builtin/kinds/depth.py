"""Depth maps, in metres; scale-free ones aligned to the targets where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.builtin.kinds.alignment import align_depth
from probe4d.builtin.kinds.frame_views import frame_views
from probe4d.contracts import Array, Arrays, Field, MetaKey, Role
from probe4d.errors import DataError, UsageError
from probe4d.scoring.lazy import is_lazy
from probe4d_metrics.depth import valid_depth

__all__ = ["Depth"]

Meta = Mapping[Role, Mapping[str, Any]]

BLOCK_BYTES = 8 << 20
DEPTH = Field(dims="t h w | h w", dtypes="fiu", finite=False, streams=True, summary="depth along the stated axis")
VALID = Field(
    dims="t h w | h w", dtypes="b", required=False, streams=True, summary="False where the target is not to count"
)
SURFACE = MetaKey(choices=("z", "ray"), required=True, agree=True, summary="depth along the optical axis or the ray")
SCALE = MetaKey(type="number", default=1.0, summary="what a stored number is multiplied by to get the unit")
PREDICTIONS_META = {
    "quantity": MetaKey(choices=("depth", "disparity"), required=True, summary="what the numbers are"),
    "unit": MetaKey(
        choices=("metre", "millimetre"), required=True, only_if=("quantity", "depth"), summary="the unit of `depth`"
    ),
    "surface": SURFACE,
    "scale": SCALE,
}
TARGETS_META = {
    "quantity": MetaKey(choices=("depth",), required=True, summary="what the numbers are"),
    "unit": PREDICTIONS_META["unit"],
    "surface": SURFACE,
    "scale": SCALE,
    "valid_range": MetaKey(
        type="range", default=(0.001, 10.0), summary="metres between which a target counts, both ends excluded"
    ),
}
PER = ("clip", "frame")
ALIGN = ("none", "median", "scale", "scale_shift", "disparity")


class Depth:
    """The kind `depth`.

    Args:
        align: how predictions without a scale are fitted to the targets; see `alignment`.
        align_per: whether one fit serves a clip, or each frame has its own.
    """

    def __init__(self, align: str = "none", align_per: str = "clip") -> None:
        self.align = align
        self.align_per = align_per

    def choices(self) -> Mapping[str, tuple[str, ...]]:
        """Return the options of `probe4d score`."""
        return {"align": ALIGN, "align_per": PER}

    def fields(self, role: Role) -> Mapping[str, Field]:
        """Return the fields of a sample."""
        return {"depth": DEPTH} if role == "predictions" else {"depth": DEPTH, "valid": VALID}

    def meta(self, role: Role) -> Mapping[str, MetaKey]:
        """Return the conventions of a file."""
        return PREDICTIONS_META if role == "predictions" else TARGETS_META

    def formats(self) -> Mapping[str, str]:
        """Return the foreign formats."""
        return {"depth-png": "probe4d.scoring.foreign.depth_png:open_depth_png"}

    def value_name(self, name: str, meta: Meta) -> str:
        """Return the name of a value; that of an aligned one says so."""
        return name if self.align == "none" else f"{name}@{self.align}/{self.align_per}"

    def read(self, predictions: Arrays, targets: Arrays, meta: Meta) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return depth `(t, h, w)` in metres, and where the target is valid.

        Raises:
            DataError: the shapes differ, a valid pixel has no finite prediction, or nothing can be fitted.
        """
        unscaled = meta["predictions"]["quantity"] == "disparity"
        if unscaled and self.align != "disparity":
            raise UsageError(
                f"--align: expected disparity for predictions of disparity, which have no scale, got {self.align}."
            )
        _check_shapes(predictions, targets)
        # Lazy arrays are read while the metric slices them, unless one fit needs all frames at once.
        by_blocks = any(map(is_lazy, (*predictions.values(), *targets.values())))
        if by_blocks and len(targets["depth"].shape) == 3 and (self.align == "none" or self.align_per == "frame"):
            stored = max(int(getattr(value, "step", 1)) for value in (*predictions.values(), *targets.values()))
            return frame_views(
                lambda part: self._block(_cut(predictions, part), _cut(targets, part), meta),
                targets["depth"].shape,
                max(stored, BLOCK_BYTES // max(1, 8 * math.prod(targets["depth"].shape[1:]))),
            )
        return self._block(_cut(predictions, ...), _cut(targets, ...), meta)

    def _block(self, predictions: Arrays, targets: Arrays, meta: Meta) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return both sides of some frames, in memory."""
        unscaled = meta["predictions"]["quantity"] == "disparity"
        stored = _scaled(_frames(predictions["depth"]), meta["predictions"])
        pred = _metres(stored, "metre" if unscaled else meta["predictions"]["unit"])
        unit, (low, high) = meta["targets"]["unit"], meta["targets"]["valid_range"]
        raw = _scaled(_frames(targets["depth"]), meta["targets"])
        with np.errstate(invalid="ignore"):
            valid = valid_depth(raw, low, high, unit)
        if "valid" in targets:
            valid &= _frames(targets["valid"])
        target = _metres(raw, unit)
        _check_finite(pred, valid)
        if self.align != "none":
            pred = align_depth(pred, target, valid, self.align, self.align_per, disparity=unscaled, far=high)
        return {"depth": pred}, {"depth": target, "valid": valid}

    def worst(self, targets: Arrays, meta: Meta) -> Arrays:
        """Return the depth that is furthest off, in relation to the target, within the valid range."""
        low, high = meta["targets"]["valid_range"]
        target = _metres(_scaled(np.asarray(targets["depth"]), meta["targets"]), meta["targets"]["unit"])
        wrong = np.where(high - target > target - low, high, low)
        unit = 1000 if meta["predictions"].get("unit") == "millimetre" else 1
        return {"depth": wrong * unit / meta["predictions"].get("scale", 1.0)}

    def example(self, seed: int) -> tuple[Arrays, Arrays, Meta]:
        """Return two frames of 4x5 pixels, some of them without a target."""
        random = np.random.default_rng(seed)
        depth = random.uniform(0.5, 5, (2, 4, 5))
        target = depth.copy()
        target[random.random(depth.shape) < 0.2] = 0.0
        convention = {"quantity": "depth", "unit": "metre", "surface": "z"}
        return (
            {"depth": depth},
            {"depth": target},
            {"predictions": convention, "targets": {**convention, "valid_range": (0.001, 10.0)}},
        )

    def from_dataset(self, targets: Arrays, size: tuple[int, int]) -> tuple[Arrays, Mapping[str, Any]]:
        """Return a dataset's depth, which is metric z, as a file has it."""
        return dict(targets), {"quantity": "depth", "unit": "metre", "surface": "z"}


def _check_shapes(predictions: Arrays, targets: Arrays) -> None:
    wanted, got = targets["depth"].shape, predictions["depth"].shape
    if got != wanted:
        raise DataError(f"predictions.depth: expected shape {wanted}, as the targets, got {got}. Resize it before.")


def _frames(depth: Array) -> Array:
    return depth if depth.ndim == 3 else depth[None]


def _scaled(depth: Array, meta: Mapping[str, Any]) -> Array:
    scale = meta.get("scale", 1.0)
    if scale <= 0:
        raise UsageError(f"--meta scale: expected a number above 0, got {scale}.")
    # Whole millimetres stay integers, so that the ends of the valid range are exact.
    return depth if scale == 1 else depth * np.float64(scale)


def _metres(depth: Array, unit: str) -> Array:
    if depth.dtype.kind != "f":
        depth = depth.astype(np.float64)
    return depth / 1000 if unit == "millimetre" else depth


def _cut(arrays: Arrays, part: Any) -> dict[str, Array]:
    if part is ...:
        return {name: np.asarray(value) for name, value in arrays.items()}
    return {name: np.asarray(value[part]) for name, value in arrays.items()}


def _check_finite(pred: Array, valid: Array) -> None:
    # One pass over memory where all is well: a sum is finite only if every addend is.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(pred.sum(dtype=np.float64)):
            return
    wrong = valid & ~np.isfinite(pred)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(f"predictions.depth: expected finite numbers at valid pixels, got {pred[at]} at {at}.")
