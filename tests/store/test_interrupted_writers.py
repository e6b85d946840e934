"""Writers that are killed, and places where nothing can be written."""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from probe4d.store import FeatureStore, StoreWriteError, set_url
from probe4d.store.verifying import verify

KILLS = 6


def test_a_killed_writer_leaves_each_shard_done_and_right_or_not_done(toy, tmp_path):
    moments = random.Random(0)
    program = Path(__file__).with_name("toy_sets.py")
    unfinished = 0
    for _ in range(KILLS):
        writer = subprocess.Popen([sys.executable, program, tmp_path], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(moments.uniform(0, 0.3))
        writer.kill()
        writer.wait()
        writer.stdout.close()
        ids = toy.names(64)
        store = FeatureStore.open(set_url(toy.address(ids), tmp_path))
        missing = store.missing()
        unfinished += bool(missing)
        for shard in set(range(store.num_shards)) - set(missing):
            rows = np.arange(shard * 16, (shard + 1) * 16)
            expected = toy.arrays(store, shard)
            assert np.array_equal(store.read(rows, 12), expected["layers/12/features"].astype(np.float16))
            assert np.array_equal(store.read_target(rows, "label"), expected["targets/label"])
        # Nothing but the shard that was in the making is touched.
        harmed = [item for item in verify(store) if not item.file.startswith("tmp/")]
        assert {item.shard for item in harmed} <= set(missing)
        assert {item.what for item in harmed} <= {"missing receipt"}
    assert unfinished, "no kill hit a writer at work"
    finished = toy.create(tmp_path, samples=64, per_shard=8)  # sweeps what the dead left behind
    for shard in finished.missing():
        finished.write_shard(shard, toy.arrays(finished, shard), finished.shard_ids(shard))
    assert list(verify(finished)) == []


def test_files_of_writers_that_live_are_not_swept(toy, tmp_path):
    store = toy.create(tmp_path)
    mine = store.files.path(f"tmp/{os.uname().nodename}.{os.getpid()}.abc")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = store.files.path(f"tmp/{os.uname().nodename}.{dead.pid}.abc")
    elsewhere = store.files.path(f"tmp/another.machine.{dead.pid}.abc")
    for file in (mine, left, elsewhere):
        file.write_bytes(b"half")
    toy.create(tmp_path)
    assert (mine.exists(), left.exists(), elsewhere.exists()) == (True, False, True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder outside pytest's, which other users may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def powerless() -> Iterator[None]:
    """Be a user that permissions hold for, where this one is root."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        yield


def test_a_read_only_set_is_read_and_not_written(toy, open_folder, request):
    store = toy.create(open_folder)
    store.write_shard(0, toy.arrays(store, 0), store.shard_ids(0))
    values = toy.arrays(store, 1)
    folders = [folder for folder, _, _ in os.walk(store.url)]
    for folder in folders:
        os.chmod(folder, 0o555)
    request.getfixturevalue("powerless")
    reopened = FeatureStore.open(store.url)
    with pytest.raises(StoreWriteError, match=r"expected to write it, got Permission denied\. Choose a place that can"):
        reopened.write_shard(1, values, store.shard_ids(1))
    with pytest.raises(StoreWriteError, match="expected to delete it, got Permission denied"):
        reopened.forget(0)
    assert reopened.missing() == (1, 2)
    assert np.isfinite(reopened.read([0], 0.5)).all()
    if os.geteuid() != 0 and os.getuid() != 0:
        for folder in folders:
            os.chmod(folder, 0o755)


def test_a_root_that_cannot_be_written_is_named_when_a_set_is_made(toy, open_folder, request):
    open_folder.chmod(0o555)
    request.getfixturevalue("powerless")
    with pytest.raises(StoreWriteError, match=f"{open_folder}.*Permission denied"):
        toy.create(open_folder)


def test_a_disk_that_is_full_leaves_no_receipt_and_no_rest(toy, tmp_path):
    """A limit of file sizes stands in for the full disk: the write fails in its middle."""
    store = toy.create(tmp_path)
    values = toy.arrays(store, 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StoreWriteError, match=r"features\.zarr/layers/12/.*File too large. Raise the limit"):
            store.write_shard(0, values, store.shard_ids(0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.missing() == (0, 1, 2)
    assert not [key for key in store.files.sizes() if key.startswith(("tmp/", "receipts/"))]
    store.write_shard(0, values, store.shard_ids(0))
    assert store.missing() == (1, 2)
    assert [item.what for item in verify(store)] == []
