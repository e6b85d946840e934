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
from jax.lax import Precision

from probe4d_readouts.tokens import Projected, Tokens

__all__ = ["absorbed_attention", "tiled_attention"]

Mapped: TypeAlias = Callable[..., Any]


def tiled_attention(query: Any, key: Projected, value: Projected, tokens: Tokens, tile: int) -> Any:
    """Return `softmax(query key^T) value`, `(b, h, q, d)`; the scores are float32.

    Scores are made of the keys at the features' own times, and the scores are resampled; the weights are carried
    back to these times before they meet the values: half of the products where eight times become sixteen.

    Args:
        query: `(b or 1, h, q, d)`, already scaled; a leading 1 serves every clip of the batch.
        key, value: what `tokens` are projected to.
        tile: queries at a time.
    """
    return _tiled(query, key, value, tokens.spread[..., 0], tokens.times, tile)


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def _tiled(query: Any, key: Projected, value: Projected, spread: Any, times: Any, tile: int) -> Any:
    return _forward(query, key, value, spread, times, tile)[0]


# Scores stand keys down and queries across: resampling is then one product from the left, sums over keys and over
# queries are plain ones, and no product wants its left side turned, which costs a CPU more than the product saves.


def _forward(query: Any, key: Projected, value: Projected, spread: Any, times: Any, tile: int) -> tuple[Any, Any]:
    def one_head(q: Any, k: Projected, v: Projected, spread: Any) -> Any:
        def one_tile(rows: Any) -> tuple[Any, Any]:
            scores = _resampled(_dot(k.rows, rows.T), spread, times) * spread[..., None] + _added(k, rows, spread)
            highest = scores.max((0, 1))
            weights = jnp.exp(scores - highest)
            pooled = _dot(v.rows.T, _gathered(weights * spread[..., None], times).astype(v.rows.dtype))
            pooled += _dot(v.added.T, _over_places(weights, v).astype(v.added.dtype))
            total = weights.sum((0, 1))
            return (pooled / total).astype(v.rows.dtype), highest + jnp.log(total)

        return jax.lax.map(one_tile, q)

    out, log_sum = _over_heads(one_head, _split(query, tile), key, value, spread)
    return _join(out.swapaxes(-1, -2), query.shape[2]), log_sum


def _keep(query: Any, key: Projected, value: Projected, spread: Any, times: Any, tile: int) -> tuple[Any, Any]:
    out, log_sum = _forward(query, key, value, spread, times, tile)
    return out, (query, key, value, spread, times, out, log_sum)


