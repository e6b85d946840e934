"""AdamW for several learning rates at once: the rate is an argument of the update, not of the optimizer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from probe4d.errors import UsageError

__all__ = ["SCHEDULES", "apply_updates", "learning_rate", "make_optimizer"]

SCHEDULES = ("cosine", "linear", "constant")


def make_optimizer(
    *, betas: tuple[float, ...], epsilon: float, weight_decay: float, decayed: Any, clip_norm: float = 0.0
) -> optax.GradientTransformation:
    """Return AdamW without its rate: `apply_updates` multiplies by it.

    Args:
        decayed: a tree of booleans like the parameters, those that weight decay pulls at.
        clip_norm: of the gradient; 0 does not clip.
    """
    parts = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    parts += [
        optax.scale_by_adam(b1=betas[0], b2=betas[1], eps=epsilon),
        optax.add_decayed_weights(weight_decay, mask=decayed),
    ]
    return optax.chain(*parts)


def learning_rate(step: Any, peak: Any, *, steps: int, warmup: int, end: float, schedule: str = "cosine") -> Any:
    """Return the rate of a step: linear from 0 to `peak`, then by the schedule to `end`.

    Args:
        step: from 0; the first step of a warmup has rate `peak / warmup`.
        peak: one rate, or an array of rates.
        schedule: one of `SCHEDULES`; `constant` stays at `peak` and never comes to `end`.

    Raises:
        UsageError: no such schedule.
    """
    rising = peak * (step + 1) / max(warmup, 1)
    progress = jnp.clip((step + 1 - warmup) / max(steps - warmup, 1), 0.0, 1.0)
    if schedule == "cosine":
        falling = end + 0.5 * (peak - end) * (1 + jnp.cos(jnp.pi * progress))
    elif schedule == "linear":
        falling = end + (peak - end) * (1 - progress)
    elif schedule == "constant":
        falling = peak
    else:
        raise UsageError(f"schedule: expected one of {', '.join(SCHEDULES)}, got {schedule!r}.")
    return jnp.where(step < warmup, rising, falling)


def apply_updates(params: Any, updates: Any, rate: Any) -> Any:
    """Return the parameters moved against the updates by the rate."""
    return jax.tree.map(lambda value, update: value - rate * update, params, updates)
