"""How an array of a feature set lies in zarr v3: shapes, keys, and the metadata documents.

Rows are sharded; the inner chunk is one row (a clip), or the whole shard where a row is small. Inner
chunks are uncompressed, each followed by its CRC-32C and zeros up to the next page (small ones: 64 bytes); the
index stands at the end, with its own CRC-32C.
Source: the zarr v3 specification and its `sharding_indexed`, `bytes` and `crc32c` codecs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import attrs

from probe4d.errors import UsageError
from probe4d.store.dtypes import itemsize

__all__ = ["GROUP", "ArrayLayout", "array_document", "document", "group_document"]

GROUP = "features.zarr"  # folder of the zarr group inside a set
SMALL_ROW = 4096  # bytes; below it a shard is one inner chunk
CRC_BYTES = 4
LARGE_CHUNK = 1 << 18  # bytes; from here on inner chunks begin at pages, which are copied fastest
PAGE, LINE = 4096, 64


@attrs.frozen(kw_only=True)
class ArrayLayout:
    """One array of a set, `(rows, *row_shape)`, cut into shards along the rows.

    Attributes:
        path: where it is in the group, as `layers/0.95/features`.
        dtype: zarr name of the element type.
        dims: names of the axes after `row`.
    """

    path: str
    dtype: str
    rows: int
    row_shape: tuple[int, ...]
    shard_rows: int
    dims: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if any(size < 1 for size in (self.rows, self.shard_rows, *self.row_shape)):
            raise UsageError(f"{self.path}: expected sizes of at least 1, got {(self.rows, *self.row_shape)}.")

    @property
    def row_nbytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.row_shape) * itemsize(self.dtype)

    @property
    def chunk_rows(self) -> int:
        """Rows of one inner chunk."""
        return 1 if self.row_nbytes >= SMALL_ROW else self.shard_rows

    @property
    def chunk_nbytes(self) -> int:
        """Bytes of one inner chunk, its checksum not counted."""
        return self.chunk_rows * self.row_nbytes

    @property
    def stored_nbytes(self) -> int:
        """Bytes from the beginning of one inner chunk to that of the next."""
        unit = PAGE if self.chunk_nbytes >= LARGE_CHUNK else LINE
        return -(-(self.chunk_nbytes + CRC_BYTES) // unit) * unit

    @property
    def shard_chunks(self) -> int:
        """Inner chunks of one shard."""
        return self.shard_rows // self.chunk_rows

    @property
    def index_nbytes(self) -> int:
        """Bytes of a shard's index: offset and length (uint64) of each inner chunk, and a checksum."""
        return 16 * self.shard_chunks + CRC_BYTES

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.rows // self.shard_rows)

    @property
    def nbytes(self) -> int:
        """Bytes of all shard files when no row is left out."""
        chunks = self.rows if self.chunk_rows == 1 else self.shards
        return chunks * self.stored_nbytes + self.shards * self.index_nbytes

    def shard_size(self, index: int) -> int:
        """Return the rows of one shard: fewer in the last one."""
        return min(self.shard_rows, self.rows - index * self.shard_rows)

    def key(self, shard: int) -> str:
        """Return the file of a shard, relative to the set."""
        return f"{GROUP}/{self.path}/c/{'/'.join([str(shard), *['0'] * len(self.row_shape)])}"

    def metadata(self) -> bytes:
        """Return the array's `zarr.json`."""
        endian = {"configuration": {"endian": "little"}} if itemsize(self.dtype) > 1 else {}
        plain = [{"name": "bytes", **endian}, {"name": "crc32c"}]
        sharding = {
            "chunk_shape": [self.chunk_rows, *self.row_shape],
            "codecs": plain,
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
            "index_location": "end",
        }
        return array_document(
            shape=(self.rows, *self.row_shape),
            chunks=(self.shard_rows, *self.row_shape),
            dtype=self.dtype,
            codecs=[{"name": "sharding_indexed", "configuration": sharding}],
            dims=("row", *self.dims) if len(self.dims) == len(self.row_shape) else None,
        )


def array_document(
    *,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: str,
    codecs: list[Any],
    dims: tuple[str, ...] | None = None,
) -> bytes:
    """Return the `zarr.json` of an array filled with zeros."""
    fill: bool | int | float = 0.0 if "float" in dtype else False if dtype == "bool" else 0
    value = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": {},
        "storage_transformers": [],
    }
    return document({**value, "dimension_names": list(dims)} if dims else value)


def group_document(attributes: Mapping[str, Any]) -> bytes:
    """Return the `zarr.json` of a group."""
    return document({"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)})


def document(value: Any) -> bytes:
    """Return JSON that is the same bytes for the same value."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
