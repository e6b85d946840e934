"""Trained weights as files that any program reads: the released `.npz` layout, and safetensors with its keys.

The latents of the decoder go along, so that a reconstruction can be drawn from the file; who wants
features only reads past them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probe4d import atomic
from probe4d.errors import DataError, UsageError
from probe4d_fourds import checkpoint
from probe4d_fourds.objective import Mae, mae_table
from probe4d_vit.checkpoints import Source, flatten, load_params, open_checkpoint

__all__ = ["read_model", "to_arrays", "write_npz", "write_safetensors"]

PREFIX = checkpoint.PREFIXES[0]
# The authors' name for the latent grid; the linear map to pixels is not in their release, its name is ours.
EXTRA = {
    "latents": PREFIX + "latent_posenc/embeddings",
    "decoder/kernel": PREFIX + "decoder/kernel",
    "decoder/bias": PREFIX + "decoder/bias",
}
DTYPES = ("float32", "bfloat16")


def to_arrays(params: Mapping[str, Any], dtype: str = "float32") -> dict[str, np.ndarray]:
    """Return the arrays of a whole model by their released names.

    Raises:
        UsageError: a dtype that is neither float32 nor bfloat16.
    """
    if dtype not in DTYPES:
        raise UsageError(f"dtype of weights: expected {' or '.join(DTYPES)}, got {dtype!r}.")
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float32)
    arrays = checkpoint.to_arrays(params["encoder"], PREFIX)
    flat = flatten({name: node for name, node in params.items() if name != "encoder"})
    arrays |= {EXTRA[name]: np.asarray(value, np.float32) for name, value in flat.items()}
    return {name: np.ascontiguousarray(array.astype(kind)) for name, array in arrays.items()}


def write_npz(file: Path, params: Mapping[str, Any]) -> None:
    """Write the released layout, float32."""
    with atomic.replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **to_arrays(params))  # type: ignore[arg-type]


def write_safetensors(
    file: Path, params: Mapping[str, Any], *, dtype: str = "float32", part_bytes: int | None = None
) -> list[Path]:
    """Write safetensors, in parts of at most so many bytes where told, with the index that hubs use.

    Returns:
        The files; the first is the one to load: the index where there are parts.
    """
    from safetensors.numpy import save_file

    arrays = to_arrays(params, dtype)
    parts = _in_parts(arrays, part_bytes)
    if len(parts) == 1:
        with atomic.replacing(file) as temporary:
            save_file(arrays, temporary)
        return [file]
    names = [f"{file.stem}-{i + 1:05d}-of-{len(parts):05d}.safetensors" for i in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        with atomic.replacing(file.with_name(name)) as temporary:
            save_file({key: arrays[key] for key in part}, temporary)
    index = file.with_name(f"{file.name}.index.json")
    where = {key: name for name, part in zip(names, parts, strict=True) for key in part}
    total = sum(array.nbytes for array in arrays.values())
    atomic.write_text(index, json.dumps({"metadata": {"total_size": total}, "weight_map": where}, indent=1) + "\n")
    return [index, *(file.with_name(name) for name in names)]


def _in_parts(arrays: Mapping[str, np.ndarray], part_bytes: int | None) -> list[list[str]]:
    """Return the names, in their order, in runs of at most so many bytes."""
    parts: list[list[str]] = [[]]
    size = 0
    for name, array in arrays.items():
        if part_bytes is not None and parts[-1] and size + array.nbytes > part_bytes:
            parts.append([])
            size = 0
        parts[-1].append(name)
        size += array.nbytes
    return parts


def read_model(file: str | Path, config: Mae) -> dict[str, Any]:
    """Return the parameters of a whole model, float32, as `objective.reconstruct` takes them.

    Raises:
        DataError: the file has no decoder (weights for features only), or is of another model.
    """
    found = open_checkpoint(file)
    prefix = checkpoint.prefix_of(found)
    missing = sorted(set(EXTRA.values()) - set(found.keys()))
    if prefix != PREFIX or missing:
        raise DataError(f"{file}: expected a model with its decoder, got none of {', '.join(missing)}.")
    sources = {f"encoder/{name}": Source(prefix + key) for name, key in checkpoint.KEYS.items()}
    sources |= {name: Source(key) for name, key in EXTRA.items()}
    return load_params(found, mae_table(config), sources, depths={"encoder/blocks": config.vit.depth}, ignore=())
