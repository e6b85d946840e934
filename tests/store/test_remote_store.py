"""Sets at URLs that fsspec opens: the same doors, the same bytes."""

from __future__ import annotations

import sys
import uuid

import fsspec
import numpy as np
import pytest
import zarr

from probe4d.contracts import LeftOut
from probe4d.errors import MissingExtraError
from probe4d.store import FeatureStore, NotExtractedError, StoreConflictError, StoreDamageError, StoreWriteError
from probe4d.store.errors import StoreReadError
from probe4d.store.files import LocalFiles, RemoteFiles, open_files
from probe4d.store.pruning import remove
from probe4d.store.sets import find_sets, stored_sets
from probe4d.store.verifying import repair, verify


@pytest.fixture
def root() -> str:
    """Return a place in memory of its own."""
    return f"memory://{uuid.uuid4().hex}"


def path_of(store: FeatureStore, key: str) -> str:
    """Return where fsspec's memory keeps a file."""
    return f"/{store.url.removeprefix('memory://')}/{key}"


def test_a_set_in_memory_holds_the_bytes_of_a_local_one(toy, root, tmp_path):
    remote, local = toy.create(root), toy.create(tmp_path)
    left_out = [LeftOut("clip 3é", "broken")]
    expected = toy.fill(remote, left_out)
    toy.fill(local, left_out)
    assert remote.missing() == ()
    for key in local.files.sizes("features.zarr"):
        assert remote.files.read(key) == local.files.read(key)
    rows = [19, 0, 6, 7, 7, 12]
    for layer in (0.5, 12):
        assert np.array_equal(remote.read(rows, layer), expected[f"layers/{layer}/features"][rows])
    for field in remote.fields:
        assert np.array_equal(remote.read_target(rows, field), expected[f"targets/{field}"][rows])
    assert remote.left_out() == tuple(left_out)
    taken = [[batch.rows.tolist() for batch in store.loader(3, seed=2, steps=5)] for store in (remote, local)]
    assert taken[0] == taken[1]


def test_zarr_opens_a_set_at_its_url(toy, root):
    store = toy.create(root)
    expected = toy.fill(store)
    group = zarr.open_group(zarr.storage.FsspecStore.from_url(f"{store.url}/features.zarr"), mode="r")
    assert np.array_equal(group["layers/12/features"][:], expected["layers/12/features"])


def test_writing_again_and_conflicts_are_told_as_locally(toy, root):
    store = toy.create(root)
    toy.fill(store)
    again = toy.create(root)
    assert again.missing() == ()
    again.write_shard(0, toy.arrays(store, 0), store.shard_ids(0))
    with pytest.raises(StoreConflictError, match="shard 0: expected the bytes that are there"):
        again.write_shard(0, toy.arrays(store, 0, seed=1), store.shard_ids(0))


def test_damage_is_found_verified_and_repaired(toy, root):
    store = toy.create(root)
    toy.fill(store)
    fs = fsspec.filesystem("memory")
    path = path_of(store, store.shard_keys(1)["layers/12/features"])
    content = bytearray(fs.cat_file(path))
    content[5000] ^= 1
    fs.pipe_file(path, bytes(content))
    opened = FeatureStore.open(store.url)
    assert opened.read([8], 12).all(), "the clip before it is whole"
    with pytest.raises(StoreDamageError, match="expected an inner chunk with its checksum, got other bytes"):
        opened.read([9], 12)
    damages = list(verify(opened))
    assert [(item.what, item.shard) for item in damages] == [("wrong bytes", 1)]
    assert "samples hit: clip 4é" in damages[0].detail
    assert repair(opened, damages) == [1]
    assert opened.missing() == (1,)
    fs.rm_file(path_of(store, store.shard_keys(2)["layers/12/features"]))
    with pytest.raises(StoreDamageError, match="expected the file that its receipt names"):
        FeatureStore.open(store.url).read([18], 12)


def test_a_store_that_keeps_other_bytes_than_it_was_given_leaves_no_receipt(toy, root, monkeypatch):
    store = toy.create(root)
    write = store.files.write

    def lossy(key, pieces):
        content = b"".join(pieces)
        write(key, [content[:-1] if "/layers/" in key else content])

    monkeypatch.setattr(store.files, "write", lossy)
    with pytest.raises(
        StoreConflictError, match=r"shard 0: read back other bytes than those written for layers/0.5/feat"
    ):
        store.write_shard(0, toy.arrays(store, 0), store.shard_ids(0))
    assert store.missing() == (0, 1, 2)


def test_sets_at_a_url_are_listed_and_removed(toy, root):
    assert list(stored_sets(root)) == []
    store = toy.create(root)
    store.write_shard(0, toy.arrays(store, 0), store.shard_ids(0))
    (found,) = find_sets([store.digest[:10]], root)
    assert (found.shards_done, found.shards, found.complete) == (1, 3, False)
    assert found.bytes == sum(store.files.sizes().values())
    assert remove(found) == found.bytes
    assert list(stored_sets(root)) == []
    with pytest.raises(NotExtractedError):
        FeatureStore.open(store.url)


def test_errors_of_a_store_name_the_file(toy, root, monkeypatch):
    store = toy.create(root)

    def refuse(*args, **kwargs):
        raise PermissionError("read only bucket")

    monkeypatch.setattr(store.files._fs, "pipe_file", refuse)
    with pytest.raises(
        StoreWriteError, match=r"layers/0.5/features/c/0/0/0/0: expected to write it, got read only bucket"
    ):
        store.write_shard(0, toy.arrays(store, 0), store.shard_ids(0))


@pytest.mark.parametrize("error", [type("NoCredentialsError", (Exception,), {}), PermissionError, TimeoutError])
def test_a_store_that_cannot_be_reached_is_named_and_not_taken_for_an_empty_one(root, monkeypatch, error):
    files = RemoteFiles(root)

    def refuse(*args, **kwargs):
        raise error("Unable to locate credentials\nmore")

    for name in ("cat_file", "cat_ranges", "info", "find", "ls", "pipe_file", "rm_file", "rm"):
        monkeypatch.setattr(files._fs, name, refuse)
    reads = [lambda: files.read("a"), lambda: files.read_parts([("a", 0, 1)]), lambda: files.size("a")]
    reads += [files.sizes, files.folders]
    writes = [lambda: files.write("a", [b"x"]), lambda: files.delete(["a"]), files.remove_all]
    for asked, kind, deed in [
        *((one, StoreReadError, "read") for one in reads),
        *((one, StoreWriteError, "(write|delete)") for one in writes),
    ]:
        with pytest.raises(
            kind, match=rf"^{root}(/a)?: expected to {deed} it, got Unable to locate credentials\. Check"
        ):
            asked()


def test_paths_and_file_urls_are_local_and_need_no_fsspec(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for url in (tmp_path, str(tmp_path), f"file://{tmp_path}"):
        files = open_files(url, "a b")
        assert isinstance(files, LocalFiles)
        assert files.root == tmp_path / "a b"
    with pytest.raises(MissingExtraError, match=r"pip install 'probe4d\[zarr\]'"):
        open_files("s3://bucket/features")


def test_a_file_system_that_is_not_installed_is_named():
    with pytest.raises(MissingExtraError, match=r"gcs://bucket/features: .*[Ii]nstall"):
        RemoteFiles("gcs://bucket/features")
