"""Every golden at every input size: features, outputs of blocks, position tables and gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attrs import evolve

from baselines.conftest import CASES, GOLDENS, golden, loaded, video_of, worst
from probe4d_baselines.layouts import find_layout, sources
from probe4d_vit import model, positions
from probe4d_vit.checkpoints import flatten, load_params, open_checkpoint
from probe4d_vit.layers import layer_norm, patchify, project_patches
from probe4d_vit.resample import resample_table
from probe4d_vit.table import leaves, param_table


@pytest.mark.parametrize(("name", "file"), CASES)
def test_features_and_blocks_are_those_of_the_familys_own_code(name, file):
    backbone, io = loaded(name), np.load(file)
    features, *blocks = backbone.encode(video_of(io), (1.0, *backbone.block_names))
    assert features.shape == io["features_TKC"].shape
    assert worst(features, io["features_TKC"]) <= golden(name).tolerance
    prefix = backbone.config.prefix
    for index, block in enumerate(blocks):
        keys = {f"block_{index}", f"block{index:02d}", f"hidden_{index + 1}"} & set(io.files)
        for key in keys:
            assert worst(block, io[key][:, prefix:]) <= golden(name).tolerance, key
    if "spatial_features" in io.files:  # VideoPrism: what enters the temporal blocks, after its norm
        (space,) = backbone.encode(video_of(io), (backbone.config.depth,))
        assert worst(space, io["spatial_features"]) <= golden(name).tolerance


WITH_TABLES = [case for case in CASES if {"pos_embed_used", "pos_embedding_used"} & set(np.load(case.values[1]).files)]


@pytest.mark.parametrize(("name", "file"), WITH_TABLES)
def test_position_tables_are_resized_as_the_familys_own_code_does(name, file):
    backbone, io = loaded(name), np.load(file)
    backbone.encode(video_of(io), (1.0,))
    config = backbone._config_of(video_of(io).shape)
    params = backbone._on_grid(backbone._params, config.grid)
    want = io["pos_embed_used" if "pos_embed_used" in io.files else "pos_embedding_used"][0]
    table = np.asarray(params["position"]).reshape(-1, config.width)
    if config.cls_position:
        table = np.concatenate([np.asarray(params["cls_position"]), table])
    np.testing.assert_allclose(table, want, atol=1e-6)


@pytest.mark.parametrize("name", ["orig_videomae_pretrain", "orig_videomae_finetune", "orig_videomaev2_pretrain"])
def test_the_computed_sinusoid_is_the_familys_own(name):
    want = np.load(golden(name).folder / "io.npz")["pos_embed"][0]
    config = loaded(name)._config_of(np.load(golden(name).folder / "io.npz")["video_uint8"].shape)
    table = positions.sinusoid(config.grid, config.width).reshape(want.shape)
    np.testing.assert_allclose(table, want, atol=1e-6)


def test_masked_tokens_are_dropped_after_their_positions_are_added():
    backbone = loaded("orig_vjepa1")
    io = np.load(golden("orig_vjepa1").folder / "io_T8_48x48.npz")
    masked = np.load(golden("orig_vjepa1").folder / "io_masked.npz")
    backbone.encode(video_of(io), (1.0,))
    params, config = backbone._params, backbone._native
    video = (video_of(io) - np.float32(backbone.mean)) / np.float32(backbone.std)

    @jax.jit
    def visible(video):
        tokens = model.embed(params, video, config, jnp.float32)[:, masked["keep_idx"][0]]
        after = model.run_blocks(params["blocks"], tokens, [config.depth], config, "einsum")[config.depth]
        return layer_norm(params["norm"], after, config)

    assert worst(visible(video.astype(np.float32)), masked["tokens"]) <= 5e-5


class Gradients:
    """`grad.npz` as a checkpoint: the gradient of each parameter under the parameter's own name."""

    def __init__(self, path, prefix):
        self.path, self._file = path, np.load(path)
        renamed = {"attention.query.bias": "attention.q_bias", "attention.value.bias": "attention.v_bias"}
        self.names = {}
        for key in self._file.files:
            kind, _, name = key.partition(":")
            for old, new in renamed.items():
                name = name.replace(old, new) if prefix else name
            self.names.setdefault(kind, {})[prefix + name] = key

    def keys(self):
        return list(self.names["norm"])

    def shape(self, key):
        return self.read(key).shape

    def read(self, key, block=None):
        return self._file[self.names["grad"][key]]

    def norm(self, key):
        return float(self._file[self.names["norm"][key]])


