"""Small feature sets for tests; also run as a program, it writes shards until it is killed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from probe4d.contracts import LeftOut
from probe4d.store import FeatureAddress, FeatureStore, layer_path, sample_ids_digest, set_url, target_path

LAYERS = {0.5: (2, 3, 4), 12: (1, 2, 1024)}  # a small row and a row of its own inner chunk
TARGETS = {"label": ((), "int64"), "tracks": ((5, 2), "float32"), "visible": ((5,), "bool")}


def names(samples: int) -> list[str]:
    """Return ids."""
    return [f"clip {number}é" for number in range(samples)]


def address(ids: Sequence[str], **changes: Any) -> FeatureAddress:
    """Return an address, with fields changed."""
    facts: dict[str, Any] = {
        "backbone": "toy/pixels",
        "backbone_version": "toy 1.0",
        "weights": "sha256:00",
        "preprocessing": {"size": [224, 224], "mean": [0.5]},
        "layers": tuple(LAYERS),
        "dtype": "float16",
        "dataset": "toy/data",
        "dataset_revision": "r1",
        "split": "val",
        "samples": sample_ids_digest(ids),
        "clip": {"frames": 16, "stride": 2},
        "views": (7, 8),
        "targets": {"kind": "points"},
        "platform": {"device": "cpu", "libraries": {"jax": "0.10.2"}},
    }
    return FeatureAddress(**{**facts, **changes})


def create(root: Any, samples: int = 10, per_shard: int = 4, **changes: Any) -> FeatureStore:
    """Return an empty set of shards of `per_shard` samples."""
    ids = names(samples)
    chosen = address(ids, **changes)
    return FeatureStore.create(
        set_url(chosen, root), chosen, ids=ids, layers=LAYERS, targets=TARGETS, samples_per_shard=per_shard
    )


def arrays(store: FeatureStore, shard: int, seed: int = 0, dtype: str = "float32") -> dict[str, np.ndarray]:
    """Return what belongs into a shard, the same for the same seed."""
    rng = np.random.default_rng([seed, shard])
    n = len(store.shard_ids(shard)) * store.views
    found = {layer_path(layer): rng.standard_normal((n, *shape)).astype(dtype) for layer, shape in LAYERS.items()}
    found[target_path("label")] = rng.integers(-9, 9, n)
    found[target_path("tracks")] = rng.standard_normal((n, 5, 2)).astype(np.float32)
    found[target_path("visible")] = rng.random((n, 5)) > 0.5
    return found


def fill(store: FeatureStore, left_out: Sequence[LeftOut] = (), seed: int = 0) -> dict[str, np.ndarray]:
    """Write all shards; return what the set has to hold, in its own types."""
    whole: dict[str, list[np.ndarray]] = {}
    for shard in range(store.num_shards):
        ids = store.shard_ids(shard)
        values = arrays(store, shard, seed)
        store.write_shard(shard, values, ids, [item for item in left_out if item.id in ids])
        for path, value in values.items():
            whole.setdefault(path, []).append(value)
    without = {item.id for item in left_out}
    kept = np.repeat([name not in without for name in store.ids], store.views)
    expected = {}
    for path, parts in whole.items():
        value = np.concatenate(parts)
        value[~kept] = 0
        expected[path] = value.astype(np.float16) if path.startswith("layers/") else value
    return expected


def main(root: str) -> None:
    """Write the shards of one set over and over, forgetting each before it is written again."""
    store = create(root, samples=64, per_shard=8)
    print("ready", flush=True)
    while True:
        for shard in range(store.num_shards):
            store.forget(shard)
            store.write_shard(shard, arrays(store, shard), store.shard_ids(shard))


if __name__ == "__main__":
    main(sys.argv[1])
