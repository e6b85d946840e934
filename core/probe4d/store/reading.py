"""Reading rows of a set into arrays that are already there.

A local shard is mapped once and its clips are copied out; elsewhere each clip is a range of a file.
Either way only the arrays asked for are touched, and no zarr library is needed. A local shard file is
checked against its receipt when it is first opened in this process; a range by the checksum behind it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import UsageError
from probe4d.store import shards
from probe4d.store.checksums import crc32c, fast_crc32c
from probe4d.store.dtypes import as_dtype
from probe4d.store.errors import StoreDamageError
from probe4d.store.files import LocalFiles, join
from probe4d.store.layout import CRC_BYTES, ArrayLayout
from probe4d.store.receipts import StoredFile

if TYPE_CHECKING:
    from probe4d.store.feature_store import FeatureStore

__all__ = ["MappedShards", "RangedShards", "Reader", "open_reader"]

MAPS = 4096  # shards mapped at a time, where the limit of open files allows


class Source(Protocol):
    """Gives the bytes of rows."""

    def fill(self, layout: ArrayLayout, rows: list[int], out: Array) -> None:
        """Copy rows into `out`, `(n, row_nbytes)` uint8; zeros for those left out."""
        ...


class Reader:
    """Rows of the arrays of one set. May be used by several threads."""

    def __init__(self, store: FeatureStore, source: Source) -> None:
        self._where = store.url
        self._arrays = store.description.arrays
        self._rows = store.num_rows
        self._source = source

    def shape(self, path: str, n: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and dtype of `n` rows of an array.

        Raises:
            UsageError: the set has no such array.
        """
        if path not in self._arrays:
            raise UsageError(f"{self._where}: expected one of {', '.join(sorted(self._arrays))}, got {path!r}.")
        layout = self._arrays[path]
        return (n, *layout.row_shape), as_dtype(layout.dtype)

    def read(self, path: str, rows: Sequence[int] | Array, out: Array | None = None) -> Array:
        """Return rows of an array, in `out` where it is given.

        Raises:
            UsageError: a row that the set has not, or an `out` that does not fit.
        """
        wanted = np.asarray(rows)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise UsageError(f"{self._where}: expected rows as integers (n,), got {wanted.dtype} {wanted.shape}.")
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self._rows):
            odd = wanted.min() if wanted.min() < 0 else wanted.max()
            raise UsageError(f"{self._where}: expected rows from 0 to {self._rows - 1}, got {odd}.")
        shape, dtype = self.shape(path, wanted.size)
        if out is None:
            out = np.empty(shape, dtype)
        elif out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
            raise UsageError(f"out: expected a C-contiguous {dtype} {shape}, got {out.dtype} {out.shape}.")
        if wanted.size:
            flat = out.view(np.uint8) if out.ndim == 1 else out.reshape(-1).view(np.uint8)
            self._source.fill(self._arrays[path], wanted.tolist(), flat.reshape(len(out), -1))
        return out


def open_reader(store: FeatureStore) -> Reader:
    """Return the reader for where a set lies."""
    local = isinstance(store.files, LocalFiles)
    return Reader(store, MappedShards(store) if local else RangedShards(store))


