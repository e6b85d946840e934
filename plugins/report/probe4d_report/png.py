"""PNG files and data URIs out of arrays, with nothing but zlib."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from probe4d.contracts import Array

__all__ = ["data_uri", "palette_png", "rgb_png"]


def rgb_png(pixels: Array) -> bytes:
    """Return a PNG of `(h, w, 3)` uint8.

    Raises:
        ValueError: the array is another.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels: expected (h, w, 3) uint8, got {pixels.shape} {pixels.dtype}.")
    return _png(pixels.shape[1], pixels.shape[0], 2, pixels.reshape(len(pixels), -1), ())


def palette_png(indices: Array, palette: Sequence[tuple[int, int, int]], *, transparent: bool = False) -> bytes:
    """Return a PNG of `(h, w)` uint8 numbers of colours.

    Args:
        transparent: whether the first colour is clear.

    Raises:
        ValueError: the array is another, or a number has no colour.
    """
    if indices.ndim != 2 or indices.dtype != np.uint8:
        raise ValueError(f"indices: expected (h, w) uint8, got {indices.shape} {indices.dtype}.")
    if indices.size and int(indices.max()) >= len(palette):
        raise ValueError(f"indices: expected less than {len(palette)}, got {int(indices.max())}.")
    chunks = [(b"PLTE", b"".join(bytes(colour) for colour in palette))]
    if transparent:
        chunks.append((b"tRNS", b"\0"))
    return _png(indices.shape[1], indices.shape[0], 3, indices, chunks)


def data_uri(png: bytes) -> str:
    """Return a PNG as an address that needs no file."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png(width: int, height: int, colour: int, rows: Array, chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    # Filter "up" on every row but the first: neighbouring rows are alike.
    filtered = rows.copy()
    filtered[1:] -= rows[:-1]
    kinds = np.full((len(rows), 1), 2, np.uint8)
    kinds[:1] = 0
    data = zlib.compress(np.concatenate([kinds, filtered], axis=1).tobytes(), 9)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
