"""Features at one frame rate to features at another: Keys cubic over time."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np

__all__ = ["cubic_matrix", "resample", "to_resample"]

KEYS_A = -0.5


def _keys(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x = np.abs(x)
    near = ((KEYS_A + 2) * x - (KEYS_A + 3)) * x * x + 1
    far = KEYS_A * (((x - 5) * x + 8) * x - 4)
    return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0.0)))


@cache
def cubic_matrix(source: int, target: int) -> np.ndarray[Any, Any]:
    """Return the `(target, source)` float32 weights of a cubic resize of one axis.

    Half-pixel centres; weights that fall outside are dropped and the rest renormalised; a shorter
    target widens the kernel, so that nothing aliases.
    Source: `jax.image.resize(…, "cubic")`, with which the released readout resamples time.
    """
    step = source / target
    centre = (np.arange(target) + 0.5) * step - 0.5
    weights = _keys((centre[:, None] - np.arange(source)) / max(step, 1.0))
    matrix: np.ndarray[Any, Any] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def resample(features: Any, frames: int, keep: tuple[int, ...] | None = None) -> Any:
    """Return `(b, frames, k, c)` features; those that have `frames` already pass unchanged.

    Args:
        features: `(b, t, k, c)`.
        keep: which of the resampled frames are wanted; the others are not computed.
    """
    if features.shape[1] == frames:
        return features if keep is None else features[:, np.array(keep)]
    matrix = cubic_matrix(features.shape[1], frames)
    rows = matrix if keep is None else matrix[list(keep)]
    return jnp.einsum("st,btkc->bskc", rows, features, preferred_element_type=jnp.float32)


def to_resample(features: Any, frames: int, keep: tuple[int, ...] | None = None) -> tuple[Any, Any | None]:
    """Return features and the `(t, s)` weights that are still to resample them, None where they are resampled.

    Where times become more, what is linear costs less before than after it. The arguments are `resample`'s.
    """
    times = features.shape[1]
    if times < (frames if keep is None else len(keep)):
        matrix = cubic_matrix(times, frames)
        return features, matrix if keep is None else matrix[list(keep)]
    return resample(features, frames, keep), None
