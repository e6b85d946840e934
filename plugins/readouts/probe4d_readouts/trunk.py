"""The cross-attention trunk: features and queries in, one output vector per query out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from attrs import frozen

from probe4d_readouts.attention import absorbed_attention, tiled_attention
from probe4d_readouts.configs import TrunkConfig
from probe4d_readouts.linear import project
from probe4d_readouts.params import Leaf, dense, embedding, norm
from probe4d_readouts.tokens import Tokens, centre, deviation, projected

__all__ = ["Dims", "absorbs", "run_trunk", "trunk_table"]


@frozen(kw_only=True)
class Dims:
    """What the parameters' shapes depend on beside the configuration.

    Attributes:
        frames, space, channels: of the features that reach the trunk.
        queries: how many learned queries there are; 0 where queries are given.
        query_width: channels of a given query.
        outputs: numbers that one query answers.
    """

    frames: int
    space: int
    channels: int
    queries: int = 0
    query_width: int = 0
    outputs: int = 1


def trunk_table(config: TrunkConfig, dims: Dims) -> dict[str, dict[str, Leaf]]:
    """Return the trunk's parameters. Inits: released (the layers' defaults of its library).

    The key projection has no bias: it would add one number to all of a query's scores, which the softmax
    removes, so that its gradient is rounding noise. (The released code has it.)
    """
    split = {"heads": config.heads, "head_dim": config.width // config.heads}
    channels, width, hidden = (
        {"embed": dims.channels},
        {"width": config.width},
        {"mlp": config.mlp_ratio * config.width},
    )
    space = dims.space if config.temporal_embedding == "time_space" else 1
    return {
        "norm": norm({"embed": dims.channels}),
        "temporal": embedding({"_time": dims.frames, "_space": space, **channels}, config.embedding_std),
        "query": embedding({"queries": dims.queries, **split}, config.embedding_std)
        if dims.queries
        else dense({"query_embed": dims.query_width}, split),
        "key": {"kernel": dense(channels, split)["kernel"]},
        "value": dense(channels, split),
        "attention_out": dense(split, width),
        "mlp_norm": norm(width),
        "mlp_in": dense(width, hidden),
        "mlp_out": dense(hidden, width),
        "out": dense(width, {"outputs": dims.outputs}),
    }


@partial(jax.jit, static_argnums=0)
def run_trunk(
    config: TrunkConfig, params: Mapping[str, Any], features: Any, queries: Any | None, times: Any | None = None
) -> Any:
    """Return `(b, q, outputs)` float32.

    Args:
        features: `(b, s, k, c)`.
        queries: `(b, q, e)`, or None where they are learned.
        times: `(t, s)`, the weights by which features at s times are those at the trunk's t; None where they are
            at those already.

    Source: paper A.2 and the released code; no norm on the output, no dropout.
    """
    dtype = jnp.dtype(config.dtype)
    if queries is None:
        query = params["query"]["embedding"].astype(dtype)  # (q, h, d), of every clip
    else:
        query = project(queries.astype(dtype), params["query"], dtype)  # (b, q, h, d)
    scaled = query * np.asarray((config.width // config.heads) ** -0.5, dtype)
    tokens = Tokens.of(features, times, config.norm_eps)
    if absorbs(config, query.shape[-3]):
        attended = absorbed_attention(params, scaled, tokens, dtype)
    else:
        attended = _project_and_attend(config, params, scaled, tokens, dtype)
    return _tail(config, params, query, attended, dtype)


def absorbs(config: TrunkConfig, queries: int) -> bool:
    """Return whether so many queries of a clip attend to the features themselves, without keys and values."""
    if config.attention == "auto":
        return queries * config.heads < config.width
    return config.attention == "absorbed"


def _layer_norm(x: Any, layer: Mapping[str, Any], eps: float) -> Any:
    """Return a LayerNorm over the last axis, in float32 whatever the input."""
    centred = centre(x.astype(jnp.float32))
    return centred / deviation(centred, eps) * layer["scale"] + layer["bias"]


def _project_and_attend(config: TrunkConfig, params: Mapping[str, Any], query: Any, tokens: Tokens, dtype: Any) -> Any:
    """Return `(b, q, h, d)` by keys and values, the queries in tiles."""
    key, value = (projected(tokens, params, name, dtype) for name in ("key", "value"))
    query = query[None] if query.ndim == 3 else query
    attended = tiled_attention(query.swapaxes(-3, -2), key, value, tokens, config.query_tile)
    return attended.swapaxes(1, 2)


def _tail(config: TrunkConfig, params: Mapping[str, Any], query: Any, attended: Any, dtype: Any) -> Any:
    """Return the outputs of attended queries; a tile at a time, recomputed backward, where they are many."""
    query = query[None] if query.ndim == 3 else query

    def answer(query: Any, attended: Any) -> Any:
        token = query.reshape(*query.shape[:2], config.width) + project(attended, params["attention_out"], dtype, 2)
        normed = _layer_norm(token, params["mlp_norm"], config.norm_eps).astype(dtype)
        hidden = jax.nn.gelu(project(normed, params["mlp_in"], dtype), approximate=True)
        token = token + project(hidden, params["mlp_out"], dtype)
        return project(token, params["out"], dtype).astype(jnp.float32)

    if attended.shape[1] <= config.query_tile:
        return answer(query, attended)
    return _in_tiles(answer, config.query_tile, query, attended)


def _in_tiles(answer: Any, tile: int, query: Any, attended: Any) -> Any:
    """Return `answer` over tiles of the second axis; nothing but inputs and outputs outlives a tile."""
    count = attended.shape[1]
    tiles = -(-count // tile)

    def split(x: Any) -> Any:
        padded = jnp.pad(x, ((0, 0), (0, tiles * tile - count), (0, 0), (0, 0)))
        return jnp.moveaxis(padded.reshape(x.shape[0], tiles, tile, *x.shape[2:]), 1, 0)

    out = jax.lax.map(lambda each: jax.checkpoint(answer)(*each), (split(query), split(attended)))
    out = jnp.moveaxis(out, 0, 1)
    return out.reshape(out.shape[0], tiles * tile, out.shape[-1])[:, :count]
