"""Checkpoint files read without executing anything, and only as far as they are needed.

A family's converter is data: for each parameter of the table, the key that holds it (`Source`).
`load_params` reads those of the blocks wanted, one array at a time, refuses keys that no rule
knows, and keeps nothing twice in memory.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import ml_dtypes
import numpy as np
import safetensors
from attrs import frozen

from probe4d.errors import DataError
from probe4d_vit import positions
from probe4d_vit.table import Param, Tree, leaves

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


class Checkpoint(Protocol):
    """A file of named arrays."""

    path: Path

    def keys(self) -> Iterable[str]:
        """Return the names."""
        ...

    def read(self, key: str, block: int | None = None) -> Array:
        """Return one array, or one block of a stacked one."""
        ...


class NpzCheckpoint:
    """A numpy `.npz`, opened with `allow_pickle=False`; an array is read when it is asked for."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with zipfile.ZipFile(self.path):  # np.load would leave a broken file open
                pass
            self._file = np.load(self.path, allow_pickle=False)
        except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
            raise DataError(f"{self.path}: expected an .npz of arrays, got {error}. Fetch or save it again.") from error
        self._last: tuple[str, Array] | None = None

    def keys(self) -> Iterable[str]:
        return list(self._file.files)

    def read(self, key: str, block: int | None = None) -> Array:
        # The blocks of a stacked array are asked for one after the other: unpack it once.
        if self._last is None or self._last[0] != key:
            try:
                array = np.asarray(self._file[key])
            except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
                raise DataError(f"{self.path}: {key!r}: expected an array without pickle, got {error}.") from error
            self._last = (key, array)
        array = self._last[1]
        if block is not None:
            one: Array = array[block]
            return one
        self._last = None
        return array


class SafetensorsCheckpoint:
    """A `.safetensors` file, or the `.safetensors.index.json` of a sharded one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.suffix == ".json":
            self._shards = _read_index(self.path)
        else:
            self._shards = dict.fromkeys(_open_safetensors(self.path).keys(), self.path)
        self._open: dict[Path, Any] = {}

    def keys(self) -> Iterable[str]:
        return list(self._shards)

    def read(self, key: str, block: int | None = None) -> Array:
        shard = self._shards[key]
        if shard not in self._open:
            self._open[shard] = _open_safetensors(shard)
        file = self._open[shard]
        try:
            return np.asarray(file.get_tensor(key) if block is None else file.get_slice(key)[block])
        except (safetensors.SafetensorError, IndexError) as error:
            raise _unreadable(shard, f"{key!r}: {error}") from error


def _open_safetensors(path: Path) -> Any:
    try:
        return safetensors.safe_open(path, framework="numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, got: str) -> DataError:
    return DataError(f"{path}: expected a readable safetensors file, got {got}. Fetch it again.")


def _read_index(path: Path) -> dict[str, Path]:
    try:
        names = json.loads(path.read_text())["weight_map"]
        if not all(isinstance(name, str) for name in names.values()):
            raise TypeError("a shard that is no file name")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: expected an index with a weight_map, got {error!r}.") from error
    away = sorted({name for name in names.values() if Path(name).name != name})
    if away:
        raise DataError(f"{path}: expected shards that lie beside the index, got {away[0]!r}.")
    return {key: path.parent / name for key, name in names.items()}


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
        head = file.read(9)
    if head[:2] == b"PK" and path.suffix not in (".pth", ".pt", ".tar"):
        return NpzCheckpoint(path)
    if head[8:9] == b"{":
        return SafetensorsCheckpoint(path)
    raise DataError(f"{path}: expected an .npz or a safetensors file, got neither. Convert it to one of them.")


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
    _refuse_unknown(checkpoint, keys, sources, depths, ignore)
    tree: Tree = {}
    for path, param in leaves(table):
        if path not in sources and param.init in positions.COMPUTED:
            _put(tree, path, positions.computed(str(param.init), param.shape))
            continue
        source = sources[path]
        array = np.empty(param.shape, np.float32)
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


def _refuse_unknown(
    checkpoint: Checkpoint,
    keys: set[str],
    sources: Mapping[str, Source],
    depths: Mapping[str, int],
    ignore: Iterable[str],
) -> None:
    known: set[str] = set()
    for path, source in sources.items():
        stack = path.partition("blocks/")[0] + "blocks"
        known |= {source.key.format(i=block) for block in range(depths.get(stack, 1))}
    skip = re.compile("|".join(f"(?:{pattern})" for pattern in ignore) or r"(?!)")
    unknown = sorted(key for key in keys - known if not skip.match(key))
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise DataError(
            f"{checkpoint.path}: expected only keys of this model, got {', '.join(map(repr, unknown[:3]))}{more}. "
            "It is a checkpoint of another model or size."
        )


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
