"""Resizing of position tables, by the rule that each family was published with, and of features in time.

Every rule is separable and linear: one matrix per axis. Tables are resized once, on the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from attrs import evolve, frozen

from probe4d.errors import UsageError
from probe4d_vit import positions
from probe4d_vit.config import VitConfig

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Grid: TypeAlias = tuple[int, int, int]


@frozen
class Axis:
    """How one axis is resized.

    Attributes:
        kernel: `cubic` or `linear`.
        a: the cubic's parameter: -0.5 is Keys's, torch uses -0.75.
        antialias: the kernel widens when the axis shrinks.
        edge: what lies outside: `renormalise` the weights inside, or `replicate` the border.
        corners: first and last sample stay in place, instead of the outer edges of the samples.
        offset: added to the new size before the scale is taken.
    """

    kernel: str
    a: float = -0.5
    antialias: bool = False
    edge: str = "replicate"
    corners: bool = False
    offset: float = 0.0


KEYS = Axis("cubic", antialias=True, edge="renormalise")
TORCH_CUBIC = Axis("cubic", a=-0.75)
TORCH_LINEAR = Axis("linear")

RULES: Mapping[str, tuple[Axis, Axis]] = {  # time, space
    "cubic_antialias": (KEYS, KEYS),  # 4DS; DINOv2 with registers; torch antialias=True; jax cubic
    "cubic_torch": (TORCH_CUBIC, TORCH_CUBIC),  # hub ports of SigLIP and DINOv2
    "cubic_torch_offset": (TORCH_CUBIC, evolve(TORCH_CUBIC, offset=0.1)),  # DINOv2: scale_factor = (n + 0.1) / N
    "cubic_torch_then_linear": (TORCH_LINEAR, TORCH_CUBIC),  # VideoMAEv2
    "linear_antialias": (Axis("linear", antialias=True, edge="renormalise"),) * 2,  # VideoPrism; jax bilinear
    "linear_corners": (Axis("linear", corners=True),) * 2,  # big_vision: scipy.ndimage.zoom(order=1)
    "linear_torch": (TORCH_LINEAR, TORCH_LINEAR),  # V-JEPA 1: trilinear
}


def matrix(size: int, to: int, axis: Axis) -> Array:
    """Return the `(to, size)` float64 matrix that resizes an axis of `size` samples to `to`."""
    scale = (to + axis.offset) / size
    centre = (np.arange(to) + 0.5) / scale - 0.5
    if axis.corners:
        centre = np.arange(to) * ((size - 1) / max(to - 1, 1))
    stretch = max(1 / scale, 1.0) if axis.antialias else 1.0
    reach = int(np.ceil(2 * stretch)) + 1
    taps = np.floor(centre).astype(int)[:, None] + np.arange(-reach, reach + 1)
    weights = _kernel((taps - centre[:, None]) / stretch, axis)
    if axis.edge == "renormalise":
        weights = np.where((taps >= 0) & (taps < size), weights, 0.0)
        weights /= weights.sum(axis=1, keepdims=True)
    out = np.zeros((to, size))
    rows = np.broadcast_to(np.arange(to)[:, None], taps.shape)
    np.add.at(out, (rows, np.clip(taps, 0, size - 1)), weights)
    return out


def _kernel(x: Array, axis: Axis) -> Array:
    x = np.abs(x)
    if axis.kernel == "linear":
        return np.asarray(np.maximum(1 - x, 0.0))
    a = axis.a
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * a * x - 4 * a
    weights: Array = np.where(x <= 1, near, np.where(x < 2, far, 0.0))
    return weights


def resample_table(table: Array, grid: Grid, rule: str) -> Array:
    """Return a position table `(t, h, w, d)` resized to another grid, as float32.

    A jax array stays one, and the result is differentiable in it.

    Args:
        rule: one of `RULES`; `recompute` is the sinusoid of the new grid.

    Raises:
        UsageError: no such rule.
    """
    if tuple(table.shape[:3]) == tuple(grid):
        return table
    if rule == "recompute":
        return positions.sinusoid(grid, table.shape[-1])
    if rule not in RULES:
        raise UsageError(f"resample: expected one of {', '.join(RULES)} or recompute, got {rule!r}.")
    time, space = RULES[rule]
    on_host = isinstance(table, np.ndarray)
    out = np.asarray(table, np.float64) if on_host else table
    for number, (axis, to) in enumerate(zip((time, space, space), grid, strict=True)):
        if out.shape[number] != to:
            weights = matrix(out.shape[number], to, axis)
            if on_host:
                out = np.moveaxis(np.tensordot(weights, out, (1, number)), 0, number)
            else:
                out = _on_device(out, weights, number)
    return out.astype(np.float32)


def _on_device(table: Any, weights: Array, number: int) -> Any:
    import jax.numpy as jnp

    return jnp.moveaxis(jnp.tensordot(jnp.asarray(weights, jnp.float32), table, (1, number)), 0, number)


def resample_params(params: Mapping[str, Any], config: VitConfig, grid: Grid) -> tuple[dict[str, Any], VitConfig]:
    """Return the parameters and the configuration of the same model on another grid of tokens."""
    new = evolve(config, grid=grid)
    out = dict(params)
    if config.has_table:
        out["position"] = resample_table(np.asarray(params["position"]), new.table_grid, config.resample)
        if "temporal" in params:
            over_time = np.asarray(params["temporal"]["position"])[:, None, None]
            over_time = resample_table(over_time, (grid[0], 1, 1), config.resample)
            out["temporal"] = {**params["temporal"], "position": over_time[:, 0, 0]}
    return out, new


def resize_time(features: Any, frames: int) -> Any:
    """Return features `(b, t, k, c)` with `t` resized to `frames` by Keys cubic.

    Half-pixel centres; weights outside the clip are dropped and the rest renormalised. numpy arrays
    stay numpy, jax arrays stay jax; the dtype is kept; features that have `frames` pass unchanged.

    Source: `EncoderToReadout` of the release (`jax.image.resize`, cubic).
    """
    if features.shape[1] == frames:
        return features
    weights = matrix(features.shape[1], frames, KEYS).astype(np.float32)
    if isinstance(features, np.ndarray):
        return np.einsum("st,btkc->bskc", weights, features.astype(np.float32)).astype(features.dtype)
    import jax.numpy as jnp

    return jnp.einsum("st,btkc->bskc", weights, features.astype(jnp.float32)).astype(features.dtype)