def tokens_of(params, video, config, table_grid):
    """Return the tokens after the final norm, prefix tokens too, differentiable in the native position table."""
    x = project_patches(params["embed"], patchify(video, config.patch), jnp.float32)
    if config.position == "learned":
        x = x + resample_table(params["position"], table_grid, config.resample)
    else:
        x = x + params["position"]
    x = x.reshape(x.shape[0] * (x.shape[1] if config.attends == "frame" else 1), -1, x.shape[-1])
    if config.cls:
        cls = jnp.broadcast_to(params["cls"] + params["cls_position"], (x.shape[0], 1, x.shape[-1]))
        x = jnp.concatenate([cls, x], axis=1)
    out = model.run_blocks(params["blocks"], x, [config.depth], config, "einsum")[config.depth]
    return layer_norm(params["norm"], out, config)


@pytest.mark.parametrize(("name", "prefix"), [("hf_dinov2_swiglu", ""), ("hf_videomae_pretrained", "videomae.")])
def test_gradients_reach_every_parameter_and_are_the_familys_own(name, prefix):
    backbone, stored = loaded(name), Gradients(golden(name).folder / "grad.npz", prefix)
    io = np.load(golden(name).folder / str(np.load(stored.path)["io"]))
    params = jax.tree.map(jnp.asarray, backbone._read(2))
    config = evolve(backbone._native, eps=backbone.config.eps)
    video = (video_of(io) - np.float32(backbone.mean)) / np.float32(backbone.std)
    grid = backbone._config_of(video.shape).table_grid
    cotangent = np.load(stored.path)["ct"]

    def loss(params):
        return (tokens_of(params, video.astype(np.float32), config, grid) * cotangent).sum()

    value, ours = jax.jit(jax.value_and_grad(loss))(params)
    assert float(value) == pytest.approx(float(np.load(stored.path)["loss"]), rel=1e-4, abs=1e-3)
    found = find_layout(_Names(stored), golden(name).family)
    places = sources(found, config, stored.keys())
    reached = flatten(ours)
    for path, param in leaves(param_table(config)):
        if path not in places:
            assert path == "position"
            continue
        got = np.asarray(reached[path])
        assert np.abs(got).max() > 0, path
        for block in range(config.depth) if param.axes[0] == "layers" else (None,):
            key = places[path].key.format(i=block)
            one = got if block is None else got[block]
            if key in stored.names["grad"]:
                want = places[path].convert(stored.read(key))
                # The key's bias moves no softmax: its gradient is zero but for rounding.
                assert worst(one, want) <= 2e-5 * np.abs(stored.read(key)).max() + 3e-7, key
            else:
                assert np.linalg.norm(one) == pytest.approx(stored.norm(key), rel=1e-4, abs=1e-6), key


class _Names:
    def __init__(self, stored):
        self.path, self._stored = stored.path, stored

    def keys(self):
        return self._stored.keys()


def test_a_bfloat16_twin_is_the_same_to_its_precision():
    twin = golden("hf_dinov2_mlp").load(GOLDENS / "hf_dinov2_mlp" / "model.bf16.safetensors")
    io = np.load(golden("hf_dinov2_mlp").folder / "io_98x98.npz")
    (features,) = twin.encode(video_of(io), (1.0,))
    difference = worst(features, io["features_TKC"])
    assert 1e-3 < difference < 0.1  # it was read, and as bfloat16
    file = open_checkpoint(GOLDENS / "hf_dinov2_mlp" / "model.bf16.safetensors")
    assert (
        load_params(
            file,
            param_table(twin._native),
            sources(find_layout(file, "dinov2"), twin._native, file.keys()),
            depths={"blocks": 2},
            ignore=[r"embeddings\.mask_token"],
        )["norm"]["scale"].dtype
        == np.float32
    )
