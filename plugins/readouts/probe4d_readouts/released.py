"""The readout parameters of the authors' checkpoints, in our layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.errors import DataError

__all__ = ["read_released"]

Arrays = Mapping[str, np.ndarray[Any, Any]]

NORMS = {"norm": "LayerNorm_0", "mlp_norm": "LayerNorm_1"}
LAYERS = {"key": "key_embedding", "value": "value_embedding", "mlp_in": "MLP_0/Dense_0", "mlp_out": "MLP_0/Dense_1"}


def read_released(arrays: Arrays, prefix: str = "params/") -> dict[str, Any]:
    """Return parameters for `apply` from the flat names of a released readout.

    The layers' numbers depend on whether the query is learned: with given queries `Dense_0` projects them,
    and the two that follow move up by one.

    Args:
        arrays: name -> array, `<prefix>LayerNorm_0/scale` and so on; a tracking readout keeps its trunk
            under `attention_readout/`.
        prefix: what its names start with.

    Raises:
        DataError: a parameter is missing, or one is there that no readout has.
    """
    left = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    trunk = "attention_readout/" if any(name.startswith("attention_readout/") for name in left) else ""

    def take(name: str) -> np.ndarray[Any, Any]:
        if name not in left:
            raise DataError(f"released readout: expected the parameter {prefix + name!r}, got {sorted(arrays)}.")
        return np.asarray(left.pop(name), np.float32)

    def layer(path: str, *leaves: str) -> dict[str, Any]:
        return {name: take(f"{path}/{name}") for name in leaves or ("kernel", "bias")}

    params: dict[str, Any] = {ours: layer(trunk + theirs) for ours, theirs in LAYERS.items()}
    params |= {ours: layer(trunk + theirs, "scale", "bias") for ours, theirs in NORMS.items()}
    params["temporal"] = {"embedding": take(f"{trunk}temporal_posenc/embeddings")}
    # A bias of the keys adds one number to all scores of a query: the softmax is the same without it.
    heads, size = params["key"].pop("bias").shape
    learned = f"{trunk}query" in left
    if learned:
        params["query"] = {"embedding": take(f"{trunk}query")}
    else:
        query = layer(f"{trunk}Dense_0")
        params["query"] = {
            "kernel": query["kernel"].reshape(-1, heads, size),
            "bias": query["bias"].reshape(heads, size),
        }
    attention_out = layer(f"{trunk}Dense_{int(not learned)}")
    params["attention_out"] = {**attention_out, "kernel": attention_out["kernel"].reshape(heads, size, -1)}
    params["out"] = layer(f"{trunk}Dense_{int(not learned) + 1}")
    if "query_initializer/layers_1/Dense_0/kernel" in left:
        layers = {"hidden": "Dense_0", "out": "Dense_1"}
        params["query_mlp"] = {ours: layer(f"query_initializer/layers_1/{theirs}") for ours, theirs in layers.items()}
    if "temporal_tile_posenc/embeddings" in left:
        params["tiles"] = {"embedding": take("temporal_tile_posenc/embeddings")}
    if left:
        raise DataError(f"released readout: expected no parameter but a readout's, got also {sorted(left)}.")
    return params
