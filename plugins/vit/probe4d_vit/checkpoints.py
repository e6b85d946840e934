"""Checkpoint files read without executing anything, and only as far as they are needed.

A family's converter is data: for each parameter of the table, the key that holds it (`Source`).
`load_params` reads those of the blocks wanted, one array at a time, refuses keys that no rule
knows, and keeps nothing twice in memory.
"""

from __future__ import annotations

import logging
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import ml_dtypes
import numpy as np
from attrs import frozen

from probe4d.errors import DataError
from probe4d_vit import positions
from probe4d_vit.npz_file import NpzCheckpoint
from probe4d_vit.safetensors_file import SafetensorsCheckpoint
from probe4d_vit.table import Param, Tree, leaves
from probe4d_vit.torch_file import TorchCheckpoint

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

log = logging.getLogger("probe4d")

_TORCH_BEFORE_1_6 = bytes.fromhex("80028a0a6cfc9c46f920")  # a pickle of torch's magic number
_ALIGNMENT = 64  # bytes; jax takes such arrays as they are, without a copy


class Checkpoint(Protocol):
    """A file of named arrays."""

    path: Path

    def keys(self) -> Iterable[str]:
        """Return the names."""
        ...

    def shape(self, key: str) -> tuple[int, ...]:
        """Return an array's shape, without reading it."""
        ...

    def read(self, key: str, block: int | None = None) -> Array:
        """Return one array, or one block of a stacked one."""
        ...


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Return the checkpoint in a file; its first bytes say which format it has, not its name.

    Raises:
        DataError: no such file, or a format that is not read here.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: expected a checkpoint file, got nothing there. Check the path.")
    if path.suffix == ".json":
        return SafetensorsCheckpoint(path)
    with path.open("rb") as file:
        head = file.read(len(_TORCH_BEFORE_1_6))
    if head[:2] == b"PK":
        return TorchCheckpoint(path) if _holds_a_pickle(path) else NpzCheckpoint(path)
    if head[8:9] == b"{":
        return SafetensorsCheckpoint(path)
    if head == _TORCH_BEFORE_1_6:
        raise DataError(
            f"{path}: expected the zip format that torch saves since 1.6, got the one before it. "
            "Save it again: torch.save(torch.load(path, weights_only=True), new_path)."
        )
    raise DataError(
        f"{path}: expected an .npz or a safetensors file, or one of torch.save, got none of them. Fetch it again."
    )


def _holds_a_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return any(name.endswith("data.pkl") for name in file.namelist())
    except (zipfile.BadZipFile, OSError):
        return path.suffix in (".pth", ".pt", ".tar", ".bin")  # whose error says what is wrong


def _same(array: Array) -> Array:
    return array


@frozen
class Source:
    """Where one parameter is in a checkpoint.

    Attributes:
        key: its name; `{i}` is the number of the block, where each block has an array of its own.
        convert: from the stored array (of one block) to the shape in the table.
    """

    key: str
    convert: Callable[[Array], Array] = _same


def load_params(
    checkpoint: Checkpoint,
    table: Mapping[str, Any],
    sources: Mapping[str, Source],
    *,
    depths: Mapping[str, int],
    ignore: Iterable[str] = (),
) -> Tree:
    """Return the parameters of a (truncated) table, read from a checkpoint as float32.

    Args:
        table: what to fill: `truncate(param_table(config), blocks, config)`.
        sources: for each path (`blocks/q/kernel`) of the *whole* table, where it is. A stacked
            parameter whose key has no `{i}` is stacked in the file, too; a computed position table
            may have none.
        depths: number of blocks in the file of each stack (`{"blocks": 12}`); those that the table
            stops short of are known, and are not read.
        ignore: regular expressions, matched from the start, of keys that belong to no encoder.

    Raises:
        DataError: a key is missing, has another shape, or is known to no rule.
    """
    keys = set(checkpoint.keys())
    ignored = check_keys(checkpoint, sources, depths=depths, ignore=ignore)
    if ignored:
        log.info("%s: %d keys ignored: %s", checkpoint.path, len(ignored), ", ".join(ignored))
    tree: Tree = {}
    for path, param in leaves(table):
        if path not in sources and param.init in positions.COMPUTED:
            _put(tree, path, positions.computed(str(param.init), param.shape))
            continue
        source = sources[path]
        array = _empty(param.shape)
        if param.axes[0] == "layers":
            for block in range(param.shape[0]):
                array[block] = _fetch(checkpoint, keys, source, param.shape[1:], block)
        else:
            array[...] = _fetch(checkpoint, keys, source, param.shape, None)
        _put(tree, path, array)
    return tree


