"""Loss and gradient of a batch that is worked on in parts, equal to those of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from probe4d.contracts import Params
from probe4d.errors import UsageError
from probe4d_readouts.readout import CrossAttentionReadout

__all__ = ["value_and_grad"]


def value_and_grad(
    readout: CrossAttentionReadout, params: Params, features: Any, batch: Mapping[str, Any], parts: int = 1
) -> tuple[tuple[Any, dict[str, Any]], Params]:
    """Return `((loss, terms), gradient)` of the batch, `1 / parts` of its samples in memory at a time.

    Every part is divided by the whole batch's weights, never by its own: parts with few visible points or
    valid pixels count no more than they hold.

    Args:
        features: `(b, t, k, c)`; `parts` has to divide b.

    Raises:
        UsageError: it does not.
    """
    count = features.shape[0]
    if parts < 1 or count % parts:
        raise UsageError(f"value_and_grad: expected parts that divide the batch of {count}, got {parts}.")
    weights = readout.weights(batch)

    def part_loss(params: Params, features: Any, batch: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        return readout.combine(readout.sums(readout.apply(params, features, batch), batch), weights)

    differentiate = jax.value_and_grad(part_loss, has_aux=True)
    if parts == 1:
        return differentiate(params, features, batch)  # type: ignore[no-any-return]

    def add_part(total: Any, part: tuple[Any, Any]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, differentiate(params, *part)), None

    split = jax.tree.map(lambda x: x.reshape(parts, count // parts, *x.shape[1:]), (features, dict(batch)))
    first = jax.tree.map(lambda x: x[0], split)
    shapes = jax.eval_shape(differentiate, params, *first)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.scan(add_part, zeros, split)[0]  # type: ignore[no-any-return]
