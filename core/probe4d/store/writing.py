"""Writing a shard: files by rename, the receipt last, and nothing that a second writer could harm.

There are no locks: a stopped worker would hold one for ever. A writer that is late, or that runs twice,
gives the same bytes, and the same bytes are harmless. Other bytes under the same address are an error:
the shard that is done stays, and if two such writers ran at once, the shard ends as not done.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from probe4d.contracts import Array, LeftOut
from probe4d.errors import DataError, UsageError
from probe4d.store import shards
from probe4d.store.dtypes import as_stored
from probe4d.store.errors import StoreConflictError, StoreDamageError
from probe4d.store.layout import ArrayLayout
from probe4d.store.receipts import Receipt, StoredFile, receipt_key

if TYPE_CHECKING:
    from probe4d.store.feature_store import FeatureStore

LOOK_AGAIN_SECONDS = (0.1, 0.5)  # before bytes read back are said to be others than those written

__all__ = ["write_shard"]


def write_shard(
    store: FeatureStore,
    shard: int,
    arrays: Mapping[str, Array],
    ids: Sequence[str],
    left_out: Sequence[LeftOut],
    seconds: float,
    versions: dict[str, str],
) -> Receipt:
    """Write a whole shard and return its receipt; the one there is, where the same shard is done.

    Args:
        arrays: `(n * K, …)` by path (`layers/0.95/features`, `targets/tracks`), n the shard's samples;
            rows of samples left out are stored as zeros, whatever they hold.
        ids: the shard's samples, to be sure that both sides mean the same.
        left_out: those of them without features, and why.

    Raises:
        UsageError: arrays, shapes, types or ids that are not those of the set.
        DataError: features that are not finite, or not in the range of the dtype.
        StoreConflictError: the shard is done, with other bytes.
        StoreWriteError: nothing can be written.
    """
    where = f"{store.url}: shard {shard}"
    _check_ids(where, store.shard_ids(shard), ids, left_out)
    without = {item.id for item in left_out}
    present = np.repeat([sample not in without for sample in ids], store.views)
    encoded = _encode(store, shard, arrays, present, where)
    receipt = Receipt(
        digest=store.digest,
        shard=shard,
        ids=ids,
        left_out=left_out,
        files={path: _stored_file(pieces) for path, pieces in encoded.items()},
        seconds=seconds,
        versions=versions,
    )
    existing = _existing(store, shard)
    if existing is not None and not existing.same_bytes(receipt):
        raise _conflict(where, existing, receipt)
    if existing is not None and not _damaged(store, existing):
        return existing
    if existing is None:
        store.files.delete([receipt_key(shard)])  # a damaged one
    for path, pieces in encoded.items():
        store.files.write(store.description.arrays[path].key(shard), pieces)
    store.files.create(receipt_key(shard), [receipt.to_bytes()])
    return _check_nobody_else_wrote(store, shard, receipt, where)


def _encode(
    store: FeatureStore, shard: int, arrays: Mapping[str, Array], present: Array, where: str
) -> dict[str, list[Array]]:
    """Return the pieces of each array's file."""
    layouts = store.description.arrays
    given = {**arrays, "valid": present}
    if "valid" in arrays or set(given) != set(layouts):
        expected = ", ".join(sorted(set(layouts) - {"valid"}))
        raise UsageError(f"{where}: expected the arrays {expected}, got {', '.join(sorted(arrays)) or 'none'}.")
    ids = store.shard_ids(shard)
    return {
        path: shards.encode(layout, _stored(layout, given[path], present, ids, f"{where}: {path}"), present)
        for path, layout in layouts.items()
    }


def _stored(layout: ArrayLayout, values: Array, present: Array, ids: Sequence[str], where: str) -> Array:
    """Return an array checked, in its stored type, zero where rows are left out."""
    values = np.asarray(values)
    if values.shape != (len(present), *layout.row_shape):
        raise UsageError(f"{where}: expected shape {(len(present), *layout.row_shape)}, got {values.shape}.")
    if not present.all():
        values = values.copy()
        values[~present] = 0
    if not layout.path.startswith("layers/"):
        if values.dtype != np.dtype(layout.dtype):
            raise UsageError(f"{where}: expected {layout.dtype}, got {values.dtype}.")
        return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    _check_finite(values, ids, where)
    stored = as_stored(values, layout.dtype, where)
    return stored.astype(stored.dtype.newbyteorder("<"), copy=False)


