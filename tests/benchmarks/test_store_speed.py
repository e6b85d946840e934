"""Random batches of cached features, against numpy's memory map of the same bytes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
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


def measure(size: str) -> dict[str, float]:
    """Return bytes a second of processor time of each reader, medians, with the set in the page cache."""
    shape, clips = SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        store, flat = build(Path(folder), shape, clips)
        everything = np.arange(clips)
        for start in range(0, clips, BATCH):
            assert np.array_equal(store.read(everything[start : start + BATCH], 1.0), flat[start : start + BATCH])
        rng = np.random.default_rng(1)
        out = np.empty((BATCH, *shape), np.float16)
        readers: dict[str, Callable[[np.ndarray], object]] = {
            "memmap": flat.__getitem__,
            "read": lambda rows: store.read(rows, 1.0, out),
        }
        times: dict[str, list[float]] = {name: [] for name in readers}
        for turn in range(ROUNDS):
            # Rows of its own for each, and turns about: who comes second finds nothing in the processor's cache.
            for name in sorted(readers, reverse=bool(turn % 2)):
                rows = rng.integers(0, clips, BATCH)
                started = time.thread_time()  # of this thread: neither starts another, and the machine is shared
                readers[name](rows)
                times[name].append(time.thread_time() - started)
        speeds = {name: out.nbytes / statistics.median(each) for name, each in times.items()}
        return {**speeds, **loader_speed(store, out)}


def loader_speed(store: FeatureStore, out: np.ndarray) -> dict[str, float]:
    """Return bytes a second, by the clock, of the loader and of reading the same batches."""
    loader = store.loader(BATCH, seed=0, fields=[])
    batches = iter(loader)
    for _ in range(5):  # every buffer has been touched
        next(batches)
    groups = [loader.rows(step) for step in range(ROUNDS)]
    loading, reading = [], []
    for _ in range(ROUNDS // 10):
        began = time.perf_counter()
        for _ in range(10):
            next(batches)
        loading.append(time.perf_counter() - began)
    batches.close()
    for start in range(0, ROUNDS, 10):
        began = time.perf_counter()
        for rows in groups[start : start + 10]:
            store.read(rows, 1.0, out)
        reading.append(time.perf_counter() - began)
    return {
        name: 10 * out.nbytes / statistics.median(each)
        for name, each in (("loader (clock)", loading), ("read (clock)", reading))
    }


@pytest.mark.bench
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tunables", ["", "glibc.cpu.x86_non_temporal_threshold=1048576"], ids=["plain", "launched"])
def test_random_batches_are_read_faster_than_by_a_memory_map(size, tunables, record_property):
    environment = {**os.environ, "GLIBC_TUNABLES": tunables}
    line = [sys.executable, __file__, size]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    speeds = json.loads(done.stdout)
    ratio = speeds["read"] / speeds["memmap"]
    record_property("ratio", ratio)
    print(size, {name: f"{speed / 1e9:.2f} GB/s" for name, speed in speeds.items()}, f"ratio {ratio:.2f}")
    assert ratio >= (1.5 if tunables else 1.2)
    assert speeds["loader (clock)"] >= 0.7 * speeds["read (clock)"]


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
