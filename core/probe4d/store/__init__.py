"""Feature sets: zarr v3 groups with an address, receipts and checksums; see `docs/feature-cache.md`.

`FeatureStore.create` and `FeatureStore.open` are the doors; importing this package imports numpy and
neither zarr nor fsspec.
"""

from __future__ import annotations

from probe4d.store.address import FeatureAddress, layer_name, platform_class, sample_ids_digest
from probe4d.store.batches import Batch, Loader
from probe4d.store.description import SetDescription, describe_set, layer_path, target_path
from probe4d.store.errors import (
    NotExtractedError,
    StoreConflictError,
    StoreDamageError,
    StoreMismatchError,
    StoreReadError,
    StoreWriteError,
)
from probe4d.store.feature_store import FeatureStore, default_root, set_url
from probe4d.store.receipts import Receipt

__all__ = [
    "Batch",
    "FeatureAddress",
    "FeatureStore",
    "Loader",
    "NotExtractedError",
    "Receipt",
    "SetDescription",
    "StoreConflictError",
    "StoreDamageError",
    "StoreMismatchError",
    "StoreReadError",
    "StoreWriteError",
    "default_root",
    "describe_set",
    "layer_name",
    "layer_path",
    "platform_class",
    "sample_ids_digest",
    "set_url",
    "target_path",
]
