"""Reading rows: any order, only what is asked for, and nothing that is damaged."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d.store import FeatureStore, StoreDamageError, reading
from probe4d.store.checksums import crc32c


@pytest.fixture
def filled(toy, tmp_path) -> tuple[FeatureStore, dict[str, np.ndarray]]:
    """Return a whole set and what is in it."""
    store = toy.create(tmp_path)
    return store, toy.fill(store)


@pytest.mark.parametrize("rows", [[0], [19, 0, 7, 7, 8], range(20), np.array([3, 3], np.uint8), []])
def test_rows_come_in_the_order_asked_for_repeats_included(rows, filled):
    store, expected = filled
    wanted = np.asarray(rows, int)
    for layer in (0.5, 12):
        assert np.array_equal(store.read(rows, layer), expected[f"layers/{layer}/features"][wanted])
    for field in store.fields:
        found = store.read_target(rows, field)
        assert found.dtype == expected[f"targets/{field}"].dtype
        assert np.array_equal(found, expected[f"targets/{field}"][wanted])


def test_a_layer_is_named_by_depth_number_or_name(filled):
    store, _ = filled
    assert store.layers == ("0.5", "12")
    assert np.array_equal(store.read([1], "0.5"), store.read([1], 0.5))


def test_rows_are_read_into_an_array_that_is_there(filled):
    store, expected = filled
    out = np.full((2, 2, 3, 4), 7, np.float16)
    assert store.read([5, 4], 0.5, out) is out
    assert np.array_equal(out, expected["layers/0.5/features"][[5, 4]])
    labels = np.empty(2, np.int64)
    store.read_target([5, 4], "label", labels)
    assert np.array_equal(labels, expected["targets/label"][[5, 4]])
    for wrong in (np.empty((3, 2, 3, 4), np.float16), np.empty((2, 2, 3, 4), np.float32), out[:, ::-1]):
        with pytest.raises(UsageError, match=r"out: expected a C-contiguous float16 \(2, 2, 3, 4\)"):
            store.read([5, 4], 0.5, wrong)


@pytest.mark.parametrize("rows", [[20], [-1], [0.5], [[1]]])
def test_rows_that_are_not_there_are_refused(rows, filled):
    with pytest.raises(UsageError, match="expected rows"):
        filled[0].read(rows, 0.5)


def test_layers_and_fields_that_are_not_there_are_named(filled):
    with pytest.raises(UsageError, match=r"expected one of layers/0\.5/features, .*got 'layers/0\.9/features'"):
        filled[0].read([0], 0.9)
    with pytest.raises(UsageError, match=r"expected a layer of 0.5, 12, got '0.9'"):
        filled[0].batches([[0]], layers=[0.9])
    with pytest.raises(UsageError, match="expected a target of label, tracks, visible, got 'mask'"):
        filled[0].batches([[0]], fields=["mask"])


def test_reading_one_layer_touches_no_other_array(filled):
    store, expected = filled
    for path, key in store.shard_keys(0).items():
        if path != "layers/12/features":
            store.files.path(key).unlink()
    assert np.array_equal(store.read([0, 1], 12), expected["layers/12/features"][:2])
    (batch,) = store.batches([[2, 1]], layers=[12], fields=[])
    assert (list(batch.features), list(batch.targets)) == (["12"], [])
    with pytest.raises(StoreDamageError, match="expected the file that its receipt names, got none"):
        store.read([0], 0.5)


@pytest.mark.parametrize("harm", ["first", "last", "shorten", "lengthen"])
def test_damage_is_found_at_the_first_read(harm, filled):
    store, _ = filled
    file = store.files.path(store.shard_keys(1)["layers/12/features"])
    content = bytearray(file.read_bytes())
    if harm in ("first", "last"):
        content[0 if harm == "first" else -1] ^= 0x10
    file.write_bytes(content[:-7] if harm == "shorten" else content + b"x" if harm == "lengthen" else content)
    store.read([0], 12)  # another shard
    with pytest.raises(StoreDamageError, match=r"layers/12/features/c/1/.*expected .*cache verify --repair"):
        FeatureStore.open(store.url).read([15], 12)


def test_a_shard_is_verified_once_in_a_process(filled, monkeypatch):
    store, _ = filled
    verified = []
    monkeypatch.setattr(reading, "crc32c", lambda data: verified.append(len(data)) or crc32c(data))
    for opened in (store, FeatureStore.open(store.url)):
        for row in range(store.num_rows):
            opened.read([row], 12)
    assert len(verified) == store.num_shards


def test_without_the_crc_instruction_sha256_verifies(filled, monkeypatch):
    store, expected = filled
    monkeypatch.setattr(reading, "fast_crc32c", lambda: None)
    assert np.array_equal(store.read([8], 12), expected["layers/12/features"][[8]])
    file = store.files.path(store.shard_keys(0)["layers/12/features"])
    content = bytearray(file.read_bytes())
    content[9] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreDamageError, match=r"expected bytes of checksum [0-9a-f]{64}"):
        store.read([0], 12)


def test_more_shards_than_may_be_open_are_read(filled, monkeypatch):
    store, expected = filled
    monkeypatch.setattr(reading, "_open_files_limit", lambda: 4)
    rows = np.arange(20)[::-1].reshape(4, 5).T.ravel()
    for layer in (12, 0.5):
        assert np.array_equal(store.read(rows, layer), expected[f"layers/{layer}/features"][rows])
    assert len(store.reader._source._open) == 2


def test_several_threads_may_read(filled):
    store, expected = filled
    wrong = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            rows = rng.integers(0, 20, 6)
            if not np.array_equal(store.read(rows, 12), expected["layers/12/features"][rows]):
                wrong.append(rows)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_damaged_ids_are_not_believed(filled):
    store, _ = filled
    file = store.files.path("features.zarr/ids/c/0/0")
    content = file.read_bytes()
    for wrong in (content.replace(b"clip 1", b"clip 7"), content[:-3], b""):
        file.write_bytes(wrong)
        with pytest.raises(StoreDamageError, match="expected ids with their checksum"):
            _ = FeatureStore.open(store.url).ids
    file.unlink()
    with pytest.raises(StoreDamageError, match="expected 10 ids, got no file"):
        _ = FeatureStore.open(store.url).ids


def test_opening_stamps_the_time_of_use(filled):
    store, _ = filled
    stamp = store.files.path("used.json")
    stamp.unlink()
    FeatureStore.open(store.url, stamp=False)
    assert not stamp.exists()
    FeatureStore.open(store.url)
    assert stamp.exists()
