"""Initial values of the parameters in a table."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import partial
from math import prod, sqrt
from typing import Any

import jax
import jax.numpy as jnp

from probe4d_vit import positions
from probe4d_vit.config import VitConfig
from probe4d_vit.table import Param, Tree, param_table, truncate

_TRUNCATED = 0.87962566103423978  # standard deviation of a unit normal cut at ±2


def init_params(key: Any, config: VitConfig, blocks: int | None = None) -> Tree:
    """Return random parameters, float32.

    Each array has a key of its own, made from its name and its block, so that a model that stops
    after fewer blocks has the same values as the first blocks of the whole one.

    Args:
        blocks: make only what the first so many blocks need; all of them by default.
    """
    table = truncate(param_table(config), config.total_depth if blocks is None else blocks, config)
    return init_table(key, table)


def init_table(key: Any, table: Mapping[str, Any]) -> Tree:
    """Return random values, float32, for any table of `Param`; see `init_params`."""
    return _init(key, table, "")


def _init(key: Any, tree: Mapping[str, Any], prefix: str) -> Tree:
    out: Tree = {}
    for name, node in tree.items():
        path = prefix + name
        if isinstance(node, Param):
            own = jax.random.fold_in(key, zlib.crc32(path.encode()))
            out[name] = init_param(own, node)
        else:
            out[name] = _init(key, node, path + "/")
    return out


def init_param(key: Any, param: Param) -> Any:
    """Return the initial value of one parameter; each block of a stacked one is drawn by itself."""
    if param.init in positions.COMPUTED:
        return jnp.asarray(positions.computed(str(param.init), param.shape))
    if not isinstance(param.init, str):
        return jnp.full(param.shape, param.init, jnp.float32)
    if param.init in ("zeros", "ones"):
        return jnp.full(param.shape, float(param.init == "ones"), jnp.float32)
    return _drawn(key, param)


@partial(jax.jit, static_argnames="param")
def _drawn(key: Any, param: Param) -> Any:
    """Return random values. Compiled once per shape, which is most of what a small model's init costs."""
    if param.axes[0] != "layers":
        return draw(key, param.shape, param)
    if param.shape[0] == 0:
        return jnp.zeros(param.shape, jnp.float32)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(param.shape[0]))
    return jax.vmap(lambda own: draw(own, param.shape[1:], param))(keys)


def draw(key: Any, shape: tuple[int, ...], param: Param) -> Any:
    """Return random values of the parameter's initializer.

    Raises:
        ValueError: the table names an initializer that there is none of.
    """
    fan_in, fan_out = param.fan
    # Drawn as a matrix and reshaped: a draw of many axes takes seconds to compile.
    matrix = (prod(shape[:-1]), shape[-1])
    if param.init == "normal":
        values = 0.02 * jax.random.normal(key, matrix, jnp.float32)
    elif param.init == "lecun":
        values = jax.random.truncated_normal(key, -2, 2, matrix, jnp.float32) / (sqrt(fan_in) * _TRUNCATED)
    elif param.init == "xavier":
        edge = sqrt(6 / (fan_in + fan_out))
        values = jax.random.uniform(key, matrix, jnp.float32, -edge, edge)
    else:
        raise ValueError(f"Param.init: expected a known initializer, got {param.init!r}.")
    return values.reshape(shape)
