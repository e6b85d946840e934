"""The tokens that a readout attends to, never made whole: a LayerNorm of features resampled over time.

A token is `z_t = sum_s m_ts x_s / deviation_t * scale + bias + embedding_t`, `x_s` a feature without its mean over
channels. All of it but the division is linear, so a projection of z is one of the x, resampled: half of the products
where eight times become sixteen, and nothing but x is kept for the gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from attrs import frozen

from probe4d_readouts.linear import project

__all__ = ["Projected", "Tokens", "centre", "deviation", "projected"]


def centre(x: Any) -> Any:
    """Return `x` without its mean over the last axis."""
    return x - x.mean(-1, keepdims=True)


def deviation(centred: Any, eps: float) -> Any:
    """Return the `(…, 1)` deviation over the last axis that a LayerNorm divides by, of what has no mean."""
    return jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + eps)


@frozen(kw_only=True)
class Tokens:
    """What the tokens of a clip are made of.

    Attributes:
        centred: `(b, s, k, c)` float32 features at s times, each without its mean over channels.
        spread: `(b, t, k, 1)` float32, one over the deviation of each feature at the trunk's t times.
        times: `(t, s)`, or None where s is t.
    """

    centred: Any
    spread: Any
    times: Any | None

    @classmethod
    def of(cls, features: Any, times: Any | None, eps: float) -> Tokens:
        """Return the tokens of features `(b, s, k, c)`."""
        centred = centre(features.astype(jnp.float32))
        resampled = centred if times is None else jnp.einsum("ts,bskc->btkc", times, centred)
        return cls(centred=centred, spread=1 / deviation(resampled, eps), times=times)

    def flat(self, dtype: Any) -> Any:
        """Return the centred features `(b, s k, c)`."""
        b, _, _, c = self.centred.shape
        return self.centred.astype(dtype).reshape(b, -1, c)

    def at_times(self, rows: Any) -> Any:
        """Return what was made of the flat features, `(b, s k, …)`, at the trunk's times and divided by the deviation.

        The result is `(b, t, k, …)` float32.
        """
        b, s, k, _ = self.centred.shape
        over = rows.shape[2:]
        if self.times is not None:
            rows = jnp.matmul(self.times, rows.reshape(b, s, -1), preferred_element_type=jnp.float32)
        rows = rows.reshape(b, -1, k, *over)
        return rows * self.spread.reshape(*self.spread.shape[:3], *[1] * len(over))

    def pooled(self, weights: Any, dtype: Any) -> Any:
        """Return `(b, r, c)`, the sum over tokens of `weights (b, t, k, r)` times the divided features."""
        b, _, k, r = weights.shape
        rows = weights * self.spread
        if self.times is not None:
            rows = jnp.matmul(self.times.T, rows.reshape(b, -1, k * r), preferred_element_type=jnp.float32)
        rows = rows.reshape(b, -1, r).astype(dtype)
        return jnp.einsum("bnr,bnc->brc", rows, self.flat(dtype), preferred_element_type=jnp.float32)


class Projected(NamedTuple):
    """What a linear layer makes of tokens: `rows` resampled to a token's time, over its deviation, plus what is added.

    Attributes:
        rows: `(b, h, s k, d)`, of the features at their own times.
        added: `(h, t, d)`, or `(h, t k, d)` where places have embeddings, too.
    """

    rows: Any
    added: Any


def projected(tokens: Tokens, params: Mapping[str, Any], name: str, dtype: Any) -> Projected:
    """Return what the layer `name`, a kernel `(c, h, d)` and maybe a bias, makes of the tokens."""
    layer, norm = params[name], params["norm"]
    kernel = layer["kernel"]
    rows = project(tokens.flat(dtype), {"kernel": kernel * norm["scale"][:, None, None]}, dtype)
    added = jnp.tensordot(params["temporal"]["embedding"] + norm["bias"], kernel, 1)  # (t, 1 or k, h, d)
    if "bias" in layer:
        added = added + layer["bias"]
    added = added.reshape(-1, *added.shape[2:])
    return Projected(rows.swapaxes(1, 2), added.astype(dtype).swapaxes(0, 1))
