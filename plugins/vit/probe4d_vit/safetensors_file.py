"""Arrays of `.safetensors` files, single or sharded.

The library checks a file's header; arrays are then read by plain reads. Its own reading maps the
file, and mapped pages count as memory: a checkpoint would be there twice while it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import safetensors
from attrs import frozen

from probe4d.errors import DataError

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


@frozen
class _Place:
    """Where an array lies: dtype's name in the file, and the offset of its first byte."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class SafetensorsCheckpoint:
    """A `.safetensors` file, or the `.safetensors.index.json` of a sharded one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._places: dict[str, _Place] = {}
        if self.path.suffix == ".json":
            shards = _read_index(self.path)
            opened = {shard: _places(shard) for shard in sorted(set(shards.values()))}
            for key, shard in shards.items():
                if key not in opened[shard]:
                    raise DataError(f"{self.path}: expected {key!r} in {shard.name}, got none. Fetch both again.")
                self._places[key] = opened[shard][key]
        else:
            self._places = _places(self.path)

    def keys(self) -> Iterable[str]:
        return list(self._places)

    def shape(self, key: str) -> tuple[int, ...]:
        return self._places[key].shape

    def read(self, key: str, block: int | None = None) -> Array:
        place = self._places[key]
        if place.dtype not in DTYPES:
            raise DataError(f"{place.path}: {key!r}: expected one of {', '.join(DTYPES)}, got {place.dtype}.")
        dtype, shape, offset = np.dtype(DTYPES[place.dtype]), place.shape, place.offset
        if block is not None:
            if not shape or not 0 <= block < shape[0]:
                raise DataError(f"{place.path}: {key!r}: expected a stack of more than {block} blocks, got {shape}.")
            shape = shape[1:]
            offset += block * prod(shape) * dtype.itemsize
        array = np.fromfile(place.path, dtype, prod(shape), offset=offset)
        if array.size != prod(shape):
            raise _unreadable(place.path, f"an end inside {key!r}")
        return array.reshape(shape)


def _places(path: Path) -> dict[str, _Place]:
    try:
        with safetensors.safe_open(path, framework="numpy"):  # refuses headers that do not fit the file
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    return {
        key: _Place(path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for key, entry in header.items()
        if key != "__metadata__"
    }


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
