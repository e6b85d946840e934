"""Whole parameters out of shards, and gradients back into shards, inside `jax.shard_map`.

Written out, not left to the compiler: the transpose of an all-gather is a reduce-scatter, so each device
receives only the sum of its own part. In two stages, one along each direction of the torus: a reduce-scatter over all
chips at once, like one that follows from shardings alone, is compiled for TPUs as a full all-reduce, twice the traffic.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec as P

from probe4d_runners.jax.mesh import FSDP

__all__ = ["manual", "whole"]


def manual(spec: P) -> P:
    """Return the part of a spec that `fsdp` splits: `tensor` stays with the compiler."""
    return P(*(FSDP if _has_fsdp(name) else None for name in spec))


def whole(params: Any, specs: Any, dtypes: Any) -> Any:
    """Return the parameters gathered over `fsdp`, each in the dtype to travel and compute in.

    Gradients come back reduced in float32 whatever that dtype is.

    Args:
        params: a tree of shards.
        specs: how each is split, a tree like it.
        dtypes: a tree like it; None leaves the dtype.
    """
    leaves, tree = jax.tree.flatten(params)
    spec_leaves = tree.flatten_up_to(specs)
    dtype_leaves = tree.flatten_up_to(dtypes)
    return tree.unflatten(
        [_whole(leaf, spec, dtype) for leaf, spec, dtype in zip(leaves, spec_leaves, dtype_leaves, strict=True)]
    )


def _whole(leaf: Any, spec: P, dtype: Any) -> Any:
    dims = [i for i, name in enumerate(spec) if _has_fsdp(name)]
    dtype = leaf.dtype if dtype is None else jnp.dtype(dtype)
    return _gathered(leaf, dims[0], dtype) if dims else leaf.astype(dtype)


def _has_fsdp(name: Any) -> bool:
    return isinstance(name, tuple) and FSDP[0] in name


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _gathered(shard: Any, dim: int, dtype: Any) -> Any:
    return lax.all_gather(shard.astype(dtype), FSDP, axis=dim, tiled=True)


def _forward(shard: Any, dim: int, dtype: Any) -> tuple[Any, None]:
    return _gathered(shard, dim, dtype), None


def _backward(dim: int, _dtype: Any, _saved: None, gradient: Any) -> tuple[Any]:
    part = gradient.astype(jnp.float32)
    for axis in FSDP:
        part = lax.psum_scatter(part, axis, scatter_dimension=dim, tiled=True)
    return (part,)


_gathered.defvjp(_forward, _backward)
