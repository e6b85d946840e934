"""`.torch` chunks (pixelSplat's copy of RealEstate10K), read without torch and without running their pickle.

A chunk is a zip that `torch.save` wrote: `data.pkl` describes a list of clips, and each tensor's
bytes are a member of their own, not compressed. A pickle is a program. This reader knows the 30 of
its instructions that plain lists, dicts, strings, numbers and tensors need, and the names of
tensors alone; tensors become records of where their bytes are. Anything else ends it.
"""

from __future__ import annotations

import functools
import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.files import open_binary

__all__ = ["Chunk", "Tensor", "open_chunk", "read_tensors"]

MAX_PICKLE = 256 << 20  # of data.pkl; 100 MB chunks have about 1 MB
MAX_TENSOR = 256 << 20
DTYPES = {
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "BoolStorage": "?",
}
ALLOWED = (
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_TUPLE),
    *(pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.BINUNICODE, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.GLOBAL, pickle.BINPERSID, pickle.REDUCE),
)
# What reading a broken or hostile chunk raises.
BROKEN = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, KeyError, IndexError),
    *(ValueError, TypeError, AttributeError, OverflowError, RecursionError, NotImplementedError, RuntimeError),
)


@frozen
class Tensor:
    """Where the elements of a contiguous tensor are: the member of a chunk, dtype, first element, shape."""

    member: str
    dtype: str
    start: int
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return functools.reduce(lambda a, b: a * b, self.shape, 1)


@frozen
class _Storage:
    member: str
    dtype: str


@frozen(eq=False)
class Chunk:
    """The clips of a chunk by key, and where its members are: offset of the header, bytes, CRC-32."""

    location: str
    clips: Mapping[str, Mapping[str, Any]]
    members: Mapping[str, tuple[int, int, int]]


@functools.lru_cache(maxsize=16)
def open_chunk(location: str, state: str) -> Chunk:  # noqa: ARG001 - the state is a part of the key
    """Return the clips of a chunk, with tensors as `Tensor`.

    Args:
        state: what changes when the file does.

    Raises:
        DataError: it is no chunk, is cut off, or its pickle asks for more than tensors.
    """
    try:
        with open_binary(location) as file, zipfile.ZipFile(file) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            named = [name for name in infos if name.endswith("/data.pkl")]
            if len(named) != 1:
                raise DataError(f"{location}: expected a file of torch.save (since 1.6), got a zip without data.pkl.")
            prefix = named[0].removesuffix("data.pkl")
            _check_order(archive, infos, prefix, location)
            with archive.open(named[0]) as member:
                content = member.read(MAX_PICKLE + 1)
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{location}: expected a whole .torch chunk, got {type(error).__name__}: {error}.") from error
    if len(content) > MAX_PICKLE:
        raise DataError(f"{location}: expected a data.pkl of at most {MAX_PICKLE:,} bytes, got more.")
    members = {
        name.removeprefix(prefix): (info.header_offset, info.file_size, info.CRC)
        for name, info in infos.items()
        if name.startswith(f"{prefix}data/") and info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1
    }
    return Chunk(location, _clips(_unpickled(content, location), location), members)


def _check_order(archive: zipfile.ZipFile, infos: Mapping[str, Any], prefix: str, location: str) -> None:
    if f"{prefix}byteorder" in infos:
        with archive.open(f"{prefix}byteorder") as member:
            order = member.read(16)
        if order != b"little":
            raise DataError(f"{location}: expected little-endian tensors, got {order!r}.")


def _unpickled(content: bytes, location: str) -> Any:
    try:
        return _TensorsOnly(io.BytesIO(content)).load()
    except BROKEN as error:
        raise DataError(
            f"{location}, data.pkl: expected lists, dicts and tensors, got {type(error).__name__}: {error}. "
            "It is not run. Do not load it with torch either."
        ) from error


