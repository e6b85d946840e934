"""TFRecord files: where the records are, and their bytes, every checksum verified.

A file is a run of `uint64 length, uint32 masked crc32c(length), data, uint32 masked crc32c(data)`,
little-endian, with neither header nor index.
Source: TensorFlow, `tensorflow/core/lib/io/record_writer.h`.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, NamedTuple

from probe4d.errors import DataError
from probe4d.store.checksums import crc32c

__all__ = ["Record", "frame_record", "masked_crc", "read_record", "scan_records"]

HEAD = struct.Struct("<QI")
FOOT = struct.Struct("<I")


class Record(NamedTuple):
    """Where the data of a record are in its file."""

    offset: int
    length: int


def masked_crc(data: bytes | memoryview) -> int:
    """Return the checksum as TFRecord stores it: rotated by 15 bits, plus a constant."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def scan_records(file: BinaryIO, where: str) -> tuple[list[Record], str | None]:
    """Return the whole records, and what is wrong after the last of them (None for a sound file).

    Only the 12 bytes before each record are read; the data are skipped.
    """
    size = file.seek(0, os.SEEK_END)
    records: list[Record] = []
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(HEAD.size)
        place = f"{where}, record {len(records)} at byte {position}"
        if len(head) < HEAD.size:
            return records, f"{place}: expected a header of {HEAD.size} bytes, got {len(head)}: it is cut off."
        length, crc = HEAD.unpack(head)
        if masked_crc(head[:8]) != crc:
            return records, f"{place}: expected the checksum of its length, got another: it is damaged."
        end = position + HEAD.size + length + FOOT.size
        if end > size:
            return records, f"{place}: expected {length} bytes of data, got {max(size - position - 16, 0)}: it is cut."
        records.append(Record(position + HEAD.size, length))
        position = end
    return records, None


def read_record(file: BinaryIO, record: Record, where: str) -> bytes:
    """Return the data of a record.

    Raises:
        DataError: they are cut off, or not what their checksum says.
    """
    file.seek(record.offset)
    data, foot = file.read(record.length), file.read(FOOT.size)
    if len(data) != record.length or len(foot) != FOOT.size:
        raise DataError(f"{where}: expected {record.length} bytes of data, got {len(data)}. Replace the file.")
    if masked_crc(data) != FOOT.unpack(foot)[0]:
        raise DataError(f"{where}: expected the checksum of its data, got another: it is damaged. Replace the file.")
    return data


def frame_record(data: bytes) -> bytes:
    """Return the data as a record of a file."""
    length = struct.pack("<Q", len(data))
    return length + FOOT.pack(masked_crc(length)) + data + FOOT.pack(masked_crc(data))
