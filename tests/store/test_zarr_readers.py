"""What we write is standard zarr v3: zarr-python and TensorStore read it, value for value."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from probe4d.contracts import LeftOut
from probe4d.store import FeatureStore
from probe4d.store.layout import ArrayLayout
from probe4d.store.shards import chunk_starts, encode


def by_zarr(store: FeatureStore, path: str) -> np.ndarray:
    """Return an array as zarr-python reads it."""
    return zarr.open_group(f"{store.url}/features.zarr", mode="r")[path][...]


def by_tensorstore(store: FeatureStore, path: str) -> np.ndarray:
    """Return an array as TensorStore reads it."""
    where = {"driver": "file", "path": f"{store.url}/features.zarr/{path}/"}
    return tensorstore.open({"driver": "zarr3", "kvstore": where}).result().read().result()


@pytest.mark.parametrize("reader", [by_zarr, by_tensorstore])
def test_every_array_of_a_set_is_read_by(reader, toy, tmp_path):
    store = toy.create(tmp_path)
    expected = toy.fill(store, [LeftOut("clip 5é", "broken")])
    for path, values in {**expected, "valid": store.valid()}.items():
        found = reader(store, path)
        assert found.dtype == values.dtype
        assert np.array_equal(found, values)
    ids = [row.tobytes().rstrip(b"\0").decode() for row in reader(store, "ids")]
    assert ids == list(store.ids)


def test_the_group_lists_its_arrays_without_a_warning_and_says_what_made_it(toy, tmp_path):
    store = toy.create(tmp_path)
    toy.fill(store)
    group = zarr.open_group(f"{store.url}/features.zarr", mode="r")
    found = {name for name, member in group.members(max_depth=None) if isinstance(member, zarr.Array)}
    assert found == {*store.description.arrays, "ids"}
    assert group.attrs["probe4d"]["digest"] == store.digest
    assert group["layers/0.5/features"].metadata.dimension_names == ("row", "t", "k", "c")


def test_bfloat16_is_read_by_tensorstore_and_with_our_type_by_zarr(toy, tmp_path):
    from probe4d.store import zarr_bfloat16

    store = toy.create(tmp_path, dtype="bfloat16")
    toy.fill(store)
    given_values = np.concatenate([toy.arrays(store, n)["layers/0.5/features"] for n in range(store.num_shards)])
    expected = given_values.astype(ml_dtypes.bfloat16)
    zarr_bfloat16.register()
    for found in (
        by_tensorstore(store, "layers/0.5/features"),
        by_zarr(store, "layers/0.5/features"),
        store.read(np.arange(store.num_rows), 0.5),
    ):
        assert found.dtype == ml_dtypes.bfloat16
        assert np.array_equal(found, expected)


def test_zarr_writes_arrays_of_our_bfloat16_itself(tmp_path):
    from probe4d.store import zarr_bfloat16

    zarr_bfloat16.register()
    values = np.array([1.5, -2.0, np.inf, np.nan], ml_dtypes.bfloat16)
    array = zarr.create_array(tmp_path / "a", shape=4, dtype=values.dtype, fill_value=float("-inf"))
    array[:3] = values[:3]
    read = zarr.open_array(tmp_path / "a", mode="r")
    assert read.metadata.fill_value == -np.inf
    assert np.array_equal(read[:3], values[:3])
    with pytest.raises(TypeError, match="bfloat16: expected a number"):
        zarr_bfloat16.BFloat16().cast_scalar("x")


def test_a_flipped_bit_is_found_by_zarr_too(toy, tmp_path):
    store = toy.create(tmp_path)
    toy.fill(store)
    file = store.files.path(store.shard_keys(0)["layers/0.5/features"])
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="checksum"):
        by_zarr(store, "layers/0.5/features")


@settings(max_examples=15, deadline=None)
@given(
    samples=st.integers(1, 9),
    per_shard=st.integers(1, 5),
    views=st.integers(1, 3),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, 3, 700, 2048])),
    dtype=st.sampled_from(["float16", "float32", "bfloat16"]),
    target=st.sampled_from(["bool", "int8", "uint16", "int64", "float64"]),
    seed=st.integers(0, 99),
)
def test_every_shape_type_and_shard_size_comes_back(samples, per_shard, views, shape, dtype, target, seed, toy):
    rng = np.random.default_rng(seed)
    ids = toy.names(samples)
    address = toy.address(ids, layers=(1,), views=range(views), dtype=dtype)
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore.create(
            Path(folder) / "set",
            address,
            ids=ids,
            layers={1: shape},
            targets={"x": ((2,), target)},
            samples_per_shard=per_shard,
        )
        left_out = [LeftOut(name, "broken") for name in ids if rng.random() < 0.3]
        features = rng.standard_normal((samples * views, *shape)).astype(np.float32)
        targets = rng.integers(0, 2, (samples * views, 2)).astype(target)
        for shard in range(store.num_shards):
            rows = slice(shard * per_shard * views, (shard + 1) * per_shard * views)
            names = store.shard_ids(shard)
            values = {"layers/1/features": features[rows], "targets/x": targets[rows]}
            store.write_shard(shard, values, names, [item for item in left_out if item.id in names])
        features[~store.valid()] = 0
        targets[~store.valid()] = 0
        expected = features.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        rows = rng.integers(0, samples * views, 7)
        assert np.array_equal(store.read(rows, 1), expected[rows])
        assert np.array_equal(store.read_target(rows, "x"), targets[rows])
        assert np.array_equal(by_tensorstore(store, "layers/1/features"), expected)
        assert np.array_equal(by_tensorstore(store, "targets/x"), targets)
        assert store.missing() == ()


@given(present=st.lists(st.booleans(), min_size=1, max_size=6), wide=st.booleans())
def test_the_size_of_a_shard_is_known_before_it_is_written(present, wide):
    shape = (2048,) if wide else (3,)
    layout = ArrayLayout(path="a", dtype="float16", rows=len(present), row_shape=shape, shard_rows=6)
    values = np.ones((len(present), *shape), np.float16)
    pieces = encode(layout, values, np.array(present))
    size = sum(piece.size for piece in pieces)
    assert size <= layout.nbytes
    if all(present):
        assert size == layout.nbytes
    starts = chunk_starts(layout, np.concatenate(pieces)[-layout.index_nbytes :], size, "a")
    stored = [start >= 0 for start in starts]
    assert stored == ([*present, *[False] * (6 - len(present))] if wide else [any(present)])
