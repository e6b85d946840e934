"""A feature set, opened: what it holds, what of it is done, writing shards and reading rows."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from probe4d.contracts import Array, Layer, LeftOut
from probe4d.errors import UsageError
from probe4d.paths import cache_dir
from probe4d.store import description, writing
from probe4d.store.address import FeatureAddress, check_same
from probe4d.store.batches import Batch, Loader, read_ahead
from probe4d.store.description import SET_FILE, SetDescription, layer_path, target_path
from probe4d.store.errors import NotExtractedError, StoreDamageError, StoreMismatchError, StoreWriteError
from probe4d.store.files import Files, join, open_files
from probe4d.store.ids import encode_ids, read_ids
from probe4d.store.reading import open_reader
from probe4d.store.receipts import Receipt, parse_receipt, receipt_key

if TYPE_CHECKING:
    from probe4d.store.reading import Reader

__all__ = ["USED_FILE", "FeatureStore", "default_root", "set_url"]

USED_FILE = "used.json"  # when the set was last opened or written
STAMP_SECONDS = 60.0


def default_root() -> str:
    """Return the folder of feature sets of this user."""
    return str(cache_dir() / "features")


def set_url(address: FeatureAddress, root: str | os.PathLike[str] | None = None) -> str:
    """Return where the set of an address lies under a root: a folder named by its digest."""
    return join(os.fspath(root) if root is not None else default_root(), address.digest)


class FeatureStore:
    """One feature set at a path or any fsspec URL.

    Row `s * K + v` is view v of sample s. Made by `create` or `open`.

    Attributes:
        url: where it is; `url + "/features.zarr"` is the zarr v3 group.
        description: address, ids' number, shards and arrays.
    """

    def __init__(self, files: Files, described: SetDescription) -> None:
        self.url = files.url
        self.files = files
        self.description = described
        self._ids: tuple[str, ...] | None = None
        self._receipts: dict[int, Receipt] = {}
        self._reader: Reader | None = None
        self._stamped = -math.inf

    @classmethod
    def create(
        cls,
        url: str | os.PathLike[str],
        address: FeatureAddress,
        *,
        ids: Sequence[str],
        layers: Mapping[Layer | str, Sequence[int]],
        targets: Mapping[str, tuple[Sequence[int], Any]] | None = None,
        samples_per_shard: int | None = None,
    ) -> FeatureStore:
        """Return a set to write into; one that exists is opened, and must be the same.

        Any number of processes may call this at once.

        Args:
            url: usually `set_url(address, root)`.
            layers: `(t, k, c)` by layer.
            targets: shape of one row and dtype, by field.
            samples_per_shard: by default as many as make 64 rows.

        Raises:
            StoreMismatchError: another set lies there; names each differing field.
            StoreWriteError: nothing can be written there.
        """
        described = description.describe_set(address, ids, layers, targets or {}, samples_per_shard)
        files = open_files(url)
        if files.size(SET_FILE) is None:
            documents = {**described.documents(), **encode_ids(ids)}
            for key, content in documents.items():
                files.write(key, [content])
            files.write(SET_FILE, [described.to_bytes()])  # last: with it the set exists
        files.sweep()
        store = cls.open(url, address)
        _check_layout(store, described)
        return store

    @classmethod
    def open(
        cls, url: str | os.PathLike[str], address: FeatureAddress | None = None, *, stamp: bool = True
    ) -> FeatureStore:
        """Return the set at a URL.

        Args:
            address: what it has to be.
            stamp: note the time of use, by which `prune` chooses; not possible on a read-only store,
                where it is left.

        Raises:
            NotExtractedError: there is no set.
            StoreMismatchError: it is another one; names each differing field.
            StoreDamageError: its description is damaged.
        """
        files = open_files(url)
        try:
            content = files.read(SET_FILE)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotExtractedError(f"{files.url}: expected a feature set, found none. Extract it first.") from error
        described = description.parse_set(content, join(files.url, SET_FILE))
        if address is not None:
            check_same(files.url, address, described.address)
        store = cls(files, described)
        if stamp:
            store.stamp()
        return store

    def stamp(self) -> None:
        """Note that the set is in use, at most once a minute."""
        if time.monotonic() - self._stamped > STAMP_SECONDS:
            self._stamped = time.monotonic()
            with contextlib.suppress(StoreWriteError):  # a read-only store is read all the same
                self.files.write(USED_FILE, [json.dumps({"time": time.time()}).encode()])

    @property
    def address(self) -> FeatureAddress:
        """What makes the set."""
        return self.description.address

    @property
    def digest(self) -> str:
        """The address's digest."""
        return self.address.digest

    @property
    def views(self) -> int:
        """K, the rows of each sample."""
        return self.description.views

    @property
    def num_rows(self) -> int:
        """Number of rows, those left out included."""
        return self.description.rows

    @property
    def num_shards(self) -> int:
        """Number of shards: the units of extraction."""
        return self.description.shards

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        return self.address.layers

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the target fields."""
        return tuple(path.removeprefix("targets/") for path in self.description.arrays if path.startswith("targets/"))

    @property
    def ids(self) -> tuple[str, ...]:
        """The samples, in order."""
        if self._ids is None:
            self._ids = read_ids(self.files, self.description.samples, self.address.samples)
        return self._ids

    def shard_ids(self, shard: int) -> tuple[str, ...]:
        """Return the samples of one shard.

        Raises:
            UsageError: there is no such shard.
        """
        if not 0 <= shard < self.num_shards:
            raise UsageError(f"{self.url}: expected a shard from 0 to {self.num_shards - 1}, got {shard}.")
        step = self.description.samples_per_shard
        return self.ids[shard * step : (shard + 1) * step]

    def receipt(self, shard: int) -> Receipt | None:
        """Return a shard's receipt, or None where it has not been written.

        Raises:
            StoreDamageError: the receipt is damaged, or of another set.
        """
        if shard not in self._receipts:
            try:
                content = self.files.read(receipt_key(shard))
            except FileNotFoundError:
                return None
            self._receipts[shard] = self.check_receipt(content, shard)
        return self._receipts[shard]

    def check_receipt(self, content: bytes, shard: int) -> Receipt:
        """Return the receipt in a file's content, if it is that of this shard.

        Raises:
            StoreDamageError: it is not.
        """
        where = join(self.url, receipt_key(shard))
        receipt = parse_receipt(content, where)
        got = (receipt.digest, receipt.shard, receipt.ids, set(receipt.files))
        if got != (self.digest, shard, self.shard_ids(shard), set(self.description.arrays)):
            raise StoreDamageError(f"{where}: expected the receipt of shard {shard} of this set, got another one.")
        return receipt

    def is_done(self, shard: int) -> bool:
        """Say whether a shard has a whole receipt and files of the sizes that it states.

        The bytes themselves are checked when they are first read, and by `probe4d cache verify`.
        """
        sizes = {key: self.files.size(key) for key in self.shard_keys(shard).values()}
        return self._done(shard, sizes)

    def missing(self) -> tuple[int, ...]:
        """Return the shards that are not done, from one listing of the set."""
        sizes = self.files.sizes()
        listed = [n for n in range(self.num_shards) if receipt_key(n) in sizes]
        done = {shard for shard in listed if self._done(shard, sizes)}
        return tuple(shard for shard in range(self.num_shards) if shard not in done)

    def _done(self, shard: int, sizes: Mapping[str, int | None]) -> bool:
        self._receipts.pop(shard, None)
        try:
            receipt = self.receipt(shard)
        except StoreDamageError:
            return False
        return receipt is not None and all(
            sizes.get(key) == receipt.files[path].bytes for path, key in self.shard_keys(shard).items()
        )

    def shard_keys(self, shard: int) -> dict[str, str]:
        """Return the file of each array of a shard, relative to the set."""
        return {path: layout.key(shard) for path, layout in self.description.arrays.items()}

    def forget(self, shard: int) -> None:
        """Delete a shard: its receipt first, so that it is not done from then on."""
        self._receipts.pop(shard, None)
        self.files.delete([receipt_key(shard)])
        self.files.delete(list(self.shard_keys(shard).values()))

    def write_shard(
        self,
        shard: int,
        arrays: Mapping[str, Array],
        ids: Sequence[str],
        left_out: Sequence[LeftOut] = (),
        *,
        seconds: float = 0.0,
        versions: Mapping[str, str] | None = None,
    ) -> Receipt:
        """Write a whole shard, its receipt last, and return that; see `writing.write_shard`."""
        receipt = writing.write_shard(self, shard, arrays, ids, left_out, seconds, dict(versions or {}))
        self._receipts[shard] = receipt
        self.stamp()
        return receipt

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return the samples of all shards that have no features, and why.

        Raises:
            NotExtractedError: a shard is not done.
        """
        return tuple(item for shard in range(self.num_shards) for item in self.done_receipt(shard).left_out)

    def valid(self) -> Array:
        """Return which rows hold features: `(rows,)` bool.

        Raises:
            NotExtractedError: a shard is not done.
        """
        without = {item.id for item in self.left_out()}
        return np.repeat([sample not in without for sample in self.ids], self.views)

    def done_receipt(self, shard: int) -> Receipt:
        """Return a shard's receipt.

        Raises:
            NotExtractedError: the shard is not done.
        """
        receipt = self.receipt(shard)
        if receipt is None:
            raise NotExtractedError(
                f"{self.url}: expected shard {shard} of {self.num_shards} to be done, got no receipt. Extract it first."
            )
        return receipt

    def read(self, rows: Sequence[int] | Array, layer: Layer | str, out: Array | None = None) -> Array:
        """Return features of rows in the order given (repeats allowed): `(n, t, k, c)`.

        Rows of samples left out are zeros.

        Args:
            out: C-contiguous array of that shape and dtype to fill.

        Raises:
            NotExtractedError: a row's shard is not done.
            StoreDamageError: a row's shard is not what was written.
        """
        return self.reader.read(layer_path(layer), rows, out)

    def read_target(self, rows: Sequence[int] | Array, field: str, out: Array | None = None) -> Array:
        """Return a target field of rows, `(n, …)`; see `read`."""
        return self.reader.read(target_path(field), rows, out)

    def batches(
        self,
        rows_of_batches: Sequence[Sequence[int] | Array],
        *,
        layers: Sequence[Layer | str] | None = None,
        fields: Sequence[str] | None = None,
    ) -> Iterator[Batch]:
        """Yield the batches of given rows, the next one read ahead by a thread.

        Args:
            layers, fields: what to read of each; all by default, and nothing else is touched.
        """
        return read_ahead(self.reader, iter(rows_of_batches), self._layer_names(layers), self._field_names(fields))

    def loader(
        self,
        batch_size: int,
        *,
        seed: int,
        rows: Sequence[int] | Array | None = None,
        layers: Sequence[Layer | str] | None = None,
        fields: Sequence[str] | None = None,
        step: int = 0,
        steps: int | None = None,
    ) -> Loader:
        """Return random batches for training, the same for the same seed from any step on.

        Args:
            rows: what to draw from; by default every row that is not left out.
            step: the first one (continue with `loader.state["step"]`).
            steps: where to end; without, never.
        """
        pool = np.flatnonzero(self.valid()) if rows is None else np.asarray(rows, np.int64)
        names = self._layer_names(layers), self._field_names(fields)
        return Loader(self.reader, pool, batch_size, seed, *names, step=step, steps=steps)

    @property
    def reader(self) -> Reader:
        """What reads rows: by memory map where the set is local, by ranges elsewhere."""
        if self._reader is None:
            self._reader = open_reader(self)
        return self._reader

    def _layer_names(self, layers: Sequence[Layer | str] | None) -> tuple[str, ...]:
        chosen = self.layers if layers is None else [layer_path(layer).split("/")[1] for layer in layers]
        return _known(self.url, "layer", chosen, self.layers)

    def _field_names(self, fields: Sequence[str] | None) -> tuple[str, ...]:
        return _known(self.url, "target", self.fields if fields is None else fields, self.fields)


def _known(where: str, what: str, chosen: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in chosen:
        if name not in known:
            raise UsageError(f"{where}: expected a {what} of {', '.join(known) or 'none'}, got {name!r}.")
    return tuple(chosen)


def _check_layout(store: FeatureStore, wanted: SetDescription) -> None:
    """Compare the arrays of an existing set with those asked for.

    Raises:
        StoreMismatchError: naming what differs.
    """
    have = store.description
    if have.samples_per_shard != wanted.samples_per_shard:
        expected, got = wanted.samples_per_shard, have.samples_per_shard
        raise StoreMismatchError(f"{store.url}: samples_per_shard: expected {expected}, got {got}.")
    for path in sorted({*have.arrays, *wanted.arrays}):
        expected_array, got_array = (
            (item.row_shape, item.dtype) if (item := each.arrays.get(path)) else None for each in (wanted, have)
        )
        if expected_array != got_array:
            raise StoreMismatchError(f"{store.url}: {path}: expected {expected_array}, got {got_array}.")
