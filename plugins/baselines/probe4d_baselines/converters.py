"""How a stored array becomes a parameter of `probe4d_vit.table`. Every conversion is a view of it.

Torch stores kernels as (out, in) and convolutions as (out, in, t, h, w); ours are (in, out), heads
apart, and (t, h, w, in, out).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from probe4d_vit.config import VitConfig

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Convert: TypeAlias = Callable[[Array], Array]


def same(array: Array) -> Array:
    """As it is stored."""
    return array


def transposed(array: Array) -> Array:
    """A linear layer's kernel: (out, in) to (in, out)."""
    return array.T


def conv(array: Array) -> Array:
    """The patch embedding: (d, c, [t,] h, w) to (t, h, w, c, d)."""
    whole = array if array.ndim == 5 else array[:, :, None]
    return np.moveaxis(whole, (0, 1), (4, 3))


def token(array: Array) -> Array:
    """Class and register tokens: (1, n, d) to (n, d)."""
    return array.reshape(-1, array.shape[-1])


def to_heads(array: Array, heads: int) -> Array:
    """A projection to heads: (h·s, d) to (d, h, s)."""
    return array.T.reshape(array.shape[1], heads, -1)


def bias_to_heads(array: Array, heads: int) -> Array:
    """Its bias: (h·s) to (h, s)."""
    return array.reshape(heads, -1)


def from_heads(array: Array, heads: int) -> Array:
    """The projection from heads: (d, h·s) to (h, s, d)."""
    return array.T.reshape(heads, -1, array.shape[0])


def fused_to_heads(array: Array, heads: int, part: int) -> Array:
    """The same, of q, k and v in one array, in that order."""
    return to_heads(np.split(array, 3)[part], heads)


def fused_bias_to_heads(array: Array, heads: int, part: int) -> Array:
    """The bias of q, k or v of a fused one."""
    return bias_to_heads(np.split(array, 3)[part], heads)


def half(array: Array, part: int) -> Array:
    """A half of the two fused kernels of a gated MLP: the gate first."""
    return np.split(array, 2)[part].T


def half_bias(array: Array, part: int) -> Array:
    """A half of their biases."""
    return np.split(array, 2)[part]


def table(array: Array, grid: tuple[int, int, int], prefix: int) -> Array:
    """A position table ([1,] prefix + t·h·w, d) to (t, h, w, d)."""
    flat = array.reshape(-1, array.shape[-1])[prefix:]
    return flat.reshape(*grid, flat.shape[-1])


def table_head(array: Array) -> Array:
    """The entry of the class token."""
    return array.reshape(-1, array.shape[-1])[:1]


def stored_conv(array: Array, patch: tuple[int, int, int]) -> Array:
    """A patch embedding that is stored as a matrix (h·w·c, d), or as (h, w, c, d)."""
    return array.reshape(*patch, 3, array.shape[-1])


def post_from_heads(array: Array) -> Array:
    """VideoPrism's projection from heads: (d, h, s) to (h, s, d)."""
    return np.moveaxis(array, 0, -1)


def converter(kind: str, config: VitConfig) -> Convert:
    """Return the conversion that an entry of `entries` names."""
    name, _, number = kind.partition(":")
    heads, part = config.heads, int(number or 0)
    made: dict[str, Convert] = {
        "same": same,
        "linear": transposed,
        "conv": conv,
        "token": token,
        "to_heads": partial(to_heads, heads=heads),
        "head_bias": partial(bias_to_heads, heads=heads),
        "from_heads": partial(from_heads, heads=heads),
        "fused": partial(fused_to_heads, heads=heads, part=part),
        "fused_bias": partial(fused_bias_to_heads, heads=heads, part=part),
        "half": partial(half, part=part),
        "half_bias": partial(half_bias, part=part),
        "table": partial(table, grid=config.table_grid, prefix=int(config.cls_position)),
        "table_head": table_head,
        "stored_conv": partial(stored_conv, patch=config.patch),
        "post": post_from_heads,
    }
    return made[name]
