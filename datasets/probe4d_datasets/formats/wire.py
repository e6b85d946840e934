"""The protobuf wire format: fields by number, those that nobody asked for skipped by their length.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import TypeAlias

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import DataError

__all__ = [
    "Value",
    "as_bytes",
    "as_double",
    "as_int",
    "as_text",
    "encode_field",
    "encode_varint",
    "fields",
    "read_varint",
    "varints",
]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
Value: TypeAlias = "int | memoryview"


def fields(data: memoryview, where: str, wanted: Collection[int] | None = None) -> Iterator[tuple[int, Value]]:
    """Yield `(number, value)` of the wanted fields, in the order in which they stand.

    A value is the integer of a varint, else the bytes of what it is: 4 or 8 of a fixed number, or
    those of a string, a message or a packed list.

    Raises:
        DataError: a field is cut off, longer than the message, or of no known type.
    """
    position, size = 0, len(data)
    while position < size:
        key, position = read_varint(data, position, where)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == VARINT:
            value, position = read_varint(data, position, where)
        else:
            if kind == BYTES:
                length, position = read_varint(data, position, where)
            elif kind in (FIXED64, FIXED32):
                length = 8 if kind == FIXED64 else 4
            else:
                raise DataError(f"{where}, byte {position}: expected a known wire type, got {kind}. Replace the file.")
            if length > size - position:
                raise DataError(
                    f"{where}, field {number}: expected {length} bytes, got {size - position}. Replace the file."
                )
            value = data[position : position + length]
            position += length
        if number == 0:
            raise DataError(f"{where}, byte {position}: expected a field number above 0, got 0. Replace the file.")
        if wanted is None or number in wanted:
            yield number, value


def read_varint(data: memoryview, position: int, where: str) -> tuple[int, int]:
    """Return the unsigned integer at a position, and the position after it.

    Raises:
        DataError: it is cut off, or longer than 64 bits.
    """
    value = shift = 0
    for byte in data[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    raise DataError(f"{where}, byte {position}: expected a whole varint, got one that does not end. Replace the file.")


def varints(data: memoryview, where: str) -> Array:
    """Return a packed list of varints as `(n,)` int64.

    Raises:
        DataError: the last one is cut off, or one is longer than 64 bits.
    """
    raw = np.frombuffer(data, np.uint8)
    if not len(raw):
        return np.empty(0, np.int64)
    ends = np.flatnonzero(raw < 0x80)
    if not len(ends) or ends[-1] != len(raw) - 1:
        raise DataError(f"{where}: expected whole varints, got one that is cut off. Replace the file.")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise DataError(f"{where}: expected varints of 64 bits, got a longer one. Replace the file.")
    place = np.arange(len(raw)) - np.repeat(starts, lengths)
    parts = (raw & np.uint8(0x7F)).astype(np.uint64) << (place * 7).astype(np.uint64)
    return np.add.reduceat(parts, starts).view(np.int64)


def as_double(value: Value, where: str) -> float:
    """Return the float64 of an 8-byte field."""
    if isinstance(value, int) or len(value) != 8:
        raise DataError(f"{where}: expected a double of 8 bytes, got another type. Replace the file.")
    return float(struct.unpack("<d", value)[0])


def as_text(value: Value, where: str) -> str:
    """Return the string of a field."""
    try:
        return str(as_bytes(value, where), "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected text in UTF-8, got {error}. Replace the file.") from error


def as_bytes(value: Value, where: str) -> memoryview:
    """Return the bytes of a string or message field."""
    if isinstance(value, int):
        raise DataError(f"{where}: expected bytes, got an integer. Replace the file.")
    return value


def as_int(value: Value, where: str) -> int:
    """Return the integer of a varint field."""
    if not isinstance(value, int):
        raise DataError(f"{where}: expected an integer, got bytes. Replace the file.")
    return value


def encode_varint(value: int) -> bytes:
    """Return an unsigned integer as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_field(number: int, value: int | float | bytes) -> bytes:
    """Return one field: an integer as a varint, a float as a double, bytes by their length."""
    if isinstance(value, int):
        return encode_varint(number << 3 | VARINT) + encode_varint(value)
    if isinstance(value, float):
        return encode_varint(number << 3 | FIXED64) + struct.pack("<d", value)
    return encode_varint(number << 3 | BYTES) + encode_varint(len(value)) + value
