"""Keys and values as the tokens of a clip give them, made whole."""

from __future__ import annotations

import jax.numpy as jnp


def whole(layer, tokens):
    """Return the keys or values `(b, h, t k, d)` of a `Projected`."""
    b, t, k, _ = tokens.spread.shape
    heads, width = layer.rows.shape[1], layer.rows.shape[-1]
    rows = layer.rows.reshape(b, heads, -1, k, width)
    if tokens.times is not None:
        rows = jnp.einsum("ts,bhskd->bhtkd", tokens.times, rows)
    rows = rows * tokens.spread[:, None] + layer.added.reshape(heads, t, -1, width)
    return rows.reshape(b, heads, t * k, width)
