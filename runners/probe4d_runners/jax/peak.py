"""What the devices of this process reach in a large product of matrices: the measure of utilisation."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["matmul_peak"]


def matmul_peak(dtype: Any, *, size: int = 2048, repeats: int = 5) -> float:
    """Return the best of a few products of `size x size` matrices, in FLOP/s, over all local devices together.

    Args:
        dtype: of the matrices.
        size: rows and columns; large enough that nothing but the arithmetic counts.
    """
    matrix = jnp.ones((size, size), dtype)
    multiply = jax.jit(jnp.matmul)
    multiply(matrix, matrix).block_until_ready()
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        multiply(matrix, matrix).block_until_ready()
        best = min(best, time.perf_counter() - began)
    devices = 1 if jax.default_backend() == "cpu" else jax.local_device_count()  # virtual CPU devices share the cores
    return devices * 2 * size**3 / best
