"""A store on a real S3 server (moto's, on loopback) against a local one: many writers, kills, the same bytes."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from probe4d.store import FeatureStore, StoreConflictError, set_url
from probe4d.store.pruning import remove
from probe4d.store.sets import stored_sets
from probe4d.store.verifying import repair, verify
from store import toy_sets

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def toy() -> ModuleType:
    """Return `toy_sets` of the store's tests."""
    return toy_sets


def started(url: str, seed: int) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "machines.s3_writers", url, str(seed)]
    return subprocess.Popen(line, cwd=TESTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_set_on_s3_holds_the_bytes_of_a_local_one(toy, bucket, tmp_path):
    remote, local = toy.create(f"{bucket}/a"), toy.create(tmp_path)
    expected = toy.fill(remote)
    toy.fill(local)
    assert remote.missing() == ()
    for key in local.files.sizes("features.zarr"):
        assert remote.files.read(key) == local.files.read(key)
    rows = [19, 0, 7, 7]
    assert np.array_equal(FeatureStore.open(remote.url).read(rows, 12), expected["layers/12/features"][rows])
    assert list(verify(remote)) == []


def test_writers_at_once_of_whom_some_are_killed_leave_one_sound_set(toy, bucket, tmp_path):
    root, chance = f"{bucket}/many", random.Random(0)
    writers = [started(root, seed) for seed in range(4)]
    for writer in writers[:2]:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.0, 0.4))
        writer.kill()
    told = [writer.communicate(timeout=120)[1].decode() for writer in writers]
    assert [writer.returncode for writer in writers[2:]] == [0, 0], told[2:]
    ids = toy.names(24)
    store = FeatureStore.open(set_url(toy.address(ids), root))
    local = toy.create(tmp_path, samples=24)
    toy.fill(local)
    assert store.missing() == ()
    assert list(verify(store)) == [], "nothing is damaged, and nothing left over"
    assert set(store.files.sizes("features.zarr")) == set(local.files.sizes("features.zarr"))
    for shard in range(local.num_shards):
        assert store.done_receipt(shard).same_bytes(local.done_receipt(shard))


def test_the_last_writer_is_equal_and_another_is_refused(toy, bucket):
    store = toy.create(f"{bucket}/last")
    toy.fill(store)
    late = toy.create(f"{bucket}/last")  # a writer that was stopped before it wrote
    late.files.delete(["receipts/00000000.json"])
    late.write_shard(0, toy.arrays(store, 0), store.shard_ids(0))
    with pytest.raises(StoreConflictError, match="expected the bytes that are there"):
        late.write_shard(1, toy.arrays(store, 1, seed=1), store.shard_ids(1))
    assert list(verify(store)) == []


def test_half_a_shard_is_not_done_and_is_made_again(toy, bucket):
    store = toy.create(f"{bucket}/half")
    toy.fill(store)
    store.files.delete(["receipts/00000001.json"])  # as a writer leaves it that is killed before the receipt
    again = FeatureStore.open(store.url)
    assert again.missing() == (1,)
    assert [item.what for item in verify(again)] == ["missing receipt"]
    again.write_shard(1, toy.arrays(store, 1), store.shard_ids(1))
    key = store.shard_keys(2)["layers/12/features"]
    again.files.write(key, [again.files.read(key)[:-1]])  # a store that lost a byte
    damages = list(verify(FeatureStore.open(store.url)))
    assert [item.what for item in damages] == ["wrong size"]
    assert repair(again, damages) == [2]
    assert FeatureStore.open(store.url).missing() == (2,)


def test_sets_on_s3_are_listed_and_removed(toy, bucket):
    store = toy.create(f"{bucket}/listed")
    toy.fill(store)
    (found,) = stored_sets(f"{bucket}/listed")
    assert found.complete
    assert remove(found) == found.bytes
    assert list(stored_sets(f"{bucket}/listed")) == []


@pytest.mark.slow
def test_a_run_of_parts_on_s3_gives_the_bits_of_a_local_run(toys, undisturbed, bucket, tmp_path):
    toy = toys.Toy(tmp_path, store=f"{bucket}/run")
    parts = [toy.start("--part", f"{number}/2") for number in (1, 2)]
    told = [part.communicate(timeout=180) for part in parts]
    assert {part.returncode for part in parts} <= {0, 75}, told
    code, _, err = toy.run()
    assert code == 0, err
    assert toy.results() == undisturbed.results()
    assert toy.orphans() == []
    shown = toy.probe4d("status", "run")
    assert "18 of 18 units done" in shown.stdout
