"""CRC-32C by numpy and by the instruction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe4d.store.checksums import crc32c, crc32c_numpy, fast_crc32c


@pytest.mark.parametrize("function", [crc32c, crc32c_numpy])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        # RFC 3720, appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_values_are_met(function, data, expected):
    assert function(data) == expected


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, 200_000), start=st.integers(0, 2**32 - 1), seed=st.integers(0, 99))
def test_numpy_and_the_instruction_agree_at_every_length(length, start, seed):
    fast = fast_crc32c()
    assert fast is not None, "google-crc32c comes with zarr"
    data = np.random.default_rng(seed).integers(0, 256, length, dtype=np.uint8)
    assert crc32c_numpy(data, start) == fast.extend(start, data)


@given(left=st.binary(max_size=300), right=st.binary(max_size=300))
def test_a_checksum_is_continued_over_pieces(left, right):
    assert crc32c_numpy(right, crc32c_numpy(left)) == crc32c(left + right)


def test_arrays_of_any_type_and_read_only_ones_are_taken():
    values = np.arange(1000, dtype=np.float32).reshape(10, 100)
    values.flags.writeable = False
    assert crc32c(values) == crc32c(values.tobytes()) == crc32c_numpy(values)
