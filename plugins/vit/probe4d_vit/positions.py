"""Position tables that are computed, and the angles of rotary positions. numpy, on the host."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from probe4d_vit.config import VitConfig

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Grid: TypeAlias = tuple[int, int, int]


COMPUTED = ("sinusoid", "sincos", "sincos_uniform")


def computed(kind: str, shape: tuple[int, ...]) -> Array:
    """Return the table `(t, h, w, width)` of a `Param.init` in `COMPUTED`."""
    t, h, w, width = shape
    if kind == "sinusoid":
        return sinusoid((t, h, w), width)
    return sincos((t, h, w), width, uniform_power=kind == "sincos_uniform")


def sinusoid(grid: Grid, width: int) -> Array:
    """Return `(t, h, w, width)`: sines and cosines, interleaved, of the *flattened* token index.

    Source: VideoMAE, `get_sinusoid_encoding_table`.
    """
    channel = np.arange(width)
    angle = np.arange(np.prod(grid))[:, None] / 10000.0 ** (2 * (channel // 2) / width)
    table = np.where(channel % 2, np.cos(angle), np.sin(angle))
    return table.reshape(*grid, width).astype(np.float32)


def sincos(grid: Grid, width: int, *, uniform_power: bool, start: Grid = (0, 0, 0)) -> Array:
    """Return `(t, h, w, width)`: channels split between depth, height and width, sines before cosines.

    Args:
        start: place of the first token.

    Source: V-JEPA 1, `get_3d_sincos_pos_embed`.
    """
    third = -(-width // 6) * 2
    sizes = (third, third, third) if uniform_power else (width // 2, width // 4, width // 4)
    parts = []
    axes = [np.arange(first, first + count) for first, count in zip(start, grid, strict=True)]
    for place, size in zip(np.meshgrid(*axes, indexing="ij"), sizes, strict=True):
        angle = place[..., None] * 10000.0 ** (-np.arange(size // 2) / (size / 2))
        parts += [np.sin(angle), np.cos(angle)]
    return np.concatenate(parts, axis=-1)[..., :width].astype(np.float32)


def rope(config: VitConfig, grid: Grid | None = None) -> tuple[Array, Array]:
    """Return cosine and sine `(n, head_dim)` that rotate q and k of the tokens of a grid.

    Three segments of the head's channels turn with depth, height and width; the rest stays (cosine 1,
    sine 0). Pairs of neighbouring channels are rotated, but the angles of a segment are tiled `[f, f]`
    rather than repeated: a slip in the original that its weights were trained with.

    Args:
        grid: tokens `(t, h, w)`; `config.grid` by default.

    Source: V-JEPA 2, `rotate_queries_or_keys`; the port of the hub decodes the token index by the
    grid of its configuration (`config.rope_grid`).
    """
    grid = grid or config.grid
    _, h, w = config.rope_grid or grid
    index = np.arange(np.prod(grid))
    size = config.rope_segment
    omega = 10000.0 ** (-np.arange(size // 2) / (size / 2))
    angles = np.zeros((index.size, config.head_dim))
    for axis, place in enumerate((index // (h * w), index % (h * w) // w, index % w)):
        angles[:, axis * size : (axis + 1) * size] = np.tile(place[:, None] * omega, 2)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