class _TensorsOnly(pickle._Unpickler):
    """The interpreter of pickles in Python, with the harmless instructions only."""

    dispatch = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in ALLOWED}  # noqa: RUF012 - as in the base

    def find_class(self, module: str, name: str) -> Any:
        """Return our own stand-in for a name that a tensor needs."""
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if (module, name) == ("collections", "OrderedDict"):
            return _no_hooks
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"the name {module[:40]}.{name[:40]}")

    def persistent_load(self, pid: Any) -> _Storage:
        """Return where a storage is."""
        kind, dtype, key, _, _ = pid
        if kind != "storage" or dtype not in DTYPES.values() or not isinstance(key, str) or not key.isalnum():
            raise pickle.UnpicklingError(f"a storage {str(pid)[:60]}")
        return _Storage(f"data/{key}", dtype)


def _no_hooks() -> dict[str, Any]:
    return {}


def _rebuilt(storage: Any, start: Any, shape: Any, stride: Any, *_: Any) -> Tensor:
    """Return a tensor's record; it has to lie in one piece. Whether it has a gradient or hooks is ignored."""
    sizes = (*shape, *stride, start)
    if not isinstance(storage, _Storage) or not all(type(size) is int and 0 <= size < 1 << 40 for size in sizes):
        raise pickle.UnpicklingError(f"a tensor of shape {str(shape)[:60]}")
    step = 1
    for size, by in zip(reversed(shape), reversed(stride), strict=True):
        if size > 1 and by != step:
            raise pickle.UnpicklingError(f"a tensor of strides {str(stride)[:60]}, which is not contiguous")
        step *= size
    return Tensor(storage.member, storage.dtype, start, tuple(shape))


def _clips(value: Any, location: str) -> dict[str, Mapping[str, Any]]:
    """Return the clips by key, each with url, timestamps, cameras, images."""
    where = f"{location}, data.pkl"
    if not isinstance(value, list):
        raise DataError(f"{where}: expected a list of clips, got {type(value).__name__}.")
    clips: dict[str, Mapping[str, Any]] = {}
    for number, clip in enumerate(value):
        if not isinstance(clip, dict) or not all(isinstance(clip.get(key), str) for key in ("key", "url")):
            raise DataError(f"{where}, clip {number}: expected key and url, got {type(clip).__name__}.")
        images = clip.get("images")
        tensors = [clip.get("timestamps"), clip.get("cameras"), *(images if isinstance(images, list) else [None])]
        if not all(isinstance(tensor, Tensor) for tensor in tensors):
            raise DataError(f"{where}, clip {number}: expected tensors timestamps and cameras, and a list of images.")
        if clip["key"] in clips:
            raise DataError(f"{where}: expected each key once, got {clip['key'][:40]!r} twice.")
        clips[clip["key"]] = clip
    return clips


def read_tensors(chunk: Chunk, tensors: Sequence[Tensor]) -> list[Array]:
    """Return the arrays of tensors; only their bytes are read.

    Raises:
        DataError: a member is missing, too short, or does not have its checksum.
    """
    with open_binary(chunk.location) as file:
        return [_read(file, chunk, tensor) for tensor in tensors]


def _read(file: BinaryIO, chunk: Chunk, tensor: Tensor) -> Array:
    where = f"{chunk.location}, {tensor.member}"
    if tensor.member not in chunk.members:
        raise DataError(f"{where}: expected the bytes of a tensor, not compressed, got none.")
    offset, size, crc = chunk.members[tensor.member]
    dtype = np.dtype(tensor.dtype)
    if size > MAX_TENSOR or (tensor.start + tensor.elements) * dtype.itemsize > size:
        raise DataError(f"{where}: expected {tensor.elements} {dtype} from {tensor.start}, got {size:,} bytes.")
    file.seek(offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04" or len(header) < 30:
        raise DataError(f"{where}: expected the header of a zip member, got {header[:4]!r}.")
    name, extra = struct.unpack("<HH", header[26:30])
    file.seek(offset + 30 + name + extra)
    content = file.read(size)
    if len(content) < size or zlib.crc32(content) != crc:
        raise DataError(f"{where}: expected {size:,} bytes with their checksum, got others. Fetch the chunk again.")
    return np.frombuffer(content, dtype, tensor.elements, tensor.start * dtype.itemsize).reshape(tensor.shape)
