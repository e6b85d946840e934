"""Arrays of a numpy `.npz`, read without pickle and one block at a time."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import IO, Any, TypeAlias

import ml_dtypes
import numpy as np
from attrs import field, frozen, mutable

from probe4d.errors import DataError

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_BROKEN = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError)
_PIECE = 1 << 20


@frozen
class _Header:
    shape: tuple[int, ...]
    dtype: Any
    fortran: bool


@mutable
class _Stream:
    """The member that is being read block by block, and the block that comes next."""

    key: str
    file: IO[bytes]
    next: int = field(default=0)


class NpzCheckpoint:
    """A numpy `.npz`; an array is read when it is asked for, a block of a stacked one by itself.

    The blocks of a stacked array are asked for in order, so the member is unpacked once, as a stream.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except _BROKEN as error:
            raise DataError(f"{self.path}: expected an .npz of arrays, got {error}. Fetch or save it again.") from error
        self._members = {name.removesuffix(".npy"): name for name in self._zip.namelist()}
        self._stream: _Stream | None = None

    def keys(self) -> Iterable[str]:
        return list(self._members)

    def shape(self, key: str) -> tuple[int, ...]:
        with self._open(key) as file:
            return self._header(key, file).shape

    def read(self, key: str, block: int | None = None) -> Array:
        try:
            if block is None:
                with self._open(key) as file:
                    return _floats(np.lib.format.read_array(file, allow_pickle=False))
            return self._block(key, block)
        except _BROKEN as error:
            raise self._unreadable(key, error) from error

    def _block(self, key: str, block: int) -> Array:
        with self._open(key) as file:
            header = self._header(key, file)
        if header.fortran or not header.shape or header.dtype.hasobject:
            return self.read(key)[block]  # type: ignore[no-any-return]
        if not 0 <= block < header.shape[0]:
            raise DataError(f"{self.path}: {key!r}: expected more than {block} blocks, got {header.shape[0]}.")
        size = prod(header.shape[1:]) * header.dtype.itemsize
        stream = self._stream
        if stream is None or stream.key != key or stream.next > block:
            if stream is not None:
                stream.file.close()
            stream = self._stream = _Stream(key, self._open(key))
            self._header(key, stream.file)
        _skip(stream.file, size * (block - stream.next))
        content = stream.file.read(size)
        stream.next = block + 1
        if len(content) != size:
            raise DataError(f"{self.path}: {key!r}: expected {size} bytes of block {block}, got {len(content)}.")
        return _floats(np.frombuffer(content, header.dtype).reshape(header.shape[1:]))

    def _open(self, key: str) -> IO[bytes]:
        try:
            return self._zip.open(self._members[key])
        except _BROKEN as error:
            raise self._unreadable(key, error) from error

    def _header(self, key: str, file: IO[bytes]) -> _Header:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
        except _BROKEN as error:
            raise self._unreadable(key, error) from error
        return _Header(shape, dtype, fortran)

    def _unreadable(self, key: str, error: Exception) -> DataError:
        return DataError(f"{self.path}: {key!r}: expected an array without pickle, got {error}.")


def _skip(file: IO[bytes], count: int) -> None:
    while count > 0:
        got = len(file.read(min(count, _PIECE)))
        if not got:
            raise EOFError("the file ends early")
        count -= got


def _floats(array: Array) -> Array:
    """Return bfloat16 as such: numpy stores it as two bytes without a name."""
    return array.view(ml_dtypes.bfloat16) if array.dtype.kind == "V" and array.dtype.itemsize == 2 else array
