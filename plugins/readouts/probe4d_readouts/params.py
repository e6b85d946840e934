"""One table per readout says what each parameter is: shape, logical axes and how it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from attrs import frozen

__all__ = ["Leaf", "Table", "axes_of", "dense", "embedding", "init_params", "kernels_of", "norm"]

Table: TypeAlias = Mapping[str, Any]  # a nested mapping of Leaf
_Drawn: TypeAlias = tuple[tuple[int, ...], str | float, int]  # shape, start, fan-in


@frozen
class Leaf:
    """One parameter.

    Attributes:
        axes: logical axis name -> size, in order; a name that starts with `_` has no sharding rule.
        start: `zeros`, `ones`, `lecun` (truncated normal of variance 1 / fan-in), or the standard deviation
            of a normal.
        inputs: how many leading axes a kernel contracts, its fan-in.
    """

    axes: Mapping[str, int]
    start: str | float
    inputs: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the sizes, in order."""
        return tuple(self.axes.values())

    @property
    def logical_axes(self) -> tuple[str | None, ...]:
        """Return the names, `None` for an axis that no rule shards."""
        return tuple(None if name.startswith("_") else name for name in self.axes)


def dense(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> dict[str, Leaf]:
    """Return the kernel and bias of a linear layer over several named axes."""
    return {
        "kernel": Leaf({**inputs, **outputs}, "lecun", inputs=len(inputs)),
        "bias": Leaf(dict(outputs), "zeros"),
    }


def norm(channels: Mapping[str, int]) -> dict[str, Leaf]:
    """Return the scale and bias of a LayerNorm."""
    return {"scale": Leaf(dict(channels), "ones"), "bias": Leaf(dict(channels), "zeros")}


def embedding(axes: Mapping[str, int], std: float) -> dict[str, Leaf]:
    """Return a learned table, N(0, std)."""
    return {"embedding": Leaf(dict(axes), std)}


def _is_leaf(node: Any) -> bool:
    return isinstance(node, Leaf)


def _start(leaf: _Drawn, key: Any) -> Any:
    shape, start, fan_in = leaf
    if start == "zeros":
        return jnp.zeros(shape, jnp.float32)
    if start == "ones":
        return jnp.ones(shape, jnp.float32)
    if not isinstance(start, str):
        return start * jax.random.normal(key, shape, jnp.float32)
    # 0.8796 is the standard deviation of a normal cut off at two of its own.
    std = 1 / math.sqrt(fan_in) / 0.87962566103423978
    return std * jax.random.truncated_normal(key, -2.0, 2.0, shape, jnp.float32)


@partial(jax.jit, static_argnums=0)
def _start_all(leaves: tuple[_Drawn, ...], key: Any) -> list[Any]:
    return [_start(leaf, each) for leaf, each in zip(leaves, jax.random.split(key, len(leaves)), strict=True)]


def init_params(table: Table, key: Any) -> Any:
    """Return float32 parameters as the table says, each from a key of its own."""
    leaves, structure = jax.tree.flatten(table, is_leaf=_is_leaf)
    drawn = tuple((leaf.shape, leaf.start, math.prod(leaf.shape[: leaf.inputs])) for leaf in leaves)
    return jax.tree.unflatten(structure, _start_all(drawn, key))


def axes_of(table: Table) -> Any:
    """Return the tree of logical axis names."""
    return jax.tree.map(lambda leaf: leaf.logical_axes, table, is_leaf=_is_leaf)


def kernels_of(table: Table) -> Any:
    """Return a tree of booleans: which parameters are kernels, and so decayed."""
    return jax.tree.map(lambda leaf: leaf.start == "lecun", table, is_leaf=_is_leaf)
