"""Exact attention of queries to the tokens of a clip, in memory that does not grow with the queries.

Two ways to the same numbers. `tiled_attention` takes keys and values and works on one tile of queries at
a time, forward and backward, so that no `(queries, tokens)` matrix is ever whole. `absorbed_attention`
makes neither keys nor values: for a few queries it is far cheaper to carry the query through the key
projection, attend to the features themselves, and project the one pooled feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from probe4d_readouts.tokens import Tokens

__all__ = ["absorbed_attention", "tiled_attention"]

Mapped: TypeAlias = Callable[..., Any]


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def tiled_attention(query: Any, key: Any, value: Any, tile: int) -> Any:
    """Return `softmax(query key^T) value`, `(b, h, q, d)`; the scores are float32.

    Args:
        query: `(b or 1, h, q, d)`, already scaled; a leading 1 serves every clip of the batch.
        key, value: `(b, h, n, d)`.
        tile: queries at a time.
    """
    return _forward(query, key, value, tile)[0]


def _forward(query: Any, key: Any, value: Any, tile: int) -> tuple[Any, Any]:
    def one_head(q: Any, k: Any, v: Any) -> Any:
        return jax.lax.map(lambda rows: _attend(rows, k, v), q)

    out, log_sum = _over_heads(one_head, _split(query, tile), (key, value))
    return _join(out, query.shape[2]), log_sum


def _attend(query: Any, key: Any, value: Any) -> tuple[Any, Any]:
    """Return one tile's output `(q, d)` and the logarithm of each row's sum `(q,)`."""
    scores = jnp.matmul(query, key.T, preferred_element_type=jnp.float32)
    highest = scores.max(-1, keepdims=True)
    weights = jnp.exp(scores - highest)
    total = weights.sum(-1, keepdims=True)
    out = jnp.matmul(weights.astype(value.dtype), value, preferred_element_type=jnp.float32) / total
    return out.astype(value.dtype), (highest + jnp.log(total))[:, 0]


def _keep(query: Any, key: Any, value: Any, tile: int) -> tuple[Any, Any]:
    out, log_sum = _forward(query, key, value, tile)
    return out, (query, key, value, out, log_sum)


def _backward(tile: int, kept: tuple[Any, ...], d_out: Any) -> tuple[Any, Any, Any]:
    query, key, value, out, log_sum = kept
    # What the softmax's derivative subtracts from each row, sum_n p_n dp_n, is also out . d_out.
    offset = jnp.sum(out.astype(jnp.float32) * d_out.astype(jnp.float32), axis=-1, keepdims=True)

    def one_head(q: Any, k: Any, v: Any, d_o: Any, lse: Any, shift: Any) -> tuple[Any, Any, Any]:
        def one_tile(sums: tuple[Any, Any], rows: tuple[Any, ...]) -> tuple[tuple[Any, Any], Any]:
            q_rows, d_rows, lse_rows, shift_rows = rows
            scores = jnp.matmul(q_rows, k.T, preferred_element_type=jnp.float32)
            weights = jnp.exp(scores - lse_rows[:, None])
            d_weights = jnp.matmul(d_rows, v.T, preferred_element_type=jnp.float32)
            d_scores = (weights * (d_weights - shift_rows)).astype(k.dtype)
            d_k = sums[0] + jnp.matmul(d_scores.T, q_rows, preferred_element_type=jnp.float32)
            d_v = sums[1] + jnp.matmul(weights.astype(v.dtype).T, d_rows, preferred_element_type=jnp.float32)
            return (d_k, d_v), jnp.matmul(d_scores, k, preferred_element_type=jnp.float32)

        zeros = jnp.zeros(k.shape, jnp.float32)
        (d_k, d_v), d_q = jax.lax.scan(one_tile, (zeros, zeros), (q, d_o, lse, shift))
        return d_q, d_k.astype(k.dtype), d_v.astype(v.dtype)

    rows = (_split(d_out, tile), log_sum, _split(offset, tile))
    d_q, d_k, d_v = _over_heads(one_head, _split(query, tile), (key, value, *rows))
    d_q = _join(d_q, query.shape[2])
    if query.shape[0] == 1:
        d_q = d_q.sum(0, keepdims=True)
    return d_q.astype(query.dtype), d_k, d_v


tiled_attention.defvjp(_keep, _backward)


def _split(rows: Any, tile: int) -> Any:
    """Return `(b, h, tiles, tile, d)` of `(b, h, q, d)`, filled up with zero rows."""
    b, h, q, d = rows.shape
    tile = min(tile, q)
    tiles = -(-q // tile)
    padded = jnp.pad(rows, ((0, 0), (0, 0), (0, tiles * tile - q), (0, 0)))
    return padded.reshape(b, h, tiles, tile, d)


def _join(tiles: Any, queries: int) -> Any:
    b, h, _, _, d = tiles.shape
    return tiles.reshape(b, h, -1, d)[:, :, :queries]


def _over_heads(one_head: Mapped, query: Any, others: tuple[Any, ...]) -> Any:
    """Return `one_head` over the batch and heads: one after the other on a CPU, else all at once.

    One head's tile stays in a CPU's cache, which is twice as fast there; an accelerator wants them
    together. The platform is that of the program being compiled, not of the process.
    """

    def run(mapped: Callable[[Mapped], Mapped], query: Any, *others: Any) -> Any:
        heads = mapped(one_head)
        if query.shape[0] == 1:
            return mapped(lambda *each: heads(query[0], *each))(*others)
        return mapped(heads)(query, *others)

    return jax.lax.platform_dependent(
        query, *others, cpu=partial(run, _in_turn), default=partial(run, lambda function: jax.vmap(function))
    )


def _in_turn(function: Mapped) -> Mapped:
    return lambda *arrays: jax.lax.map(lambda each: function(*each), arrays)


def absorbed_attention(params: Mapping[str, Any], query: Any, tokens: Tokens, dtype: Any) -> Any:
    """Return the same attention, `(b, q, h, d)`, without making keys, values or normalised features.

    With a token `z = x * spread * scale + bias + embedding`, a score `q . W_k z` is
    `(W_k^T q * scale) . x * spread + W_k^T q . embedding`, and a constant of the row that the softmax removes. The
    weighted sum of values is the value of the weighted sum. Cost: `queries * heads / width` of the projections.

    Args:
        params: `norm`, `temporal`, `key` and `value` of the trunk.
        query: `(q, h, d)` or `(b, q, h, d)`, already scaled.
        tokens: of the clips.
    """
    scale, bias, embedding = params["norm"]["scale"], params["norm"]["bias"], params["temporal"]["embedding"]
    probe = jnp.einsum("...qhd,chd->...qhc", query, params["key"]["kernel"].astype(dtype)).astype(jnp.float32)
    rows = (probe * scale).astype(dtype).reshape(*probe.shape[:-3], -1, probe.shape[-1])  # (b?, qh, c)
    scores = jnp.matmul(tokens.flat(dtype), rows.swapaxes(-1, -2), preferred_element_type=jnp.float32)  # (b, sk, qh)
    added = jnp.einsum("tkc,...rc->...tkr", embedding, probe.reshape(rows.shape))
    weights = jax.nn.softmax(tokens.at_times(scores) + added, axis=(1, 2))  # (b, t, k, qh)
    by_embedding = weights.sum(2, keepdims=True) if embedding.shape[1] == 1 else weights
    pooled = tokens.pooled(weights, dtype) * scale + bias + jnp.einsum("btkr,tkc->brc", by_embedding, embedding)
    pooled = pooled.reshape(len(pooled), *query.shape[-3:-1], -1).astype(dtype)
    values = jnp.einsum("bqhc,chd->bqhd", pooled, params["value"]["kernel"].astype(dtype))
    return values + params["value"]["bias"].astype(dtype)
