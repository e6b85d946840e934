"""Each easy mistake in a port of these models is made here on purpose: the goldens tell it from the right thing.

The smallest of them move the output by less than a tolerance could see; there the parsed configuration is asserted
(`test_baseline_loading`).
"""

from __future__ import annotations

import jax
import numpy as np
import pytest
from attrs import evolve

from baselines.conftest import golden, loaded, video_of, worst
from probe4d_vit import model, positions


def native_case(name):
    stems = [file.stem for file in golden(name).cases]
    return next(stem for stem in ("io", "io_98x98", "io_56x56", "io_T4_54x54", "io_T8_48x48", "io_T8") if stem in stems)


def difference(name, change, case=None, **options):
    """Return by how much features are off after `change(config, params) -> (config, params)`."""
    backbone = golden(name).load(**options) if options else loaded(name)
    io = np.load(golden(name).folder / f"{case or native_case(name)}.npz")
    video = video_of(io)
    config = backbone._config_of(video.shape)
    params = backbone._on_grid(backbone._load(config.total_depth), config.grid)
    config, params = change(config, jax.tree.map(np.asarray, params))
    video = ((video - np.float32(backbone.mean)) / np.float32(backbone.std)).astype(np.float32)
    run = jax.jit(lambda params: model.apply(params, video, (config.total_depth,), config, kind="einsum")[0])
    return worst(run(params), io["features_TKC"])


def with_config(**fields):
    return lambda config, params: (evolve(config, **fields), params)


def with_params(**changed):
    """Change arrays by path, `blocks__v__bias` for `blocks/v/bias`."""

    def change(config, params):
        for path, function in changed.items():
            *parents, name = path.split("__")
            node = params
            for parent in parents:
                node[parent] = dict(node[parent])
                node = node[parent]
            node[name] = function(node[name])
        return config, params

    return change


def swapped(one, other):
    def change(config, params):
        blocks = params["blocks"]
        return config, {**params, "blocks": {**blocks, one: blocks[other], other: blocks[one]}}

    return change


def channels_first(kernel):
    """A patch read as (c, y, x) where its pixels come as (y, x, c)."""
    t, h, w, c, d = kernel.shape
    return kernel.transpose(0, 3, 1, 2, 4).reshape(t, h, w, c, d)


def other_positions(make):
    return lambda config, params: (config, {**params, "position": make(config).astype(np.float32)})


def by_axes(config):
    return positions.sincos(config.grid, config.width, uniform_power=True)


def halves(config):
    table = positions.sinusoid(config.grid, config.width)
    return np.concatenate([table[..., ::2], table[..., 1::2]], axis=-1)


def space_first(config):
    t, h, w = config.grid
    return positions.sinusoid((h, w, t), config.width).transpose(2, 0, 1, 3)


ZERO = np.zeros_like
IMAGE, VIDEO = "orig_dinov2_mlp", "orig_videomae_pretrain"
MISTAKES = {
    "tanh gelu for exact": (IMAGE, with_config(activation="gelu_tanh"), 1e-4),
    "exact gelu for tanh": ("orig_bigvision_siglip", with_config(activation="gelu"), 1e-4),
    "no soft cap": ("orig_videoprism", with_config(softcap=None), 4e-4),
    "scale for scale + 1": ("orig_videoprism", with_config(scale_offset=False), 0.4),
    "no norm between space and time": ("orig_videoprism", with_params(norm__scale=ZERO, norm__bias=ZERO), 0.1),
    "no temporal positions": ("orig_videoprism", with_params(temporal__position=ZERO), 0.01),
    "no final norm": (VIDEO, with_config(final_norm=False), 0.4),
    "no layer scale": (IMAGE, with_params(blocks__scale1=np.ones_like, blocks__scale2=np.ones_like), 0.4),
    "keys for values": (IMAGE, swapped("k", "v"), 0.4),
    "queries for keys": ("orig_dinov2_swiglu", swapped("q", "v"), 0.4),
    "the gate for its input": ("orig_dinov2_swiglu", swapped("gate", "up"), 0.1),
    "no position of the class token": (IMAGE, with_params(cls_position=ZERO), 0.01),
    "no registers": ("orig_dinov2_reg_swiglu", with_params(registers=ZERO), 0.01),
    "no bias of values": (VIDEO, with_params(blocks__v__bias=ZERO), 0.1),
    "channels first": ("orig_videoprism", with_params(embed__kernel=channels_first), 0.4),
    "positions by axes for the flattened index": (VIDEO, other_positions(by_axes), 0.1),
    "sines before cosines": (VIDEO, other_positions(halves), 0.1),
    "positions counted space first": (VIDEO, other_positions(space_first), 0.1),
    "a computed table of the wrong order": ("orig_vjepa1", other_positions(halves), 0.1),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_shows(mistake):
    name, change, least = MISTAKES[mistake]
    assert difference(name, change) > least


LOADED = {
    "positions by size for scale factor": (IMAGE, "io_56x84", {"resample": "cubic_torch"}, 1e-3),
    "positions of registers as without": ("orig_dinov2_reg_swiglu", "io_42x42", {"resample": "cubic_torch"}, 0.01),
    "torch's cubic for linear corners": ("orig_bigvision_siglip", "io_84x84", {"rules": "hub"}, 0.01),
    "corners for torch's cubic": ("hf_siglip", "io_84x84", {"rules": "original"}, 0.01),
    "the authors' scale for the hub's": ("hf_dinov2_mlp", "io_42x42", {"rules": "original"}, 1e-3),
    "no antialias": ("orig_videoprism", "io_T2_36x36", {"resample": "linear_torch"}, 0.01),
    "a table computed anew": ("orig_vjepa1", "io_T8_64x64", {"resample": "recompute"}, 0.01),
    "rotary positions of the trained grid": (
        "orig_vjepa2",
        "io_T8_32x64",
        {"rules": "hub", "frames": 8, "size": 48},
        0.01,
    ),
    "the mean of another family": (VIDEO, "io", {"mean": (0.5,) * 3, "std": (0.5,) * 3}, 0.01),
    "no mean at all": ("orig_videomaev2_pretrain", "io", {"mean": (0.0,) * 3, "std": (1.0,) * 3}, 0.01),
    "another number of heads": ("orig_vjepa2", "io_T8_48x48", {"heads": 2}, 0.1),
}


@pytest.mark.parametrize("mistake", LOADED)
def test_a_mistake_in_loading_shows(mistake):
    name, case, options, least = LOADED[mistake]
    backbone, io = golden(name).load(**options), np.load(golden(name).folder / f"{case}.npz")
    assert worst(backbone.encode(video_of(io), (1.0,))[0], io["features_TKC"]) > least


def test_rotary_angles_are_tiled_as_the_weights_were_trained(monkeypatch):
    tiled = np.tile

    def repeated(array, times):
        return np.repeat(array, times, axis=-1)

    monkeypatch.setattr(positions.np, "tile", repeated)
    off = difference("orig_vjepa2", lambda config, params: (config, params))
    monkeypatch.setattr(positions.np, "tile", tiled)
    assert off > 0.1
    assert difference("orig_vjepa2", lambda config, params: (config, params)) <= 5e-5


def test_a_bias_of_keys_makes_no_difference_which_is_why_it_may_be_missing():
    def with_bias(config, params):
        blocks = params["blocks"]
        k = {**blocks["k"], "bias": np.ones((2, config.heads, config.head_dim), np.float32)}
        return evolve(config, bias="qkv"), {**params, "blocks": {**blocks, "k": k}}

    assert difference(VIDEO, with_bias) <= 5e-5
