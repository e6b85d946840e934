"""PNGs: every bit of 8 and 16 bits a channel, and nothing that is not whole."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from movi.made_movi import png
from probe4d.errors import DataError
from probe4d_datasets.formats.png16 import decode_pngs, png_size


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (1, 16), (3, 16)])
@pytest.mark.parametrize("size", [(1, 1), (7, 13), (40, 9)])
def test_every_bit_comes_back(channels: int, bits: int, size: tuple[int, int]) -> None:
    random = np.random.default_rng(bits + channels)
    images = random.integers(0, 2**bits, (3, *size, channels)).astype(f"u{bits // 8}")
    found = decode_pngs([png(image) for image in images], channels, bits, "x")
    assert found.dtype == images.dtype
    np.testing.assert_array_equal(found, images)


def test_pillows_own_files_are_read() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (9, 11)).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    np.testing.assert_array_equal(decode_pngs([file.getvalue()], 1, 16, "x")[0, :, :, 0], values)


def test_a_cut_or_a_flipped_bit_is_never_a_picture() -> None:
    whole = png(np.random.default_rng(0).integers(0, 65536, (8, 8, 3)).astype(np.uint16))
    for length in range(len(whole)):
        with pytest.raises(DataError):
            decode_pngs([whole[:length]], 3, 16, "x")
    for at in range(8, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 16
        with pytest.raises(DataError):
            decode_pngs([bytes(damaged)], 3, 16, "x")


def test_another_kind_or_size_is_refused() -> None:
    grey = png(np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match="x, image 0: expected 3 channels of 16 bits, got colour type 0 of 8 bits"):
        decode_pngs([grey], 3, 16, "x")
    with pytest.raises(DataError, match=r"x, image 1: expected \(4, 4\)"):
        decode_pngs([grey, png(np.zeros((4, 5), np.uint8))], 1, 8, "x")
    with pytest.raises(DataError, match="expected images, got none"):
        decode_pngs([], 1, 8, "x")


def bomb(width: int, height: int) -> bytes:
    """Return a small file that claims to be a large picture."""
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1 << 20), 9)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (0, 5)])
def test_a_picture_that_claims_to_be_huge_is_refused_unread(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"expected 1 to \d+ pixels"):
        png_size(bomb(*size), 3, 16, "x")


def test_a_stream_longer_or_shorter_than_its_picture_is_bounded() -> None:
    found = decode_pngs([bomb(4, 4)], 3, 16, "x")  # more in the stream than the picture takes: the rest is dropped
    assert found.shape == (1, 4, 4, 3)
    with pytest.raises(DataError, match=r"expected 2000 x 2000 pixels, got only \d+ bytes"):
        decode_pngs([bomb(2000, 2000)], 3, 16, "x")
    with pytest.raises(DataError, match="x, image 0: expected"):
        decode_pngs([bomb(430, 430)], 3, 16, "x")