def _backward(tile: int, kept: tuple[Any, ...], d_out: Any) -> tuple[Any, ...]:
    query, key, value, spread, times, out, log_sum = kept
    # What the softmax's derivative subtracts from each row, sum_n p_n dp_n, is also out . d_out.
    offset = jnp.sum(out.astype(jnp.float32) * d_out.astype(jnp.float32), axis=-1, keepdims=True)

    def one_head(q: Any, k: Projected, v: Projected, spread: Any, d_o: Any, lse: Any, shift: Any) -> Any:
        wide = spread[..., None]

        def one_tile(sums: tuple[Any, ...], rows: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
            q_rows, d_rows, lse_rows, shift_rows = rows
            plain = _resampled(_dot(k.rows, q_rows.T), spread, times)
            weights = jnp.exp(plain * wide + _added(k, q_rows, spread) - lse_rows)
            answered = _resampled(_dot(v.rows, d_rows.T), spread, times)
            d_scores = weights * (answered * wide + _added(v, d_rows, spread) - shift_rows[:, 0])
            at_keys = _gathered(d_scores * wide, times).astype(k.rows.dtype)
            added_keys = _over_places(d_scores, k).astype(k.added.dtype)
            at_values = _gathered(weights * wide, times).astype(v.rows.dtype)
            added_values = _over_places(weights, v).astype(v.added.dtype)
            found = (
                _dot(at_keys, q_rows),
                _dot(added_keys, q_rows),
                _dot(at_values, d_rows),
                _dot(added_values, d_rows),
                (d_scores * plain + weights * answered).sum(-1),
            )
            d_q = _dot(k.rows.T, at_keys) + _dot(k.added.T, added_keys)
            return jax.tree.map(jnp.add, sums, found), d_q

        zeros = [jnp.zeros(x.shape, jnp.float32) for x in (*k, *v, spread)]
        sums, d_q = jax.lax.scan(one_tile, tuple(zeros), (q, d_o, lse, shift))
        return d_q, sums

    rows = (_split(d_out, tile), log_sum, _split(offset, tile))
    d_q, sums = _over_heads(one_head, _split(query, tile), key, value, spread, *rows)
    d_q = _join(d_q.swapaxes(-1, -2), query.shape[2])
    if query.shape[0] == 1:
        d_q = d_q.sum(0, keepdims=True)
    d_k, d_k_added, d_v, d_v_added, d_spread = sums
    d_key = Projected(d_k.astype(key.rows.dtype), d_k_added.sum(0).astype(key.added.dtype))
    d_value = Projected(d_v.astype(value.rows.dtype), d_v_added.sum(0).astype(value.added.dtype))
    d_times = None if times is None else jnp.zeros_like(times)  # of a resize, which nothing learns
    return d_q.astype(query.dtype), d_key, d_value, d_spread.sum(1), d_times


_tiled.defvjp(_keep, _backward)


def _dot(left: Any, right: Any) -> Any:
    return jnp.matmul(left, right, preferred_element_type=jnp.float32)


def _resampled(rows: Any, spread: Any, times: Any) -> Any:
    """Return `(t, k, q)` at the trunk's times of what was made at the features' own, `(s k, q)`."""
    if times is not None:
        rows = jnp.matmul(times, rows.reshape(times.shape[1], -1), precision=Precision.HIGHEST)
    return rows.reshape(*spread.shape, -1)


def _gathered(rows: Any, times: Any) -> Any:
    """Return `(s k, q)`, the transpose of `_resampled`."""
    queries = rows.shape[-1]
    if times is not None:
        rows = jnp.matmul(times.T, rows.reshape(times.shape[0], -1), precision=Precision.HIGHEST)
    return rows.reshape(-1, queries)


def _added(layer: Projected, rows: Any, spread: Any) -> Any:
    """Return `(t, 1 or k, q)`: what is added to each key or value, times the rows."""
    return _dot(layer.added, rows.T).reshape(len(spread), -1, len(rows))


def _over_places(weights: Any, layer: Projected) -> Any:
    """Return the weights `(t, k, q)` of what the layer adds, `(t, q)` or `(t k, q)`."""
    if len(layer.added) == len(weights):
        return weights.sum(1)
    return weights.reshape(-1, weights.shape[-1])


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


def _over_heads(one_head: Mapped, query: Any, key: Projected, value: Projected, spread: Any, *others: Any) -> Any:
    """Return `one_head` over the batch and heads: one after the other on a CPU, else all at once.

    One head's tile stays in a CPU's cache, which is twice as fast there; an accelerator wants them
    together. The platform is that of the program being compiled, not of the process.
    """

    def run(mapped: Callable[[Mapped], Mapped], query: Any, key: Projected, value: Projected, *rest: Any) -> Any:
        def one_clip(q: Any, k: Any, v: Any, spread: Any, *others: Any) -> Any:
            def of_head(q: Any, k: Any, k_added: Any, v: Any, v_added: Any, *others: Any) -> Any:
                return one_head(q, Projected(k, k_added), Projected(v, v_added), spread, *others)

            return mapped(of_head)(q, k, key.added, v, value.added, *others)

        if query.shape[0] == 1:
            return mapped(lambda *each: one_clip(query[0], *each))(key.rows, value.rows, *rest)
        return mapped(one_clip)(query, key.rows, value.rows, *rest)

    return jax.lax.platform_dependent(
        query,
        key,
        value,
        spread,
        *others,
        cpu=partial(run, _in_turn),
        default=partial(run, lambda function: jax.vmap(function)),
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