def _check_finite(values: Array, ids: Sequence[str], where: str) -> None:
    try:
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    except TypeError as error:
        raise UsageError(f"{where}: expected floats, got {values.dtype}.") from error
    if not finite.all():
        sample = ids[int(np.argmin(finite)) * len(ids) // len(values)]
        raise DataError(
            f"{where}: expected finite features, got NaN or infinity for {sample!r}. "
            "Leave the sample out, with the reason, or mend the backbone."
        )


def _check_ids(where: str, expected: Sequence[str], ids: Sequence[str], left_out: Sequence[LeftOut]) -> None:
    if tuple(ids) != tuple(expected):
        odd = next((pair for pair in zip(expected, ids, strict=False) if pair[0] != pair[1]), None)
        what = f"{odd[1]!r} where {odd[0]!r} belongs" if odd else f"{len(ids)} ids"
        raise UsageError(f"{where}: expected its {len(expected)} samples in order, got {what}.")
    names = [item[0] for item in left_out]
    if strange := sorted(set(names) - set(ids)):
        raise UsageError(f"{where}: expected samples of this shard to be left out, got {strange[0]!r}.")
    if len(set(names)) != len(names):
        raise UsageError(f"{where}: expected each sample left out once, got {names}.")


def _stored_file(pieces: Sequence[Array]) -> StoredFile:
    found = shards.digest(pieces)
    return StoredFile(bytes=found.bytes, crc32c=f"{found.crc32c:08x}", sha256=found.sha256)


def _existing(store: FeatureStore, shard: int) -> Receipt | None:
    """Return the receipt on the store now; None where there is none, or a damaged one to write over."""
    try:
        return store.check_receipt(store.files.read(receipt_key(shard)), shard)
    except (FileNotFoundError, StoreDamageError):
        return None


def _check_nobody_else_wrote(store: FeatureStore, shard: int, receipt: Receipt, where: str) -> Receipt:
    """Return the receipt that is there now; a writer of other bytes may have come between.

    Raises:
        StoreConflictError: it did. Where its files and a receipt do not fit, the receipt goes.
    """
    stored, mixed = _settled(store, shard, receipt)
    if stored is None or mixed:
        store.forget(shard)
        what = ", ".join(mixed) or "the receipt"
        raise StoreConflictError(
            f"{where}: read back other bytes than those written for {what}. Another writer gave other bytes at the "
            "same time, or the store is broken. The shard is not done."
        )
    if not stored.same_bytes(receipt):
        raise _conflict(where, stored, receipt)
    return stored


def _settled(store: FeatureStore, shard: int, receipt: Receipt) -> tuple[Receipt | None, list[str]]:
    """Return the receipt on the store, and the arrays that do not fit it.

    Looks again before it says that something is wrong: a store that replaces objects by no single step shows part of
    one while another writer puts the same bytes there.
    """
    for pause in (*LOOK_AGAIN_SECONDS, None):
        stored = _existing(store, shard)
        mixed = _damaged(store, stored or receipt)
        if pause is None or (stored is not None and not mixed):
            break
        time.sleep(pause)
    return stored, mixed


def _damaged(store: FeatureStore, receipt: Receipt) -> list[str]:
    """Return the arrays whose file is not the one that a receipt names."""
    return [
        path
        for path, key in store.shard_keys(receipt.shard).items()
        if _sha256(store, key) != receipt.files[path].sha256
    ]


def _sha256(store: FeatureStore, key: str) -> str:
    try:
        return hashlib.sha256(store.files.read(key)).hexdigest()
    except FileNotFoundError:
        return "no file"


def _conflict(where: str, existing: Receipt, receipt: Receipt) -> StoreConflictError:
    differing = sorted(path for path in receipt.files if receipt.files[path] != existing.files[path])
    left = (
        "" if existing.left_out == receipt.left_out else f" It left out {_names(existing)}, this one {_names(receipt)}."
    )
    return StoreConflictError(
        f"{where}: expected the bytes that are there, got other ones for {', '.join(differing) or 'no array'}.{left} "
        f"Something that the address does not name makes a difference. Delete {receipt_key(receipt.shard)} of "
        "the set to write it anew."
    )


def _names(receipt: Receipt) -> str:
    return ", ".join(item.id for item in receipt.left_out) or "nothing"
