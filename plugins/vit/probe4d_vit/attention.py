"""Exact self-attention, in the form that is fastest on each platform.

`tiled` (CPU): one head and one tile of queries at a time, so that the scores stay in the cache and
`n x n` never exists; its backward recomputes them. `fused` (GPU, TPU): `jax.nn.dot_product_attention`.
`einsum`: the definition, for short sequences and for tests. All three take the softmax in float32.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from probe4d.errors import UsageError

Array: TypeAlias = Any

KINDS = ("tiled", "fused", "einsum")
TILE = 392  # rows of queries: 392 x 1568 scores are 2.4 MB, and 392 divides the 1568 tokens of a clip
SHORT = 128  # up to this many tokens one batched einsum beats a loop over heads


def choose(kind: str | None = None) -> str:
    """Return `kind`, or the fastest one for jax's default backend.

    Compiling for a platform that is not the default one (a TPU topology on a CPU host) has to name it.

    Raises:
        UsageError: no such kind.
    """
    if kind is None:
        return "tiled" if jax.default_backend() == "cpu" else "fused"
    if kind not in KINDS:
        raise UsageError(f"attention: expected one of {', '.join(KINDS)}, got {kind!r}.")
    return kind


def attend(q: Array, k: Array, v: Array, kind: str, softcap: float | None = None) -> Array:
    """Return `softmax(cap(q kᵀ / sqrt(d))) v`.

    Args:
        q, k, v: `(b, n, h, d)`, of the compute dtype.
        kind: `tiled`, `fused` or `einsum`; what a kind is not made for runs as `einsum`.
        softcap: `cap(s) = softcap * tanh(s / softcap)` (VideoPrism), none by default.

    Returns:
        `(b, n, h, d)` in the dtype of `q`.
    """
    if kind == "fused" and softcap is None:
        return jax.nn.dot_product_attention(q, k, v)
    if kind == "tiled" and q.shape[1] > SHORT:
        return _tiled(q, k, v, softcap)
    return einsum(q, k, v, softcap)


def einsum(q: Array, k: Array, v: Array, softcap: float | None = None) -> Array:
    """Return the same, written as its definition; holds all `(b, h, n, n)` scores."""
    scale = q.shape[-1] ** -0.5
    scores = jnp.einsum("bqhd,bkhd->bhqk", q * scale, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(_cap(scores, softcap), axis=-1).astype(v.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v)


def _cap(scores: Array, softcap: float | None) -> Array:
    return scores if softcap is None else softcap * jnp.tanh(scores / softcap)


def tile_rows(n: int) -> int:
    """Return how many of `n` query rows one tile holds: all, a near divisor, or a near even share."""
    if n <= 2 * TILE:
        return n
    divisors = [rows for rows in range(TILE // 2, 2 * TILE + 1) if n % rows == 0]
    if divisors:
        return min(divisors, key=lambda rows: abs(rows - TILE))
    return -(-n // round(n / TILE))


def _tiled(q: Array, k: Array, v: Array, softcap: float | None) -> Array:
    b, n, h, d = q.shape
    heads = [x.transpose(0, 2, 1, 3).reshape(b * h, n, d) for x in (q * d**-0.5, k, v)]
    out = _heads(*heads, softcap)
    return out.reshape(b, h, n, d).transpose(0, 2, 1, 3)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _heads(q: Array, k: Array, v: Array, softcap: float | None) -> Array:
    return _forward(q, k, v, softcap)[0]


def _forward(q: Array, k: Array, v: Array, softcap: float | None) -> tuple[Array, tuple[Array, ...]]:
    def head(qkv: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        q, k, v = qkv

        def tile(rows: Array) -> tuple[Array, Array]:
            scores = _cap(_dot(rows, k.T), softcap)
            top = scores.max(axis=-1, keepdims=True)
            weights = jnp.exp(scores - top)
            total = weights.sum(axis=-1, keepdims=True)
            out = _dot(weights.astype(v.dtype), v) / total
            return out.astype(q.dtype), (top + jnp.log(total))[:, 0]

        out, log_sum = lax.map(tile, _tiles(q))
        n = q.shape[0]
        return out.reshape(-1, out.shape[-1])[:n], log_sum.reshape(-1)[:n]

    out, log_sum = lax.map(head, (q, k, v))
    return out, (q, k, v, out, log_sum)


def _backward(softcap: float | None, saved: tuple[Array, ...], grad: Array) -> tuple[Array, Array, Array]:
    q, k, v, out, log_sum = saved
    delta = jnp.sum(grad.astype(jnp.float32) * out.astype(jnp.float32), axis=-1)  # (heads, n)

    def head(args: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        q, k, v, grad, log_sum, delta = args

        def tile(carry: tuple[Array, Array], rows: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
            # Scores stand transposed, keys down and queries across: both sums over queries are then
            # plain products, and each query's log_sum and delta broadcast along the vector lanes.
            q, grad, log_sum, delta = rows
            scores = _cap(_dot(k, q.T), softcap)
            weights = jnp.exp(scores - log_sum)
            slope = weights * (_dot(v, grad.T) - delta)
            if softcap is not None:
                slope = slope * (1 - jnp.square(scores / softcap))
            weights, slope = weights.astype(v.dtype), slope.astype(q.dtype)
            grad_k, grad_v = carry
            carry = grad_k + _dot(slope, q), grad_v + _dot(weights, grad)
            return carry, _dot(k.T, slope).astype(q.dtype)  # (d, queries): a third faster than the other way round

        zeros = jnp.zeros(k.shape, jnp.float32)
        tiles = tuple(_tiles(x) for x in (q, grad, log_sum, delta))
        (grad_k, grad_v), grad_q = lax.scan(tile, (zeros, zeros), tiles)
        n = q.shape[0]
        return grad_q.swapaxes(1, 2).reshape(-1, q.shape[1])[:n], grad_k.astype(k.dtype), grad_v.astype(v.dtype)

    grads: tuple[Array, Array, Array] = lax.map(head, (q, k, v, grad, log_sum, delta))
    return grads


_heads.defvjp(_forward, _backward)


def _dot(a: Array, b: Array) -> Array:
    return jnp.dot(a, b, preferred_element_type=jnp.float32)


def _tiles(rows: Array) -> Array:
    """Return `(n, …)` as `(tiles, rows, …)`, the last tile padded with zeros (its rows are cut off later)."""
    n = rows.shape[0]
    size = tile_rows(n)
    padded = jnp.pad(rows, [(0, -n % size)] + [(0, 0)] * (rows.ndim - 1))
    return padded.reshape(-1, size, *rows.shape[1:])
