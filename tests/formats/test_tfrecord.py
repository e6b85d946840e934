"""TFRecord files: framed as TensorFlow does, every checksum verified, nothing trusted."""

from __future__ import annotations

import io
import struct

import pytest

from probe4d.errors import DataError
from probe4d_datasets.formats.tfrecord import frame_record, masked_crc, read_record, scan_records

# `tf.io.TFRecordWriter` writing b"hello".
HELLO = bytes.fromhex("0500000000000000eab2043e68656c6c6f")


def test_the_framing_is_tensorflows() -> None:
    assert frame_record(b"hello")[: len(HELLO)] == HELLO
    # RFC 3720's checksum of 32 zeros, masked by hand.
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


@pytest.mark.parametrize("contents", [[], [b""], [b"a", b"", b"c" * 100_000]])
def test_what_is_written_is_read_back(contents: list[bytes]) -> None:
    file = io.BytesIO(b"".join(map(frame_record, contents)))
    records, broken = scan_records(file, "x")
    assert broken is None
    assert [read_record(file, record, "x") for record in records] == contents
    assert [read_record(file, record, "x") for record in reversed(records)] == contents[::-1]


def test_a_cut_anywhere_is_no_end_of_file() -> None:
    whole = frame_record(b"one") + frame_record(b"three")
    first = len(frame_record(b"one"))
    for length in range(1, len(whole)):
        records, broken = scan_records(io.BytesIO(whole[:length]), "x")
        assert len(records) == (length >= first)
        assert (broken is None) == (length == first), length


def test_every_flipped_bit_is_noticed() -> None:
    whole = frame_record(b"payload")
    for bit in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file = io.BytesIO(bytes(damaged))
        records, broken = scan_records(file, "x")
        if broken is None:
            with pytest.raises(DataError, match="expected the checksum of its data"):
                read_record(file, records[0], "x")


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 8])
def test_a_length_beyond_the_file_is_never_read(length: int) -> None:
    head = struct.pack("<Q", length)
    hostile = head + struct.pack("<I", masked_crc(head)) + b"abc" + bytes(4)
    records, broken = scan_records(io.BytesIO(hostile), "x")
    assert records == []
    assert f"expected {length} bytes of data, got 3: it is cut" in str(broken)


def test_a_file_that_shrank_since_it_was_indexed_is_refused() -> None:
    whole = frame_record(b"payload")
    records, _ = scan_records(io.BytesIO(whole), "x")
    with pytest.raises(DataError, match="x: expected 7 bytes of data, got 3"):
        read_record(io.BytesIO(whole[:15]), records[0], "x")
