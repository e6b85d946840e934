"""The `.npy` layout inside archives: headers read without trust, arrays without pickle."""

from __future__ import annotations

import ast
import re
import struct
from typing import Any

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.scoring.source import Limits, check_array_size, fail

__all__ = ["NpyHeader", "array_of", "read_header"]

MAGIC = b"\x93NUMPY"
HEADER_BYTES = 1 << 16
KINDS = "biufUS"  # bool, integers, floats, text: everything that a prediction may hold
# numpy writes `'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), `, in this order and spacing.
USUAL = re.compile(
    r"\{'descr': '([<>|=]?[a-zA-Z]\d+)', 'fortran_order': (True|False), 'shape': \(((?:\d+,? ?)*)\), \}\s*"
)


@frozen
class NpyHeader:
    """What the head of an `.npy` says; `offset` is where the data begin."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    offset: int
    nbytes: int


# Archives of thousands of samples repeat a few headers. Only well-formed ones are kept.
_known: dict[tuple[bytes, int], NpyHeader] = {}


def read_header(where: str, data: bytes | memoryview, limits: Limits, total: int) -> NpyHeader:
    """Return the header at the start of `data`.

    Args:
        total: bytes of the whole member, which has to be header and data exactly.

    Raises:
        DataError: it is no `.npy`, holds objects or records, or does not fit `total` or the limits.
    """
    if len(data) < 10 or bytes(data[:6]) != MAGIC:
        fail(where, "a .npy array", "other bytes", "Write the file with numpy.savez.")
    major = data[6]
    if major not in (1, 2, 3):
        fail(where, "a .npy of version 1, 2 or 3", f"version {major}")
    width = 2 if major == 1 else 4
    start = 8 + width
    if len(data) < start:
        fail(where, "a whole .npy header", "a truncated one")
    (length,) = struct.unpack_from("<H" if major == 1 else "<I", data, 8)
    end = start + length
    if length > HEADER_BYTES:
        fail(where, f"a .npy header of at most {HEADER_BYTES} bytes", f"one of {length} bytes")
    if len(data) < end:
        fail(where, "a whole .npy header", "a truncated one")
    head = bytes(data[:end])
    key = (head, limits.array_bytes)
    header = _known.get(key)
    if header is None:
        header = _parse(where, head[start:], end, limits)
        if len(_known) < 4096:
            _known[key] = header
    if end + header.nbytes != total:
        fail(where, f"{header.nbytes:,} bytes of data for shape {header.shape}", f"{total - end:,} bytes")
    return header


def _parse(where: str, raw: bytes, offset: int, limits: Limits) -> NpyHeader:
    text = raw.decode("latin-1")
    usual = USUAL.fullmatch(text)
    if usual:
        descr: Any = usual[1]
        fortran: Any = usual[2] == "True"
        shape: Any = tuple(int(size) for size in re.findall(r"\d+", usual[3]))
    else:
        descr, fortran, shape = _literal(where, text)
    dtype = _dtype(where, descr)
    if not isinstance(fortran, bool) or not isinstance(shape, tuple) or len(shape) > 8:
        fail(where, "a .npy header with fortran_order and a shape of at most 8 axes", f"{text.strip()[:80]!r}")
    if not all(type(size) is int for size in shape):
        fail(where, "a shape of integers", f"{shape!r}"[:80])
    nbytes = check_array_size(where, shape, dtype.itemsize, limits)
    return NpyHeader(dtype, shape, fortran, offset, nbytes)


def _literal(where: str, text: str) -> tuple[Any, Any, Any]:
    try:
        header = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        header = None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        fail(where, "a .npy header with descr, fortran_order and shape", f"{text.strip()[:80]!r}")
    return header["descr"], header["fortran_order"], header["shape"]


def _dtype(where: str, descr: Any) -> np.dtype[Any]:
    remedy = "Store plain numbers: numpy.asarray(values, dtype=float)."
    if not isinstance(descr, str):
        fail(where, "an array of plain numbers", "a structured array", remedy)
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError, SyntaxError):
        fail(where, "a dtype of plain numbers", f"{descr[:40]!r}", remedy)
    if dtype.hasobject:
        fail(where, "an array of plain numbers", "Python objects (pickle), which are never loaded", remedy)
    if dtype.kind not in KINDS or dtype.subdtype is not None or (dtype.kind == "f" and dtype.itemsize > 8):
        fail(where, "booleans, integers, floats of at most 64 bits or text", f"dtype {descr!r}", remedy)
    return dtype


def array_of(header: NpyHeader, data: bytes | memoryview) -> Array:
    """Return the array whose bytes follow the header (read-only, without a copy)."""
    flat = np.frombuffer(data, dtype=header.dtype, count=header.nbytes // (header.dtype.itemsize or 1))
    return flat.reshape(header.shape, order="F" if header.fortran else "C")