def _fetch(checkpoint: Checkpoint, keys: set[str], source: Source, shape: tuple[int, ...], block: int | None) -> Array:
    key = source.key.format(i=block)
    if key not in keys:
        raise DataError(f"{checkpoint.path}: expected the key {key!r}, got none. Is it a checkpoint of this model?")
    stacked = block is not None and "{i}" not in source.key
    stored = checkpoint.read(key, block if stacked else None)
    try:
        array = source.convert(stored)
    except (ValueError, IndexError) as error:
        raise DataError(f"{checkpoint.path}: {key!r}: expected values for {shape}, got {stored.shape}.") from error
    # Importing ml_dtypes is what lets the reader of safetensors make bfloat16 arrays.
    if array.shape != shape or not (array.dtype.kind == "f" or array.dtype == ml_dtypes.bfloat16):
        raise DataError(
            f"{checkpoint.path}: {key!r}: expected floats of shape {shape}, got {array.dtype} of {array.shape}. "
            "Is it a checkpoint of this size?"
        )
    return array


def _empty(shape: tuple[int, ...]) -> Array:
    size = prod(shape) * 4
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    array: Array = raw[start : start + size].view(np.float32).reshape(shape)
    return array


def check_keys(
    checkpoint: Checkpoint, sources: Mapping[str, Source], *, depths: Mapping[str, int], ignore: Iterable[str] = ()
) -> list[str]:
    """Return the keys that a checkpoint holds beside the model's, all of them known to `ignore`.

    Nothing but names is read; see `load_params` for the arguments.

    Raises:
        DataError: a key is known to no rule.
    """
    keys = set(checkpoint.keys())
    known = _keys_of(sources, depths)
    skip = re.compile("|".join(f"(?:{pattern})" for pattern in ignore) or r"(?!)")
    unknown = sorted(key for key in keys - known if not skip.match(key))
    if unknown:
        raise DataError(
            f"{checkpoint.path}: expected only keys of this model, got {_some(unknown)}. "
            "It is a checkpoint of another model or size."
        )
    return sorted(keys - known)


def missing_keys(checkpoint: Checkpoint, sources: Mapping[str, Source], *, depths: Mapping[str, int]) -> None:
    """Refuse a checkpoint that lacks a key of the model, before anything is read.

    Raises:
        DataError: naming the first few.
    """
    missing = sorted(_keys_of(sources, depths) - set(checkpoint.keys()))
    if missing:
        raise DataError(
            f"{checkpoint.path}: expected also the keys {_some(missing)}, got none. Is it a checkpoint of this model?"
        )


def _keys_of(sources: Mapping[str, Source], depths: Mapping[str, int]) -> set[str]:
    keys: set[str] = set()
    for path, source in sources.items():
        stack = path.partition("blocks/")[0] + "blocks"
        keys |= {source.key.format(i=block) for block in range(depths.get(stack, 1))}
    return keys


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(map(repr, keys[:3])) + more


def _put(tree: Tree, path: str, value: Any) -> None:
    *parents, name = path.split("/")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[name] = value


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the arrays of a tree by path, as `blocks/q/kernel`."""
    flat: dict[str, Any] = {}
    for name, node in params.items():
        flat |= flatten(node, f"{prefix}{name}/") if isinstance(node, Mapping) else {prefix + name: node}
    return flat


def table_shapes(table: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter of a table, by path."""
    return {path: param.shape for path, param in leaves(table) if isinstance(param, Param)}
