"""Random batches: the same from any step on, and never overwritten while someone holds them."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe4d.contracts import LeftOut
from probe4d.errors import UsageError
from probe4d.store import FeatureStore, StoreDamageError
from probe4d.store.batches import BufferPool, Loader


@pytest.fixture
def store(toy, tmp_path) -> FeatureStore:
    """Return a whole set without its sample 3."""
    made: FeatureStore = toy.create(tmp_path)
    toy.fill(made, [LeftOut("clip 3é", "broken")])
    return made


def test_a_batch_holds_the_rows_that_it_names(store):
    for step, batch in enumerate(store.loader(5, seed=1, steps=6)):
        assert batch.step == step
        assert np.array_equal(batch.features["12"], store.read(batch.rows, 12))
        assert np.array_equal(batch.targets["tracks"], store.read_target(batch.rows, "tracks"))
        assert not {6, 7} & set(batch.rows.tolist()), "the sample left out is not drawn"


def test_the_same_seed_gives_the_same_batches_and_another_seed_others(store):
    def rows(seed: int) -> list[list[int]]:
        return [batch.rows.tolist() for batch in store.loader(4, seed=seed, steps=8, layers=[], fields=["label"])]

    assert rows(3) == rows(3)
    assert rows(3) != rows(4)


def test_a_restart_goes_on_exactly(store):
    whole = [batch.rows.tolist() for batch in store.loader(4, seed=5, steps=9)]
    loader = store.loader(4, seed=5, steps=9)
    first = [batch.rows.tolist() for batch in itertools.islice(loader, 4)]
    assert loader.state == {"seed": 5, "step": 4}
    rest = [batch.rows.tolist() for batch in store.loader(4, steps=9, **loader.state)]
    assert first + rest == whole
    assert [batch.rows.tolist() for batch in loader] == whole[4:], "the same loader goes on, too"


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 30), batch=st.integers(1, 40), seed=st.integers(0, 5), start=st.integers(0, 20))
def test_each_epoch_draws_every_row_once(size, batch, seed, start):
    pool = np.arange(100, 100 + size)
    loader = Loader(None, pool, batch, seed, (), ())
    drawn = np.concatenate([loader.rows(step) for step in range(-(-3 * size // batch))])
    for epoch in range(3):
        assert sorted(drawn[epoch * size : (epoch + 1) * size]) == pool.tolist()
    again = Loader(None, pool, batch, seed, (), ())
    assert np.array_equal(again.rows(start), loader.rows(start))


def test_the_order_is_the_same_in_every_version():
    loader = Loader(None, np.arange(10), 6, 0, (), ())
    assert [loader.rows(0).tolist(), loader.rows(1).tolist()] == [[0, 2, 9, 1, 8, 5], [4, 3, 6, 7, 5, 3]]


def test_what_cannot_be_drawn_from_is_refused(store):
    with pytest.raises(UsageError, match="expected at least one row to draw from"):
        store.loader(4, seed=0, rows=[])
    for wrong in (
        {"batch_size": 0, "seed": 0},
        {"batch_size": 1, "seed": -1},
        {"batch_size": 1, "seed": 0, "step": -1},
    ):
        with pytest.raises(UsageError, match="loader: expected batch_size ≥ 1"):
            store.loader(**wrong)


def test_given_batches_are_read_in_their_order(store):
    groups = [[0, 1], [19], [4, 4, 2]]
    found = [(batch.step, batch.rows.tolist()) for batch in store.batches(groups)]
    assert found == [(0, [0, 1]), (1, [19]), (2, [4, 4, 2])]


def test_a_batch_that_is_held_is_never_overwritten(store):
    held = list(store.loader(4, seed=0, steps=12))
    for batch in held:
        assert np.array_equal(batch.features["12"], store.read(batch.rows, 12))


def test_a_view_of_a_batch_or_a_jax_array_of_it_keeps_it(store):
    import jax.numpy as jnp

    rows, views, copies = [], [], []
    for batch in store.loader(4, seed=0, steps=12, fields=[]):
        rows.append(batch.rows)
        views.append(batch.features["12"][1:3, 0])
        copies.append(jnp.asarray(batch.features["0.5"]))
    for taken, view, copy in zip(rows, views, copies, strict=True):
        assert np.array_equal(view, store.read(taken, 12)[1:3, 0])
        assert np.array_equal(np.asarray(copy), store.read(taken, 0.5))


def test_memory_that_nobody_holds_is_used_again():
    pool = BufferPool()
    dtype = np.dtype(np.float16)
    first = pool.empty((3, 5), dtype)
    address = first.ctypes.data
    assert address % 64 == 0
    second = pool.empty((3, 5), dtype)
    assert second.ctypes.data != address
    view = first[1:]
    del first
    third = pool.empty((3, 5), dtype)
    assert third.ctypes.data != address, "a view still holds it"
    del view
    assert pool.empty((3, 5), dtype).ctypes.data == address


def test_a_long_run_takes_few_buffers(store):
    seen = set()
    for batch in store.loader(4, seed=0, steps=60, layers=[12], fields=[]):
        seen.add(batch.features["12"].ctypes.data)
    assert len(seen) <= 4


def test_damage_is_raised_where_its_batch_is_due(store):
    store.files.path(store.shard_keys(1)["layers/12/features"]).unlink()
    batches = store.batches([[0], [1], [8], [2]])
    assert next(batches).rows.tolist() == [0]
    assert next(batches).rows.tolist() == [1]
    with pytest.raises(StoreDamageError, match="expected the file"):
        next(batches)


def test_leaving_the_loop_ends_the_thread(store):
    def readers() -> int:
        return sum(thread.name == "probe4d-read-ahead" for thread in threading.enumerate())

    for batch in store.loader(2, seed=0):
        assert readers() == 1
        if batch.step == 3:
            break
    assert readers() == 0
