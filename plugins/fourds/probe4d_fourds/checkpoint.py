"""The layout of the released `.npz` checkpoints, read and written.

Keys are paths of the authors' model, `params/encoder/…` and `params/processor/layers_3/…`. In a
checkpoint that also holds a readout the backbone is the first of a sequence: `params/layers_0/encoder/…`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from probe4d.errors import DataError
from probe4d_vit.checkpoints import Checkpoint, Source, flatten, load_params, open_checkpoint
from probe4d_vit.config import VitConfig
from probe4d_vit.resample import resample_params
from probe4d_vit.table import Tree, param_table, truncate

PREFIXES = ("params/", "params/layers_0/")
_MARK = "encoder/patch_embedding/Conv_0/kernel"

# What may stand beside the encoder: the decoder's latents, and the modules that follow it in a sequence.
IGNORED = {
    "params/": (r"params/(?!encoder/|processor/)",),
    "params/layers_0/": (r"params/layers_(?!0/)\d+/", r"params/layers_0/(?!encoder/|processor/)"),
}

_BLOCK = "processor/layers_{i}/"
KEYS = {
    "embed/kernel": "encoder/patch_embedding/Conv_0/kernel",
    "embed/bias": "encoder/patch_embedding/Conv_0/bias",
    "position": "encoder/posenc/embeddings",
    **{f"blocks/norm1/{part}": f"{_BLOCK}attention_norm/{part}" for part in ("scale", "bias")},
    **{f"blocks/norm2/{part}": f"{_BLOCK}mlp_norm/{part}" for part in ("scale", "bias")},
    **{
        f"blocks/{short}/{part}": f"{_BLOCK}{name}/{part}"
        for part in ("kernel", "bias")
        for short, name in {
            "q": "attention/query",
            "k": "attention/key",
            "v": "attention/value",
            "o": "attention/out",
            "up": "mlp/dense_in",
            "down": "mlp/dense_out",
        }.items()
    },
}


def prefix_of(checkpoint: Checkpoint) -> str:
    """Return what stands before the encoder's keys.

    Raises:
        DataError: it is no 4DS checkpoint.
    """
    keys = set(checkpoint.keys())
    for prefix in PREFIXES:
        if prefix + _MARK in keys:
            return prefix
    raise DataError(
        f"{checkpoint.path}: expected a 4DS checkpoint with {PREFIXES[0] + _MARK!r}, "
        f"got {len(keys)} other keys such as {sorted(keys)[:2]}."
    )


def sizes_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the fields of a configuration that the shapes of a checkpoint's arrays tell.

    Raises:
        DataError: it is no 4DS checkpoint, or its arrays are of no 4DS.
    """
    prefix = prefix_of(checkpoint)
    block = prefix + _BLOCK
    wanted = {
        "embed": (prefix + _MARK, 5),
        "position": (prefix + KEYS["position"], 4),
        "query": (block.format(i=0) + "attention/query/kernel", 3),
        "up": (block.format(i=0) + "mlp/dense_in/kernel", 2),
    }
    keys = set(checkpoint.keys())
    shapes = {name: checkpoint.shape(key) if key in keys else None for name, (key, _) in wanted.items()}
    for name, (key, axes) in wanted.items():
        if len(shapes[name] or ()) != axes:
            raise DataError(f"{checkpoint.path}: expected {key!r} with {axes} axes, got {shapes[name]}.")
    depth = next(count for count in itertools.count() if block.format(i=count) + "attention/query/kernel" not in keys)
    embed, position, query, up = (shape for shape in shapes.values() if shape is not None)
    return {
        "width": embed[-1],
        "depth": depth,
        "heads": query[1],
        "head_dim": query[2],
        "mlp": up[-1],
        "patch": embed[:3],
        "grid": position[:3],
    }


def read(path: str | Path, config: VitConfig, blocks: int) -> Tree:
    """Return the parameters of the first so many blocks of a checkpoint; the others are not read.

    Raises:
        DataError: it is not a checkpoint of this size.
    """
    checkpoint = open_checkpoint(path)
    prefix = prefix_of(checkpoint)
    sources = {name: Source(prefix + key) for name, key in KEYS.items()}
    table = truncate(param_table(config), blocks, config)
    return load_params(checkpoint, table, sources, depths={"blocks": config.depth}, ignore=IGNORED[prefix])


def read_resampled(path: str | Path, config: VitConfig, grid: tuple[int, int, int], blocks: int) -> Tree:
    """Return the same with the position table resized to another grid of tokens."""
    return resample_params(read(path, config, blocks), config, grid)[0]


def to_arrays(params: Mapping[str, Any], prefix: str = PREFIXES[0]) -> dict[str, np.ndarray]:
    """Return the encoder's arrays by their released names, float32, one per block."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in flatten(params).items():
        key = prefix + KEYS[name]
        array = np.asarray(value, np.float32)
        if "{i}" in key:
            arrays |= {key.format(i=block): layer for block, layer in enumerate(array)}
        else:
            arrays[key] = array
    return arrays


def write(path: str | Path, params: Mapping[str, Any], prefix: str = PREFIXES[0]) -> None:
    """Write parameters in the released layout, float32, one array per block."""
    with Path(path).open("wb") as file:
        np.savez(file, **to_arrays(params, prefix))  # type: ignore[arg-type]


def reader(path: str | Path, config: VitConfig, grid: tuple[int, int, int]) -> partial[Tree]:
    """Return `read(blocks)` of one file, for `VitBackbone`; it can be pickled."""
    if grid == config.grid:
        return partial(read, path, config)
    return partial(read_resampled, path, config, grid)
