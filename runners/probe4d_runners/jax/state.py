"""The state of a training on a mesh: how `{"step", "params", "optimizer"}` is split, and a batch in parts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from probe4d_runners.jax.mesh import BATCH, batch_shards, shardings

__all__ = ["abstract", "in_parts", "state_shardings"]


def state_shardings(mesh: Mesh, specs: Any, optimizer: optax.GradientTransformation, shapes: Any) -> dict[str, Any]:
    """Return a tree of shardings like the state: what an optimizer keeps of a parameter lies where it does.

    Args:
        specs: how each parameter is split; `shapes`: its shape and dtype. Trees like the parameters.
    """
    params, replicated = shardings(mesh, specs), NamedSharding(mesh, P())
    kept = optax.tree_map_params(
        optimizer,
        lambda _, sharding: sharding,
        jax.eval_shape(optimizer.init, shapes),
        params,
        transform_non_params=lambda _: replicated,
    )
    return {"step": replicated, "params": params, "optimizer": kept}


def abstract(shapes: Any, placed: Any) -> Any:
    """Return shapes, dtypes and shardings as one tree, as checkpoints and compilers take it; nothing is allocated."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes, placed
    )


def in_parts(batch: Any, parts: int, mesh: Mesh) -> Any:
    """Return `(parts, b / parts, …)`; every part has examples of every device, so nothing moves."""
    cut = jnp.swapaxes(batch.reshape(batch_shards(mesh), parts, -1, *batch.shape[1:]), 0, 1)
    whole = cut.reshape(parts, -1, *batch.shape[1:])
    return lax.with_sharding_constraint(whole, NamedSharding(mesh, P(None, BATCH)))
