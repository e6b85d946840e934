"""Losses per element, in float32. Masks are the caller's: see `probe4d_readouts.batches.masked_sum`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["cross_entropy", "huber", "sigmoid_cross_entropy"]


def huber(error: Any, delta: float) -> Any:
    """Return `(…)` Huber losses of the Euclidean length of `(…, d)` errors: `x² / 2`, linear past `delta`.

    The gradient is finite at an error of zero, where that of the length itself is not.
    """
    squared = jnp.sum(jnp.square(error), axis=-1)
    far = squared > delta**2
    length = jnp.sqrt(jnp.where(far, squared, 1.0))
    return jnp.where(far, delta * (length - 0.5 * delta), 0.5 * squared)


def sigmoid_cross_entropy(logits: Any, targets: Any) -> Any:
    """Return `(…)` binary cross-entropies, finite for any finite logit; targets are 0 or 1."""
    return jax.nn.softplus(logits) - logits * targets


def cross_entropy(logits: Any, label: Any) -> Any:
    """Return `(b,)` cross-entropies of `(b, c)` logits and `(b,)` class numbers."""
    chosen = jnp.take_along_axis(logits, label[:, None].astype(jnp.int32), axis=-1)[:, 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen
