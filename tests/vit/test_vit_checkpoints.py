"""Checkpoint files are read without executing anything, as far as needed, and refused by name."""

from __future__ import annotations

import json
import pickle

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from probe4d.errors import DataError
from probe4d_vit.checkpoints import (
    NpzCheckpoint,
    SafetensorsCheckpoint,
    Source,
    flatten,
    load_params,
    open_checkpoint,
)
from probe4d_vit.config import VitConfig
from probe4d_vit.table import leaves, param_table, truncate

CONFIG = VitConfig(width=4, depth=3, heads=2, mlp=6, patch=(1, 2, 2), grid=(2, 2, 2))
TABLE = param_table(CONFIG)
SOURCES = {path: Source(path.replace("blocks/", "block{i}/")) for path, _ in leaves(TABLE)}
STACKED = {path: Source(path) for path, _ in leaves(TABLE)}


@pytest.fixture
def params(made_params):
    return made_params(CONFIG)


def by_block(params):
    out = {}
    for path, array in flatten(params).items():
        if path.startswith("blocks/"):
            out |= {path.replace("blocks/", f"block{i}/"): np.ascontiguousarray(one) for i, one in enumerate(array)}
        else:
            out[path] = array
    return out


def same(one, other):
    one, other = flatten(one), flatten(other)
    assert one.keys() == other.keys()
    for path, array in one.items():
        np.testing.assert_array_equal(array, other[path], err_msg=path)


class Watched(NpzCheckpoint):
    def __init__(self, path):
        super().__init__(path)
        self.seen = []

    def read(self, key, block=None):
        self.seen.append(key)
        return super().read(key, block)


def test_blocks_that_no_layer_needs_are_not_read(tmp_path, params, made_params):
    np.savez(tmp_path / "w.npz", **by_block(params))
    checkpoint = Watched(tmp_path / "w.npz")
    got = load_params(checkpoint, truncate(TABLE, 1, CONFIG), SOURCES, depths={"blocks": 3})
    same(got, made_params(CONFIG, blocks=1))
    assert not any(key.startswith(("block1/", "block2/", "norm/")) for key in checkpoint.seen)


@pytest.mark.parametrize("stacked", [False, True])
def test_safetensors_and_npz_hold_the_same_model(tmp_path, params, stacked):
    arrays = flatten(params) if stacked else by_block(params)
    np.savez_compressed(tmp_path / "w.npz", **arrays)
    save_file(arrays, tmp_path / "w.safetensors")
    for name in ("w.npz", "w.safetensors"):
        sources = STACKED if stacked else SOURCES
        same(load_params(open_checkpoint(tmp_path / name), TABLE, sources, depths={"blocks": 3}), params)


def test_a_sharded_bfloat16_checkpoint_is_read_through_its_index(tmp_path, params):
    arrays = {key: array.astype(ml_dtypes.bfloat16) for key, array in by_block(params).items()}
    keys = sorted(arrays)
    shards = {"a.safetensors": keys[::2], "b.safetensors": keys[1::2]}
    for shard, names in shards.items():
        save_file({key: arrays[key] for key in names}, tmp_path / shard)
    index = {"weight_map": {key: shard for shard, names in shards.items() for key in names}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    checkpoint = open_checkpoint(tmp_path / "model.safetensors.index.json")
    got = flatten(load_params(checkpoint, TABLE, SOURCES, depths={"blocks": 3}))
    for path, array in flatten(params).items():
        assert got[path].dtype == np.float32
        np.testing.assert_allclose(got[path], array, rtol=0.01, atol=1e-3)


def test_an_index_cannot_reach_outside_its_folder(tmp_path):
    (tmp_path / "i.json").write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    with pytest.raises(DataError, match=r"shards that lie beside the index, got '\.\./\.\./etc/passwd'"):
        open_checkpoint(tmp_path / "i.json")
    (tmp_path / "j.json").write_text("[]")
    with pytest.raises(DataError, match="expected an index with a weight_map"):
        open_checkpoint(tmp_path / "j.json")


def test_a_key_that_no_rule_knows_is_refused_and_an_ignored_one_is_not(tmp_path, params):
    np.savez(tmp_path / "w.npz", **by_block(params), **{"block0/extra": np.zeros(2), "decoder/w": np.zeros(2)})
    checkpoint = open_checkpoint(tmp_path / "w.npz")
    with pytest.raises(DataError, match="got 'block0/extra', 'decoder/w'"):
        load_params(checkpoint, TABLE, SOURCES, depths={"blocks": 3})
    with pytest.raises(DataError, match=r"got 'block0/extra'\. It is a checkpoint of another"):
        load_params(checkpoint, TABLE, SOURCES, depths={"blocks": 3}, ignore=["decoder/"])
    load_params(checkpoint, TABLE, SOURCES, depths={"blocks": 3}, ignore=["decoder/", r"block\d+/extra"])


def test_a_missing_key_and_a_wrong_shape_are_named(tmp_path, params):
    arrays = by_block(params)
    del arrays["block1/q/kernel"]
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(DataError, match=r"w\.npz: expected the key 'block1/q/kernel', got none"):
        load_params(open_checkpoint(tmp_path / "w.npz"), TABLE, SOURCES, depths={"blocks": 3})
    arrays["block1/q/kernel"] = np.zeros((4, 4), np.float32)
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(DataError, match=r"'block1/q/kernel': expected floats of shape \(4, 2, 2\), got float32 of"):
        load_params(open_checkpoint(tmp_path / "w.npz"), TABLE, SOURCES, depths={"blocks": 3})
    arrays["block1/q/kernel"] = np.zeros((4, 2, 2), np.int32)
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(DataError, match="expected floats of shape"):
        load_params(open_checkpoint(tmp_path / "w.npz"), TABLE, SOURCES, depths={"blocks": 3})


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was executed')",))


def test_a_pickle_in_a_checkpoint_is_refused_and_never_executed(tmp_path):
    np.savez(tmp_path / "w.npz", **{"embed/bias": np.array([Bomb()], dtype=object)})
    checkpoint = open_checkpoint(tmp_path / "w.npz")
    with pytest.raises(DataError, match="'embed/bias': expected an array without pickle"):
        checkpoint.read("embed/bias")
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"a": Bomb()}))
    with pytest.raises(DataError, match=r"expected an \.npz or a safetensors file"):
        open_checkpoint(tmp_path / "w.pkl")


@pytest.mark.parametrize("cut", [5, 200, -20])
def test_a_truncated_file_is_refused_as_such(tmp_path, params, cut):
    np.savez(tmp_path / "w.npz", **by_block(params))
    save_file(by_block(params), tmp_path / "w.safetensors")
    for name in ("w.npz", "w.safetensors"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:cut])
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            open_checkpoint(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="got nothing there"):
        open_checkpoint(tmp_path / "none.npz")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"expected an \.npz of arrays"):
        NpzCheckpoint(tmp_path / "a.npy")
    with pytest.raises(DataError, match="a readable safetensors file"):
        SafetensorsCheckpoint(tmp_path / "a.npy")
