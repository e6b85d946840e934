"""Whether a set is what was written: every file against its receipt, and nothing beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from probe4d.store.description import SET_FILE
from probe4d.store.errors import StoreDamageError
from probe4d.store.feature_store import USED_FILE, FeatureStore
from probe4d.store.files import TEMPORARY
from probe4d.store.ids import encode_ids
from probe4d.store.receipts import Receipt, receipt_key
from probe4d.store.shards import damaged_rows

__all__ = ["Damage", "repair", "verify"]


@frozen(kw_only=True)
class Damage:
    """One thing that is wrong.

    Attributes:
        what: `missing file`, `wrong size`, `wrong bytes`, `missing receipt`, `damaged receipt`,
            `damaged description` or `surplus file`.
        file: relative to the set.
        shard: whose file it is, where it is one's.
        detail: what was expected and found, with the samples that are hit where that can be told.
    """

    what: str
    file: str
    shard: int | None = None
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON."""
        return attrs.asdict(self)


def verify(store: FeatureStore) -> Iterator[Damage]:
    """Yield everything that is wrong with a set, reading all of it.

    A shard of which there is nothing yet is not damage.
    """
    sizes = store.files.sizes()
    try:
        documents = {**store.description.documents(), **encode_ids(store.ids)}
    except StoreDamageError as error:  # without ids the receipts cannot be told either
        yield Damage(what="damaged description", file="features.zarr/ids", detail=str(error))
        return
    for key, content in documents.items():
        if key not in sizes:
            yield Damage(what="missing file", file=key)
        elif store.files.read(key) != content:
            yield Damage(what="damaged description", file=key, detail="not what the set's address gives")
    expected = {SET_FILE, USED_FILE, *documents}
    for shard in range(store.num_shards):
        files = {receipt_key(shard), *store.shard_keys(shard).values()}
        expected |= files
        if files & set(sizes):
            yield from _verify_shard(store, shard, sizes)
    for key in sorted(set(sizes) - expected):
        kind = (
            "left by an interrupted writer, or being written" if key.startswith(f"{TEMPORARY}/") else "not of this set"
        )
        yield Damage(what="surplus file", file=key, detail=kind)


def repair(store: FeatureStore, damages: list[Damage]) -> list[int]:
    """Forget the damaged shards, rewrite descriptions, delete surplus files; return the shards to make again.

    Raises:
        StoreDamageError: the ids are damaged: the set has to be pruned.
    """
    documents = {**store.description.documents(), **encode_ids(store.ids)}
    shards = sorted({item.shard for item in damages if item.shard is not None})
    for shard in shards:
        store.forget(shard)
    for item in damages:
        if item.shard is None and item.file in documents:
            store.files.write(item.file, [documents[item.file]])
        elif item.what == "surplus file":
            store.files.delete([item.file])
    return shards


def _verify_shard(store: FeatureStore, shard: int, sizes: dict[str, int]) -> Iterator[Damage]:
    key = receipt_key(shard)
    if key not in sizes:
        detail = "files of the shard are there; it counts as not done"
        yield Damage(what="missing receipt", file=key, shard=shard, detail=detail)
        return
    try:
        receipt = store.check_receipt(store.files.read(key), shard)
    except StoreDamageError as error:
        yield Damage(what="damaged receipt", file=key, shard=shard, detail=str(error))
        return
    for path, file in store.shard_keys(shard).items():
        stated = receipt.files[path]
        if file not in sizes:
            yield Damage(what="missing file", file=file, shard=shard, detail=f"expected {stated.bytes} bytes")
        elif sizes[file] != stated.bytes:
            detail = f"expected {stated.bytes} bytes, got {sizes[file]}"
            yield Damage(what="wrong size", file=file, shard=shard, detail=detail)
        else:
            yield from _verify_bytes(store, path, receipt)


def _verify_bytes(store: FeatureStore, path: str, receipt: Receipt) -> Iterator[Damage]:
    layout = store.description.arrays[path]
    file = layout.key(receipt.shard)
    content = store.files.read(file)
    stated, found = receipt.files[path].sha256, hashlib.sha256(content).hexdigest()
    if found == stated:
        return
    detail = f"expected sha256 {stated[:12]}…, got {found[:12]}…"
    try:
        rows = damaged_rows(layout, np.frombuffer(content, np.uint8), file)
        ids = dict.fromkeys(receipt.ids[row // store.views] for row in rows if row < layout.shard_size(receipt.shard))
        detail += f"; samples hit: {', '.join(ids)}" if ids else "; no sample is hit"
    except StoreDamageError as error:
        detail += f"; {error}"
    yield Damage(what="wrong bytes", file=file, shard=receipt.shard, detail=detail)
