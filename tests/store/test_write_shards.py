"""Writing shards: whole, once, and never over what others wrote."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from probe4d.contracts import LeftOut
from probe4d.errors import DataError, Probe4dError, UsageError
from probe4d.store import FeatureStore, NotExtractedError, StoreConflictError, StoreDamageError
from probe4d.store.receipts import parse_receipt


@pytest.fixture
def store(toy, tmp_path) -> FeatureStore:
    """Return an empty set of three shards: 4, 4 and 2 samples of 2 views."""
    return toy.create(tmp_path)


def snapshot(store: FeatureStore) -> dict[str, tuple[int, int]]:
    """Return identity and time of each file but the stamp of use."""
    found = {key: store.files.path(key).stat() for key in store.files.sizes() if key != "used.json"}
    return {key: (facts.st_ino, facts.st_mtime_ns) for key, facts in found.items()}


def test_a_shard_is_done_when_its_receipt_is_there(store, toy):
    assert store.missing() == (0, 1, 2)
    receipt = store.write_shard(1, toy.arrays(store, 1), store.shard_ids(1), seconds=1.5, versions={"jax": "0.10"})
    assert store.missing() == (0, 2)
    assert store.is_done(1)
    assert not store.is_done(0)
    again = FeatureStore.open(store.url).receipt(1)
    assert again == receipt
    assert again.ids == ("clip 4é", "clip 5é", "clip 6é", "clip 7é")
    assert (again.seconds, again.versions) == (1.5, {"jax": "0.10"})
    assert set(again.files) == set(store.description.arrays)


def test_chunks_without_a_receipt_are_not_done(store, toy):
    toy.fill(store)
    store.files.delete(["receipts/00000002.json"])
    reopened = FeatureStore.open(store.url)
    assert reopened.missing() == (2,)
    with pytest.raises(NotExtractedError, match="expected shard 2 of 3 to be done, got no receipt"):
        reopened.read([store.num_rows - 1], 0.5)
    assert np.isfinite(reopened.read([0], 0.5)).all()


def test_writing_the_same_shard_again_changes_no_file(store, toy):
    toy.fill(store)
    before = snapshot(store)
    other = FeatureStore.open(store.url)
    receipt = other.write_shard(0, toy.arrays(store, 0), store.shard_ids(0), seconds=99.0)
    assert snapshot(store) == before
    assert receipt == store.receipt(0)


def test_other_bytes_for_a_done_shard_are_an_error_that_names_it(store, toy):
    toy.fill(store)
    before = snapshot(store)
    values = toy.arrays(store, 1)
    values["layers/12/features"] = values["layers/12/features"] * 2
    with pytest.raises(StoreConflictError, match=r"shard 1: expected the bytes that are there.*layers/12/features\. "):
        store.write_shard(1, values, store.shard_ids(1))
    with pytest.raises(StoreConflictError, match="It left out nothing, this one clip 4é"):
        store.write_shard(1, toy.arrays(store, 1), store.shard_ids(1), [LeftOut("clip 4é", "broken")])
    assert snapshot(store) == before


@pytest.mark.parametrize("harm", ["flip", "shorten", "delete", "receipt"])
def test_a_damaged_shard_is_mended_by_writing_it_again(harm, store, toy):
    expected = toy.fill(store)
    file = store.files.path(
        "receipts/00000000.json" if harm == "receipt" else store.shard_keys(0)["layers/12/features"]
    )
    content = file.read_bytes()
    if harm == "delete":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if harm == "shorten" else bytes([content[0] ^ 1]) + content[1:])
    reopened = FeatureStore.open(store.url)
    assert reopened.missing() == (() if harm == "flip" else (0,))
    reopened.write_shard(0, toy.arrays(store, 0), store.shard_ids(0))
    assert file.read_bytes() == content
    assert np.array_equal(reopened.read(np.arange(store.num_rows), 12), expected["layers/12/features"])


def test_samples_left_out_are_zeros_named_and_counted(store, toy):
    left_out = [LeftOut("clip 2é", "no such frame"), LeftOut("clip 9é", "broken file")]
    values = toy.arrays(store, 0)
    values["layers/0.5/features"][4:6] = np.nan  # what a caller has in the place of a broken clip is its own affair
    store.write_shard(0, values, store.shard_ids(0), left_out[:1])
    toy.fill(store, left_out)
    assert store.left_out() == tuple(left_out)
    assert list(np.flatnonzero(~store.valid())) == [4, 5, 18, 19]
    assert not store.read([4, 5, 18], 0.5).any()
    assert not store.read([4, 5], 12).any()
    assert not store.read_target([5, 19], "tracks").any()
    assert store.read([3], 0.5).all()
    assert not store.reader.read("valid", [4])[0]
    kept = store.files.size(store.shard_keys(0)["layers/12/features"])
    assert kept == 6 * (4096 + 64) + 8 * 16 + 4


def test_a_shard_of_which_nothing_is_left_is_done_all_the_same(store, toy):
    ids = store.shard_ids(2)
    store.write_shard(2, toy.arrays(store, 2), ids, [LeftOut(name, "broken") for name in ids])
    assert store.missing() == (0, 1)
    assert not store.read([16, 17], 12).any()


def test_what_does_not_belong_to_the_shard_is_refused_before_anything_is_written(store, toy):
    ids = store.shard_ids(0)
    good = toy.arrays(store, 0)
    before = snapshot(store)
    swapped = [*ids[1::-1], *ids[2:]]
    feature, label = "layers/0.5/features", "targets/label"
    cases: list[tuple[str, dict, Sequence[str], Sequence[LeftOut]]] = [
        ("expected its 4 samples in order, got 'clip 1é' where 'clip 0é' belongs", good, swapped, ()),
        ("expected its 4 samples in order, got 3 ids", good, ids[:3], ()),
        ("samples of this shard to be left out, got 'x'", good, ids, [LeftOut("x", "")]),
        ("each sample left out once", good, ids, [LeftOut(ids[0], "a"), LeftOut(ids[0], "b")]),
        ("expected the arrays layers/0.5", {**good, "valid": np.ones(8, bool)}, ids, ()),
        (r"got layers/0\.5/features\.$", {feature: good[feature]}, ids, ()),
        (r"label: expected shape \(8,\), got \(7,\)", {**good, label: np.zeros(7, int)}, ids, ()),
        ("label: expected int64, got int32", {**good, label: np.zeros(8, "i4")}, ids, ()),
        ("expected floats, got bool", {**good, feature: np.ones((8, 2, 3, 4), bool)}, ids, ()),
        ("expected floats, got <U1", {**good, feature: np.full((8, 2, 3, 4), "x")}, ids, ()),
    ]
    for message, values, names, left_out in cases:
        with pytest.raises(UsageError, match=message):
            store.write_shard(0, values, names, left_out)
    for shard in (-1, 3):
        with pytest.raises(UsageError, match=f"expected a shard from 0 to 2, got {shard}"):
            store.write_shard(shard, good, ids)
    assert snapshot(store) == before


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_feature_that_is_no_number_names_its_sample(bad, store, toy):
    values = toy.arrays(store, 1)
    values["layers/0.5/features"][5, 0, 0, 0] = bad
    with pytest.raises(DataError, match=r"shard 1: layers/0\.5/features: .* NaN or infinity for 'clip 6é'"):
        store.write_shard(1, values, store.shard_ids(1))


def test_two_writers_of_the_same_bytes_do_no_harm(store, toy):
    expected = toy.arrays(store, 0)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(10):
                FeatureStore.open(store.url).write_shard(0, expected, store.shard_ids(0))
        except Probe4dError as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert np.array_equal(store.read([0, 7], 12), expected["layers/12/features"][[0, 7]].astype(np.float16))


def test_two_writers_of_other_bytes_leave_a_shard_that_is_whole_or_not_done(store, toy):
    for _ in range(5):
        start = threading.Barrier(2)
        errors: list[BaseException] = []

        def write(seed: int, start=start, errors=errors) -> None:
            mine = FeatureStore.open(store.url)
            values = toy.arrays(store, 0, seed)
            start.wait()
            try:
                mine.write_shard(0, values, store.shard_ids(0))
            except StoreConflictError as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(seed,)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors
        after = FeatureStore.open(store.url)
        if after.is_done(0):
            found = after.read(np.arange(8), 12)
            fits = [toy.arrays(store, 0, seed)["layers/12/features"].astype(np.float16) for seed in (1, 2)]
            assert any(np.array_equal(found, values) for values in fits)
        after.forget(0)


def test_a_late_writer_of_other_bytes_takes_the_receipt_that_no_longer_fits_away(store, toy, monkeypatch):
    late = FeatureStore.open(store.url)
    write = late.files.write

    def interrupted(key, pieces):
        if key == late.shard_keys(0)["layers/12/features"]:  # another worker was given the shard meanwhile
            store.write_shard(0, toy.arrays(store, 0), store.shard_ids(0))
        write(key, pieces)

    monkeypatch.setattr(late.files, "write", interrupted)
    with pytest.raises(StoreConflictError, match="shard 0"):
        late.write_shard(0, toy.arrays(store, 0, seed=5), store.shard_ids(0))
    after = FeatureStore.open(store.url)
    if after.is_done(0):
        values = toy.arrays(store, 0, seed=5)["layers/12/features"].astype(np.float16)
        assert np.array_equal(after.read(np.arange(8), 12), values)
    after.forget(0)
    assert after.missing() == (0, 1, 2)


def test_a_receipt_of_another_set_or_shard_is_not_taken(store, toy):
    toy.fill(store)
    store.files.path("receipts/00000000.json").replace(store.files.path("receipts/00000001.json"))
    reopened = FeatureStore.open(store.url)
    assert reopened.missing() == (0, 1)
    with pytest.raises(StoreDamageError, match=r"00000001\.json: expected the receipt of shard 1 of this set"):
        reopened.receipt(1)


def test_a_receipt_that_was_changed_is_damaged(store, toy):
    receipt = store.write_shard(0, toy.arrays(store, 0), store.shard_ids(0))
    content = receipt.to_bytes()
    assert parse_receipt(content, "here") == receipt
    for wrong in (content.replace(b"clip 1", b"clip 7"), content[:50], b"[]", b"{}", b"\xff"):
        with pytest.raises(StoreDamageError, match="here: expected a receipt"):
            parse_receipt(wrong, "here")


def test_creating_a_set_again_opens_it(store, toy, tmp_path):
    toy.fill(store)
    before = snapshot(store)
    again = toy.create(tmp_path)
    assert again.url == store.url
    assert again.missing() == ()
    assert snapshot(store) == before


def test_a_set_whose_making_was_interrupted_is_made_again(toy, tmp_path):
    store = toy.create(tmp_path)
    store.files.delete(["set.json", "features.zarr/ids/c/0/0"])
    again = toy.create(tmp_path)
    assert again.ids == store.ids
    toy.fill(again)


def test_the_size_of_a_set_is_known_before_it_is_written(store, toy):
    toy.fill(store)
    data = {
        key: size for key, size in store.files.sizes("features.zarr").items() if "/c/" in key and "/ids/" not in key
    }
    assert sum(data.values()) == store.description.nbytes


@pytest.mark.parametrize("ids", [[], ["a", "a"], [""], ["a\0"], [1]])
def test_ids_that_tell_nothing_apart_are_refused(ids, toy, tmp_path):
    with pytest.raises(UsageError, match="expected"):
        FeatureStore.create(tmp_path / "set", toy.address(ids), ids=ids, layers=toy.LAYERS)


def test_many_ids_are_kept_in_several_files(toy, tmp_path):
    ids = [f"s{number}" for number in range(65_537)]
    store = FeatureStore.create(tmp_path / "set", toy.address(ids), ids=ids, layers=toy.LAYERS)
    assert len([key for key in store.files.sizes() if "/ids/c/" in key]) == 2
    assert store.shard_ids(store.num_shards - 1) == ("s65536",)
    assert store.ids == tuple(ids)
