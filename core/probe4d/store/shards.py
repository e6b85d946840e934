"""The bytes of one shard file, made and taken apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from probe4d.contracts import Array
from probe4d.store.checksums import as_bytes, crc32c
from probe4d.store.errors import StoreDamageError
from probe4d.store.layout import CRC_BYTES, ArrayLayout

__all__ = ["ABSENT", "Digest", "chunk_starts", "damaged_rows", "digest", "encode"]

ABSENT = (1 << 64) - 1  # offset and length of an inner chunk that is not there: it reads as zeros


class Digest(NamedTuple):
    """Size and checksums of one file."""

    bytes: int
    crc32c: int
    sha256: str


def encode(layout: ArrayLayout, values: Array, present: Array) -> list[Array]:
    """Return the pieces of a shard file, uint8 each, to be written one after the other.

    Args:
        values: `(n, *row_shape)` in the stored type, C-contiguous, rows left out already zero;
            n is the shard's number of rows.
        present: `(n,)` bool; a chunk without any present row is not stored.
    """
    flat = as_bytes(values).reshape(len(values), layout.row_nbytes)
    if layout.chunk_rows > 1:  # edge chunks are stored whole
        whole = np.zeros((layout.shard_rows, layout.row_nbytes), np.uint8)
        whole[: len(flat)] = flat
        chunks, kept = whole.reshape(1, -1), np.array([present.any()])
    else:
        chunks, kept = flat, present
    pieces: list[Array] = []
    index = np.full((layout.shard_chunks, 2), ABSENT, "<u8")
    padding = np.zeros(layout.stored_nbytes - layout.chunk_nbytes - CRC_BYTES, np.uint8)
    for place, number in enumerate(np.flatnonzero(kept)):
        chunk = chunks[number]
        pieces += [chunk, _crc(crc32c(chunk)), padding]
        index[number] = place * layout.stored_nbytes, layout.chunk_nbytes + CRC_BYTES
    return [*pieces, as_bytes(index), _crc(crc32c(index))]


def digest(pieces: Sequence[Array]) -> Digest:
    """Return size and checksums of the file made of these pieces."""
    sha, crc, size = hashlib.sha256(), 0, 0
    for piece in pieces:
        sha.update(piece.data)
        crc = crc32c(piece, crc)
        size += piece.size
    return Digest(size, crc, sha.hexdigest())


def chunk_starts(layout: ArrayLayout, index: Array, size: int, where: str) -> list[int]:
    """Return where each inner chunk begins in its file; -1 for one that is not there.

    Args:
        index: the last `layout.index_nbytes` bytes of the file, uint8.
        size: bytes of the file.

    Raises:
        StoreDamageError: the index is not what `encode` writes.
    """
    stored = int(index[-CRC_BYTES:].copy().view("<u4")[0])
    entries = index[:-CRC_BYTES].copy().view("<u8").reshape(-1, 2)
    if crc32c(entries) != stored:
        raise StoreDamageError(f"{where}: expected a shard index with checksum {stored:08x}, got other bytes.")
    starts = []
    for offset, length in entries.tolist():
        if offset == length == ABSENT:
            starts.append(-1)
            continue
        if length != layout.chunk_nbytes + CRC_BYTES or offset + length > size - layout.index_nbytes:
            raise StoreDamageError(
                f"{where}: expected inner chunks of {layout.chunk_nbytes + CRC_BYTES} bytes within the file, "
                f"got {length} at {offset}."
            )
        starts.append(offset)
    return starts


def damaged_rows(layout: ArrayLayout, content: Array, where: str) -> list[int]:
    """Return the rows of a shard file whose inner chunk fails its checksum, counted from its first."""
    starts = chunk_starts(layout, content[-layout.index_nbytes :], content.size, where)
    rows: list[int] = []
    for number, start in enumerate(starts):
        if start >= 0 and not chunk_is_whole(layout, content[start : start + layout.chunk_nbytes + CRC_BYTES]):
            rows += range(number * layout.chunk_rows, (number + 1) * layout.chunk_rows)
    return rows


def chunk_is_whole(layout: ArrayLayout, stored: Array) -> bool:
    """Say whether an inner chunk, uint8 with its checksum behind it, is what was written."""
    if stored.size != layout.chunk_nbytes + CRC_BYTES:
        return False
    return crc32c(stored[:-CRC_BYTES]) == int(stored[-CRC_BYTES:].copy().view("<u4")[0])


def _crc(value: int) -> Array:
    return np.array([value], "<u4").view(np.uint8)