class MappedShard:
    """One mapped shard file of one array.

    A file that someone shortens while it is mapped ends the process (SIGBUS), as with any memory map;
    the store itself only ever replaces files.
    """

    def __init__(self, layout: ArrayLayout, path: Path, receipt: StoredFile) -> None:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_size != receipt.bytes:
                raise StoreDamageError(f"{path}: expected {receipt.bytes} bytes, got {facts.st_size}. {MEND}")
            self.data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        identity = (str(path), facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if identity not in _verified:
            _verify(self.data, receipt, path)
            _verified.add(identity)
        self.starts = shards.chunk_starts(layout, self.data[-layout.index_nbytes :], facts.st_size, str(path))


MEND = "Run `probe4d cache verify --repair`, then the same command again."
_verified: set[tuple[str, int, int, int]] = set()  # files whose bytes this process has checked


def _verify(data: Array, receipt: StoredFile, path: Path) -> None:
    """Compare a file with its receipt; by sha256 where CRC-32C would be computed by numpy."""
    if fast_crc32c() is not None:
        expected, got = receipt.crc32c, f"{crc32c(data):08x}"
    else:
        expected, got = receipt.sha256, hashlib.sha256(data.data).hexdigest()
    if expected != got:
        raise StoreDamageError(f"{path}: expected bytes of checksum {expected}, got {got}. {MEND}")


class MappedShards:
    """Rows of local shards, copied from memory maps that stay open.

    With glibc, a process started with `GLIBC_TUNABLES=glibc.cpu.x86_non_temporal_threshold=1048576` copies
    clips of more than 1 MiB past the caches, which is up to 1.5 times as fast.
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, int], MappedShard] = OrderedDict()
        self._limit = min(MAPS, _open_files_limit() // 2)

    def fill(self, layout: ArrayLayout, rows: list[int], out: Array) -> None:
        """Copy rows into `out`."""
        nbytes, shard_rows, chunk_rows = layout.row_nbytes, layout.shard_rows, layout.chunk_rows
        nothing = np.zeros(nbytes, np.uint8)
        sources: list[Array] = []
        for row in rows:
            shard, inside = divmod(row, shard_rows)
            mapped = self._shard(layout, shard)
            start = mapped.starts[inside // chunk_rows]
            if start < 0:
                sources.append(nothing)
            else:
                start += inside % chunk_rows * nbytes
                sources.append(mapped.data[start : start + nbytes])
        # One call copies everything: between large copies the interpreter's own memory is cold.
        np.concatenate(sources, out=out.reshape(-1))

    def _shard(self, layout: ArrayLayout, shard: int) -> MappedShard:
        key = (layout.path, shard)
        with self._lock:
            mapped = self._open.get(key)
            if mapped is not None:
                self._open.move_to_end(key)
                return mapped
        files = self._store.files
        assert isinstance(files, LocalFiles)
        path = files.path(layout.key(shard))
        try:
            mapped = MappedShard(layout, path, self._store.done_receipt(shard).files[layout.path])
        except FileNotFoundError as error:
            raise StoreDamageError(f"{path}: expected the file that its receipt names, got none. {MEND}") from error
        with self._lock:
            self._open[key] = mapped
            while len(self._open) > self._limit:
                self._open.popitem(last=False)
        return mapped


def _open_files_limit() -> int:
    """Return how many files this process may hold open; a memory map holds one."""
    try:
        import resource
    except ImportError:  # Windows
        return 512
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2 * MAPS if limit == resource.RLIM_INFINITY else limit


class RangedShards:
    """Rows of shards at any fsspec URL, fetched as ranges and checked one by one."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._starts: dict[tuple[str, int], list[int]] = {}

    def fill(self, layout: ArrayLayout, rows: list[int], out: Array) -> None:
        """Copy rows into `out`."""
        places = [divmod(row, layout.shard_rows) for row in rows]
        parts: dict[tuple[int, int], tuple[str, int, int]] = {}  # a chunk that holds several rows is fetched once
        for shard, inside in places:
            start = self._chunks(layout, shard)[inside // layout.chunk_rows]
            if start >= 0:
                stop = start + layout.chunk_nbytes + CRC_BYTES
                parts[shard, inside // layout.chunk_rows] = (layout.key(shard), start, stop)
        fetched = dict(zip(parts, self._fetch(layout, list(parts.values())), strict=True))
        for position, (shard, inside) in enumerate(places):
            chunk = fetched.get((shard, inside // layout.chunk_rows))
            start = inside % layout.chunk_rows * layout.row_nbytes
            out[position] = 0 if chunk is None else chunk[start : start + layout.row_nbytes]

    def _fetch(self, layout: ArrayLayout, parts: list[tuple[str, int, int]]) -> list[Array]:
        try:
            contents = [np.frombuffer(content, np.uint8) for content in self._store.files.read_parts(parts)]
        except FileNotFoundError as error:
            raise StoreDamageError(
                f"{self._store.url}: expected the file of a receipt, got none: {error}. {MEND}"
            ) from error
        for (key, start, stop), content in zip(parts, contents, strict=True):
            if not shards.chunk_is_whole(layout, content):
                where = f"{join(self._store.url, key)}: bytes {start} to {stop}"
                raise StoreDamageError(f"{where}: expected an inner chunk with its checksum, got other bytes. {MEND}")
        return contents

    def _chunks(self, layout: ArrayLayout, shard: int) -> list[int]:
        key = (layout.path, shard)
        if key not in self._starts:
            size = self._store.done_receipt(shard).files[layout.path].bytes
            name = layout.key(shard)
            where = join(self._store.url, name)
            try:
                index = np.frombuffer(self._store.files.read(name, size - layout.index_nbytes, size), np.uint8)
            except FileNotFoundError as error:
                raise StoreDamageError(
                    f"{where}: expected the file that its receipt names, got none. {MEND}"
                ) from error
            if index.size != layout.index_nbytes:
                raise StoreDamageError(f"{where}: expected {size} bytes, got fewer. {MEND}")
            self._starts[key] = shards.chunk_starts(layout, index, size, where)
        return self._starts[key]
