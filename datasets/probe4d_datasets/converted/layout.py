"""Where the arrays of a copied sample lie: rows of a file, each with its checksum, found without reading the rest.

A copy is, under any fsspec URL: `<split>/copy.json` (written last: with it the copy is whole), `<split>/begun.json`
(what is being made, written first), and per shard its index `<split>/shard-000000.json` beside what it indexes:
`shard-000000.tar` (WebDataset: members `<number>.<field>.npy`) or groups of `samples.zarr` (zarr v3).
"""

from __future__ import annotations

import io
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from probe4d.contracts import Array, Arrays
from probe4d.errors import DataError
from probe4d.store.files import Files

__all__ = ["SCHEMA", "Piece", "Stored", "crc", "document", "flattened", "read_rows", "stored_of", "time_axis"]

SCHEMA = "probe4d/copy/1"
# Fields of a sample by the axis that runs over its frames; see `probe4d.contracts.Sample`.
TIME_AXES = {
    "video": 0,
    "points.tracks": 1,
    "points.visible": 1,
    "boxes.boxes": 1,
    "boxes.present": 1,
    "depth.depth": 0,
    "depth.valid": 0,
    "pose.extrinsics": 0,
    "pose.intrinsics": 0,
}
TIMELESS = {"points.query_points", "points.track_ids", "boxes.track_ids", "labels.label", "pose.metric"}
MAX_ROW = 1 << 31  # bytes; no image is larger


def time_axis(name: str, dims: str | None) -> int | None:
    """Return which axis of `<kind>.<field>` runs over frames, None where none does.

    Args:
        dims: names of its axes where the kind declares the field, as `"n t 2"`.

    Raises:
        DataError: nobody says what its axes are.
    """
    if name in TIME_AXES:
        return TIME_AXES[name]
    if name in TIMELESS:
        return None
    if dims is None or "|" in dims:
        raise DataError(f"{name}: expected a field whose axes its kind declares, got one that it does not. Drop it.")
    return dims.split().index("t") if "t" in dims.split() else None


def crc(content: Any) -> int:
    """Return the CRC-32 of bytes."""
    return zlib.crc32(content)


def document(value: Any) -> bytes:
    """Return JSON that is the same bytes for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


@frozen
class Piece:
    """Rows `[first, first + rows)` of an array: `nbytes` of a file from `offset`."""

    key: str
    first: int
    rows: int
    offset: int
    nbytes: int


def _integers(value: Iterable[int]) -> tuple[int, ...]:
    return tuple(value)


def _pieces(value: Sequence[Any]) -> tuple[Piece, ...]:
    return tuple(item if isinstance(item, Piece) else Piece(*item) for item in value)


@frozen(kw_only=True)
class Stored:
    """One array. Where time is its first axis a row is a frame, else the whole array is its one row.

    Attributes:
        encoding: `raw` (C order, little-endian), or `png` or `jpeg`, a picture a row.
        crcs: of each row.
    """

    dtype: str
    row_shape: tuple[int, ...] = attrs.field(converter=_integers)
    rows: int
    time: int | None
    encoding: str = "raw"
    pieces: tuple[Piece, ...] = attrs.field(converter=_pieces)
    crcs: tuple[int, ...] = attrs.field(converter=_integers)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, decoded."""
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**attrs.asdict(self, recurse=False), "pieces": [attrs.astuple(piece) for piece in self.pieces]}


def stored_of(where: str, value: Any) -> Stored:
    """Return what an index says of an array.

    Raises:
        DataError: it does not say it, or contradicts itself.
    """
    try:
        found = Stored(**value)
        sizes = [found.rows, *found.row_shape, *(n for piece in found.pieces for n in attrs.astuple(piece)[1:])]
        right = all(isinstance(n, int) and 0 <= n < 1 << 62 for n in sizes) and len(found.crcs) == found.rows
        right &= sum(piece.rows for piece in found.pieces) == found.rows and found.row_bytes <= MAX_ROW
        right &= found.encoding != "raw" or all(p.nbytes == p.rows * found.row_bytes for p in found.pieces)
        right &= np.dtype(found.dtype).kind in "biuf" and all(".." not in piece.key for piece in found.pieces)
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: expected an array's place, got {error}. Convert it again.") from error
    if not right:
        raise DataError(f"{where}: expected an array's place, got one that contradicts itself. Convert it again.")
    return found


def read_rows(files: Files, stored: Stored, wanted: Sequence[int], where: str) -> Array:
    """Return rows `(len(wanted), *row_shape)`; each is read once, and neighbours in one go.

    Raises:
        DataError: bytes are missing, or are not those that were written.
    """
    out = np.empty((len(wanted), *stored.row_shape), np.dtype(stored.dtype))
    for piece in stored.pieces:
        here = [(place, row) for place, row in enumerate(wanted) if piece.first <= row < piece.first + piece.rows]
        if not here:
            continue
        low, high = min(row for _, row in here), max(row for _, row in here) + 1
        content = _bytes(files, stored, piece, low, high, where)
        for place, row in here:
            out[place] = _row(stored, content, row, row - low, where)
    return out


def _bytes(files: Files, stored: Stored, piece: Piece, low: int, high: int, where: str) -> memoryview:
    """Return the bytes of rows `[low, high)` of a piece."""
    start, length = piece.offset, piece.nbytes
    if stored.encoding == "raw":
        start, length = piece.offset + (low - piece.first) * stored.row_bytes, (high - low) * stored.row_bytes
    if not length:
        return memoryview(b"")
    try:
        content = files.read(piece.key, start, start + length)
    except (OSError, KeyError) as error:
        raise DataError(f"{where}: expected {piece.key}, got {error!r}. Convert it again.") from error
    if len(content) != length:
        raise DataError(f"{where}: expected {length} bytes of {piece.key}, got {len(content)}. Convert it again.")
    return memoryview(content)


def _row(stored: Stored, content: memoryview, row: int, place: int, where: str) -> Array:
    part = content[place * stored.row_bytes : (place + 1) * stored.row_bytes] if stored.encoding == "raw" else content
    if crc(part) != stored.crcs[row]:
        raise DataError(f"{where}: expected the bytes that were written, got others. Convert it again.")
    if not stored.row_bytes:
        return np.empty(stored.row_shape, np.dtype(stored.dtype))
    if stored.encoding == "raw":
        return np.frombuffer(part, np.dtype(stored.dtype)).reshape(stored.row_shape)
    from PIL import Image

    with Image.open(io.BytesIO(part), formats=[stored.encoding.upper()]) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    if pixels.shape != stored.row_shape:
        raise DataError(f"{where}: expected pictures {stored.row_shape}, got {pixels.shape}. Convert it again.")
    return pixels


def flattened(targets: Mapping[str, Arrays]) -> dict[str, Array]:
    """Return targets as `<kind>.<field>`, little-endian.

    Raises:
        DataError: a field is not numbers or booleans.
    """
    found = {f"{kind}.{name}": np.asarray(value) for kind, fields in targets.items() for name, value in fields.items()}
    for name, value in found.items():
        if value.dtype.kind not in "biuf":
            raise DataError(f"{name}: expected numbers or booleans, got {value.dtype}. Drop the field.")
    return {name: value.astype(value.dtype.newbyteorder("<"), copy=False) for name, value in found.items()}
