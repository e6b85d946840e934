"""The wire decoder and tf.Example, against values worked out by hand and by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d.errors import DataError
from probe4d_datasets.formats.tf_example import encode_example, read_example
from probe4d_datasets.formats.wire import (
    as_bytes,
    as_double,
    as_int,
    as_text,
    encode_field,
    encode_varint,
    fields,
    read_varint,
    varints,
)


def test_the_published_examples_are_read() -> None:
    # https://protobuf.dev/programming-guides/encoding/: field 1 = 150; field 2 = "testing"
    message = bytes.fromhex("089601120774657374696e67")
    assert [(n, v if isinstance(v, int) else bytes(v)) for n, v in fields(memoryview(message), "x")] == [
        (1, 150),
        (2, b"testing"),
    ]
    assert list(fields(memoryview(message), "x", (7,))) == []
    assert varints(memoryview(bytes.fromhex("038e029ea705")), "x").tolist() == [3, 270, 86942]


def test_what_nobody_asked_for_is_skipped_whatever_its_type() -> None:
    message = (
        encode_field(1, 5)
        + encode_field(2, 2.5)
        + encode_varint(3 << 3 | 5)
        + b"\1\2\3\4"
        + encode_field(4, b"\xff" * 9)
        + encode_field(5, 7)
    )
    assert list(fields(memoryview(message), "x", (5,))) == [(5, 7)]
    ((_, double),) = fields(memoryview(message), "x", (2,))
    assert as_double(double, "x") == 2.5


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40))
def test_packed_numbers_are_read_back(values: list[int]) -> None:
    packed = b"".join(encode_varint(value & 0xFFFFFFFFFFFFFFFF) for value in values)
    assert varints(memoryview(packed), "x").tolist() == values
    position = 0
    for value in values:
        got, position = read_varint(memoryview(packed), position, "x")
        assert got == value & 0xFFFFFFFFFFFFFFFF
    assert position == len(packed)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "field 1: expected 9223372036854775807 bytes, got 0"),
        (b"\x0a\x80", "expected a whole varint"),
        (b"\xff" * 11, "expected a whole varint"),
        (b"\x0b", "expected a known wire type, got 3"),
        (b"\x0f", "expected a known wire type, got 7"),
        (b"\x09\x00\x00", "field 1: expected 8 bytes, got 2"),
        (b"\x02\x00", "expected a field number above 0"),
    ],
)
def test_hostile_messages_are_refused(message: bytes, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        list(fields(memoryview(message), "x"))


@pytest.mark.parametrize("packed", [b"\x80", b"\x01\xff", b"\xff" * 10 + b"\x01", b"\x80" * 11])
def test_packed_numbers_that_do_not_end_are_refused(packed: bytes) -> None:
    with pytest.raises(DataError, match="varints"):
        varints(memoryview(packed), "x")


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(DataError, match="expected a double"):
        as_double(3, "x")
    with pytest.raises(DataError, match="expected bytes, got an integer"):
        as_bytes(3, "x")
    with pytest.raises(DataError, match="expected an integer, got bytes"):
        as_int(memoryview(b"a"), "x")
    with pytest.raises(DataError, match="expected text in UTF-8"):
        as_text(memoryview(b"\xff\xfe"), "x")


def test_examples_are_read_back_packed_or_not() -> None:
    stored = {
        "text": [b"a\0\0", b"", b"c"],
        "floats": np.array([1.5, -2, np.inf], np.float32),
        "whole": np.array([0, -1, 2**62, 300]),
    }
    found = read_example(encode_example(stored), stored, "x")
    assert [bytes(item) for item in found["text"]] == stored["text"]  # trailing zeros stay
    np.testing.assert_array_equal(found["floats"], stored["floats"])
    np.testing.assert_array_equal(found["whole"], stored["whole"])
    unpacked = b"".join(encode_varint(1 << 3 | 0) + encode_varint(v) for v in (7, 300))
    floats = b"".join(encode_varint(1 << 3 | 5) + np.float32(v).tobytes() for v in (1, 2))
    entries = [encode_field(1, b"i") + encode_field(2, encode_field(3, unpacked))]
    entries += [encode_field(1, b"f") + encode_field(2, encode_field(2, floats))]
    message = encode_field(1, b"".join(encode_field(1, entry) for entry in entries))
    found = read_example(message, ("i", "f"), "x")
    assert (found["i"].tolist(), found["f"].tolist()) == ([7, 300], [1, 2])


def test_an_example_lacks_repeats_or_mixes_nothing() -> None:
    one = encode_field(1, encode_field(1, b"a") + encode_field(2, encode_field(3, encode_field(1, b"\x01"))))
    with pytest.raises(DataError, match="x: expected the feature 'b', got none"):
        read_example(encode_field(1, one), ("a", "b"), "x")
    with pytest.raises(DataError, match="x: expected the feature 'a' once"):
        read_example(encode_field(1, one + one), ("a",), "x")
    nothing = encode_field(1, encode_field(1, b"a") + encode_field(2, b""))
    with pytest.raises(DataError, match="x, a: expected one list of bytes, floats or integers, got 0"):
        read_example(encode_field(1, nothing), ("a",), "x")
    odd = encode_field(1, encode_field(1, b"a") + encode_field(2, encode_field(2, encode_field(1, b"abc"))))
    with pytest.raises(DataError, match="expected floats of 4 bytes each, got 3 bytes"):
        read_example(encode_field(1, odd), ("a",), "x")
