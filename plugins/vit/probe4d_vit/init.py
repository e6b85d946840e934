"""Initial values of the parameters in a table."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
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
    return _init(key, table, config, "")


def _init(key: Any, tree: Mapping[str, Any], config: VitConfig, prefix: str) -> Tree:
    out: Tree = {}
    for name, node in tree.items():
        path = prefix + name
        if isinstance(node, Param):
            own = jax.random.fold_in(key, zlib.crc32(path.encode()))
            out[name] = init_param(own, node, config)
        else:
            out[name] = _init(key, node, config, path + "/")
    return out


def init_param(key: Any, param: Param, config: VitConfig) -> Any:
    """Return the initial value of one parameter; block by block, where it is stacked."""
    if param.init == "sinusoid":
        return jnp.asarray(positions.sinusoid(config.table_grid, config.width))
    if param.init == "sincos":
        table = positions.sincos(config.table_grid, config.width, uniform_power=config.uniform_power)
        return jnp.asarray(table)
    if not isinstance(param.init, str):
        return jnp.full(param.shape, param.init, jnp.float32)
    if param.init in ("zeros", "ones"):
        return jnp.full(param.shape, float(param.init == "ones"), jnp.float32)
    draw = draw_of(param)
    if param.axes[0] != "layers":
        return draw(key, param.shape)
    if prod(param.shape) == 0:
        return jnp.zeros(param.shape, jnp.float32)
    keys = jnp.stack([jax.random.fold_in(key, block) for block in range(param.shape[0])])
    return jax.lax.map(lambda own: draw(own, param.shape[1:]), keys)


def draw_of(param: Param) -> Callable[[Any, tuple[int, ...]], Any]:
    """Return the random draw of a parameter: `draw(key, shape)`.

    Raises:
        ValueError: the table names an initializer that there is none of.
    """
    fan_in, fan_out = param.fan
    if param.init == "normal":
        return lambda key, shape: 0.02 * jax.random.normal(key, shape, jnp.float32)
    if param.init == "lecun":
        width = 1 / sqrt(fan_in) / _TRUNCATED
        return lambda key, shape: width * jax.random.truncated_normal(key, -2, 2, shape, jnp.float32)
    if param.init == "xavier":
        edge = sqrt(6 / (fan_in + fan_out))
        return lambda key, shape: jax.random.uniform(key, shape, jnp.float32, -edge, edge)
    raise ValueError(f"Param.init: expected a known initializer, got {param.init!r}.")
