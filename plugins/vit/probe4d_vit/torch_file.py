"""Tensors of `.pth`, `.pth.tar`, `.pt` and `.bin` files, read without torch and without executing a pickle.

Such a file is a zip with one pickle (`data.pkl`), which says what tensors there are, and their
bytes. The pickle is read by an unpickler that makes dicts, lists, numbers and records of tensors;
whatever else it names (`argparse.Namespace`, an optimizer, `os.system`) becomes an inert stub.
"""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from attrs import frozen

from probe4d.errors import DataError

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

STORAGES: Mapping[str, Any] = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
LARGEST_PICKLE = 1 << 28  # bytes; those of the largest published checkpoints are below 2 MB
MOST, DEEPEST = 1_000_000, 32  # nodes of the nested dicts; a few that hold each other would never end


class Stub:
    """Stands for anything that is no data: takes all, does nothing."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Stub:
        return object.__new__(cls)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def append(self, _item: Any) -> None:
        """Drop the item."""

    def extend(self, _items: Any) -> None:
        """Drop the items."""


class _Sealed:
    """What a pickle can hold and cannot change: its BUILD opcode sets attributes of anything else."""

    __slots__ = ()

    def __setstate__(self, _state: Any) -> None:
        raise pickle.UnpicklingError("a pickle that changes a tensor")


@frozen(getstate_setstate=False)
class _Kind(_Sealed):
    """The type of a storage."""

    dtype: Any


@frozen(getstate_setstate=False)
class _Storage(_Sealed):
    name: str
    dtype: Any
    numel: int


@frozen(getstate_setstate=False)
class _Tensor(_Sealed):
    """What the pickle says of a tensor; checked against its storage when it is read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@frozen(getstate_setstate=False)
class _Maker(_Sealed):
    """A function that a pickle may call."""

    make: Any

    def __call__(self, *args: Any) -> Any:
        return self.make(*args)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_rest: Any) -> Any:
    """Return the record of `torch._utils._rebuild_tensor_v2`."""
    numbers = (offset, *shape, *stride)
    whole = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)
    if not isinstance(storage, _Storage) or not whole or len(shape) != len(stride):
        raise pickle.UnpicklingError(f"a tensor of {storage!r} at {offset!r} with shape {shape!r}")
    return _Tensor(storage, offset, tuple(shape), tuple(stride))


def _parameter(data: Any, *_rest: Any) -> Any:
    """Return the tensor of `torch._utils._rebuild_parameter`."""
    return data


def _size(values: Sequence[int] = ()) -> tuple[int, ...]:
    return tuple(values)


_FUNCTIONS: Mapping[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _size,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return _Kind(STORAGES[name])
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        return _Maker(_FUNCTIONS[module, name]) if (module, name) in _FUNCTIONS else Stub

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[2], str):
            raise pickle.UnpicklingError(f"a persistent id {pid!r}")
        _, kind, name, _device, numel = pid[:5]
        if not isinstance(kind, _Kind) or not isinstance(numel, int) or numel < 0:
            raise pickle.UnpicklingError(f"a storage of {kind!r}")
        return _Storage(name, np.dtype(kind.dtype), numel)


class TorchCheckpoint:
    """A file of `torch.save`, format of torch 1.6 and later.

    Keys are paths of the nested dicts: `model/encoder.norm.weight`, `opt/state/0/exp_avg`. What is
    no tensor (epochs, arguments, schedules) has no key.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise self._refused("a zip file", error, "Fetch it again") from error
        self._prefix = self._root()
        order = self._text("byteorder")
        if order not in ("", "little"):
            raise self._refused("little-endian tensors", order, "Save it again on a usual machine")
        self._tensors = self._unpickle()

    def keys(self) -> Iterable[str]:
        return list(self._tensors)

    def shape(self, key: str) -> tuple[int, ...]:
        return self._tensors[key].shape

    def read(self, key: str, block: int | None = None) -> Array:
        tensor = self._tensors[key]
        storage, dtype = tensor.storage, tensor.storage.dtype
        last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True))
        count = 0 if 0 in tensor.shape else last + 1
        if count > storage.numel:
            raise self._refused(f"{count} values for {key!r}", storage.numel, "Fetch it again")
        values = np.frombuffer(self._bytes(key, storage.name, count * dtype.itemsize), dtype)
        strides = [step * dtype.itemsize for step in tensor.stride]
        whole = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
        return whole if block is None else whole[block]

    def _bytes(self, key: str, name: str, count: int) -> bytes:
        try:
            with self._zip.open(f"{self._prefix}data/{name}") as file:
                content = file.read(count)
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise self._refused(f"the values of {key!r}", error, "Fetch it again") from error
        if len(content) != count:
            raise self._refused(f"{count} bytes of {key!r}", len(content), "Fetch it again")
        return content

    def _root(self) -> str:
        """Return what stands before `data.pkl`: the name that the file was saved under."""
        found = [name for name in self._zip.namelist() if name.endswith("data.pkl")]
        if len(found) != 1:
            raise self._refused("one data.pkl", f"{len(found)} of them", "Is it a file of torch.save?")
        return found[0].removesuffix("data.pkl")

    def _text(self, name: str) -> str:
        try:
            return self._zip.read(self._prefix + name)[:16].decode("ascii", "replace")
        except KeyError:  # files of older versions say nothing, and are little-endian
            return ""

    def _unpickle(self) -> dict[str, _Tensor]:
        info = self._zip.getinfo(self._prefix + "data.pkl")
        if info.file_size > LARGEST_PICKLE:
            raise self._refused(f"a pickle of at most {LARGEST_PICKLE} bytes", info.file_size, "It holds no weights")
        try:
            return dict(_tensors(_Unpickler(io.BytesIO(self._zip.read(info))).load()))
        # A pickle from anywhere can fail in any way that its opcodes can; none of them runs code of its own.
        except Exception as error:
            raise self._refused("a pickle of tensors", repr(error), "Fetch it again") from error

    def _refused(self, expected: str, got: object, hint: str) -> DataError:
        return DataError(f"{self.path}: expected {expected}, got {got}. {hint}.")


def _tensors(tree: Any) -> Iterator[tuple[str, _Tensor]]:
    """Yield path and record of each tensor in nested dicts and lists, in their order."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    for _ in range(MOST):
        if not waiting:
            return
        path, node = waiting.pop()
        if isinstance(node, _Tensor):
            yield "/".join(path), node
        elif isinstance(node, (Mapping, list, tuple)):
            if len(path) == DEEPEST:
                raise pickle.UnpicklingError(f"dicts more than {DEEPEST} deep")
            items = list(node.items() if isinstance(node, Mapping) else enumerate(node))
            waiting += [((*path, str(key)), value) for key, value in reversed(items)]
    raise pickle.UnpicklingError(f"more than {MOST} parts")
