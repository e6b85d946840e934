"""Coordinates to Fourier features, and these to queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probe4d_readouts.linear import project
from probe4d_readouts.params import Leaf, dense

__all__ = ["embed_coordinates", "embedder_table", "fourier_features"]


def fourier_features(coordinates: Any, bands: int) -> Any:
    """Return `(…, 2 * bands * d)` float32 features of `(…, d)` coordinates in [0, 1].

    First every `sin(x * pi * 2**k)`, k outside and the coordinate inside, then the same a quarter turn
    on. By multiplication in float32: a matmul may run in bfloat16 or TF32, whose 8 or 10 bits of
    mantissa make noise of `x * pi * 2**15`. Source: the paper's A.2.3 and the released encoding.
    """
    frequencies = (np.pi * 2.0 ** np.arange(bands)).astype(np.float32)
    angles = coordinates.astype(jnp.float32)[..., None, :] * frequencies[:, None]
    angles = angles.reshape(*coordinates.shape[:-1], -1)
    return jnp.sin(jnp.concatenate([angles, angles + np.float32(np.pi / 2)], axis=-1))


def embedder_table(coordinates: int, bands: int, width: int) -> dict[str, dict[str, Leaf]]:
    """Return the parameters of the query's MLP: Fourier features -> `width` -> `width`."""
    return {
        "hidden": dense({"fourier": 2 * bands * coordinates}, {"query_hidden": width}),
        "out": dense({"query_hidden": width}, {"query_embed": width}),
    }


def embed_coordinates(params: Mapping[str, Any], coordinates: Any, bands: int, dtype: Any) -> Any:
    """Return `(…, width)` queries of `(…, d)` coordinates."""
    features = fourier_features(coordinates, bands).astype(dtype)
    hidden = jax.nn.gelu(project(features, params["hidden"], dtype), approximate=True)
    return project(hidden, params["out"], dtype)
