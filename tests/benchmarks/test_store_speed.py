"""Random batches of cached features, against numpy's memory map of the same bytes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from probe4d.store import FeatureAddress, FeatureStore, sample_ids_digest

BATCH = 32
ROUNDS = 100
# (t, k, c) float16, and enough clips that no cache but the page cache holds them
SIZES = {"1.2MB": ((8, 196, 384), 384), "3.2MB": ((8, 196, 1024), 128)}


def build(root: Path, shape: tuple[int, ...], clips: int) -> tuple[FeatureStore, np.memmap]:
    """Return a set and a flat file of the same random bytes."""
    ids = [f"clip-{number}" for number in range(clips)]
    address = FeatureAddress(
        backbone="toy/random",
        backbone_version="toy 1.0",
        weights="none",
        preprocessing={},
        layers=(1.0,),
        dataset="toy/data",
        dataset_revision="1",
        split="train",
        samples=sample_ids_digest(ids),
        clip={},
        platform={},
    )
    store = FeatureStore.create(root / "set", address, ids=ids, layers={1.0: shape})
    flat = np.memmap(root / "flat", np.float16, "w+", shape=(clips, *shape))
    rng = np.random.default_rng(0)
    block = rng.standard_normal((64, *shape), dtype=np.float32).astype(np.float16)
    for shard in range(store.num_shards):
        names = store.shard_ids(shard)
        values = np.roll(block, shard, axis=-1)[: len(names)]
        store.write_shard(shard, {"layers/1.0/features": values}, names)
        flat[shard * 64 : shard * 64 + len(names)] = values
    flat.flush()
    return store, np.memmap(root / "flat", np.float16, "r", shape=(clips, *shape))


@pytest.fixture(scope="module", params=SIZES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, np.memmap]:
    """Return the set and the memory map, both in the page cache."""
    shape, clips = SIZES[request.param]
    store, flat = build(tmp_path_factory.mktemp("speed"), shape, clips)
    everything = np.arange(clips)
    for start in range(0, clips, BATCH):
        assert np.array_equal(store.read(everything[start : start + BATCH], 1.0), flat[start : start + BATCH])
    return store, flat


def seconds(call: Callable[..., object], *arguments: object) -> float:
    """Return the wall time of a call."""
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


@pytest.mark.bench
def test_random_batches_are_read_faster_than_by_a_memory_map(both, record_property):
    store, flat = both
    rng = np.random.default_rng(1)
    out = np.empty((BATCH, *flat.shape[1:]), np.float16)
    readers = {"np.memmap": flat.__getitem__, "read": lambda rows: store.read(rows, 1.0, out)}
    times: dict[str, list[float]] = {name: [] for name in readers}
    for turn in range(ROUNDS):
        # Rows of its own for each, and turns about: who comes second finds nothing in the processor's cache.
        for name in sorted(readers, reverse=bool(turn % 2)):
            times[name].append(seconds(readers[name], rng.integers(0, len(flat), BATCH)))
    taken = {name: statistics.median(each) for name, each in times.items()}
    ratio = taken["np.memmap"] / taken["read"]
    record_property("ratio", ratio)
    print("; ".join(f"{name} {out.nbytes / each / 1e9:.2f} GB/s" for name, each in taken.items()), f"ratio {ratio:.2f}")
    assert ratio >= 1.5


@pytest.mark.bench
def test_the_loader_is_as_fast_as_reading(both, record_property):
    store, flat = both
    loader = store.loader(BATCH, seed=0)
    out = np.empty((BATCH, *flat.shape[1:]), np.float16)
    batches = iter(loader)
    for _ in range(5):  # every buffer has been touched
        next(batches)
    taken = [seconds(next, batches) for _ in range(ROUNDS)]
    batches.close()
    read = [seconds(store.read, loader.rows(step), 1.0, out) for step in range(ROUNDS)]
    ratio = statistics.median(read) / statistics.median(taken)
    record_property("ratio", ratio)
    print(f"loader {out.nbytes / statistics.median(taken) / 1e9:.2f} GB/s, {ratio:.2f} times reading")
    assert ratio >= 0.7
