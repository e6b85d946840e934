"""One implementation is each published family: parity with the outputs of the families' own code."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from probe4d_vit import model
from probe4d_vit.checkpoints import Source, load_params, open_checkpoint
from probe4d_vit.config import VitConfig
from probe4d_vit.resample import resample_params
from probe4d_vit.table import leaves, param_table

GOLDENS = Path(__file__).parent / "goldens"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def transposed(array):
    return array.T


def to_heads(array, heads):
    return array.T.reshape(array.shape[1], heads, -1)


def bias_to_heads(array, heads):
    return array.reshape(heads, -1)


def from_heads(array, heads):
    return array.T.reshape(heads, -1, array.shape[0])


def tubelet(array):
    return np.moveaxis(array, (0, 1), (4, 3))  # (d, c, t, h, w) -> (t, h, w, c, d)


def frame_patch(array):
    return tubelet(array[:, :, None])


def part(array, index, of):
    return np.split(array, of)[index].T


def bias_part(array, index, of):
    return np.split(array, of)[index]


def torch_blocks(block, names, heads, biased="qkv"):
    """Sources of the blocks of a torch state dict; `names` are those of norm1, q, k, v, o, norm2, up, down."""
    sources = {}
    for ours, theirs in names.items():
        if ours in ("norm1", "norm2"):
            sources[f"blocks/{ours}/scale"] = Source(f"{block}.{theirs}.weight")
            sources[f"blocks/{ours}/bias"] = Source(f"{block}.{theirs}.bias")
        elif ours in "qkv":
            sources[f"blocks/{ours}/kernel"] = Source(f"{block}.{theirs}.weight", partial(to_heads, heads=heads))
            if ours in biased:
                sources[f"blocks/{ours}/bias"] = Source(f"{block}.{theirs}.bias", partial(bias_to_heads, heads=heads))
        else:
            convert = partial(from_heads, heads=heads) if ours == "o" else transposed
            sources[f"blocks/{ours}/kernel"] = Source(f"{block}.{theirs}.weight", convert)
            sources[f"blocks/{ours}/bias"] = Source(f"{block}.{theirs}.bias")
    return sources


def load(file, config, sources, ignore=(), depths=None):
    table = param_table(config)
    depths = depths or {"blocks": config.depth}
    return load_params(open_checkpoint(GOLDENS / file), table, sources, depths=depths, ignore=ignore)


def features(params, config, io, mean_std=((0.0,) * 3, (1.0,) * 3), counts=None):
    """Return what the family calls features, and ours."""
    want = np.load(GOLDENS / io)
    video = (want["video_uint8"] / np.float32(255) - np.float32(mean_std[0])) / np.float32(mean_std[1])
    got = model.apply(params, video.astype(np.float32), counts or (config.total_depth,), config, kind="einsum")
    return want, [np.asarray(one) for one in got]


@pytest.fixture(scope="module")
def dinov2():
    config = VitConfig(
        width=48, depth=2, heads=3, mlp=128, patch=(1, 14, 14), grid=(2, 7, 7), attends="frame",
        cls=True, cls_position=True, registers=4, activation="swiglu", layer_scale=1.0, resample="cubic_antialias",
    )  # fmt: skip
    block = "encoder.layer.{i}"
    names = dict(zip("qkv", ("query", "key", "value"), strict=True))
    names = {name: f"attention.attention.{theirs}" for name, theirs in names.items()}
    names |= {"norm1": "norm1", "norm2": "norm2", "o": "attention.output.dense", "down": "mlp.weights_out"}
    sources = torch_blocks(block, names, heads=3)
    for index, name in enumerate(("gate", "up")):
        sources[f"blocks/{name}/kernel"] = Source(f"{block}.mlp.weights_in.weight", partial(part, index=index, of=2))
        sources[f"blocks/{name}/bias"] = Source(f"{block}.mlp.weights_in.bias", partial(bias_part, index=index, of=2))
    sources |= {
        "blocks/scale1": Source(f"{block}.layer_scale1.lambda1"),
        "blocks/scale2": Source(f"{block}.layer_scale2.lambda1"),
        "embed/kernel": Source("embeddings.patch_embeddings.projection.weight", frame_patch),
        "embed/bias": Source("embeddings.patch_embeddings.projection.bias"),
        "position": Source("embeddings.position_embeddings", lambda table: table[:, 1:].reshape(1, 7, 7, -1)),
        "cls_position": Source("embeddings.position_embeddings", lambda table: table[:, 0]),
        "cls": Source("embeddings.cls_token", lambda token: token[0]),
        "registers": Source("embeddings.register_tokens", lambda tokens: tokens[0]),
        "norm/scale": Source("layernorm.weight"),
        "norm/bias": Source("layernorm.bias"),
    }
    return config, load("hf_dinov2_reg_swiglu/model.safetensors", config, sources, [r"embeddings\.mask_token"])


@pytest.mark.parametrize(("io", "grid"), [("42x42", (2, 3, 3)), ("56x84", (2, 4, 6))])
def test_dinov2_with_registers_and_swiglu(dinov2, io, grid):
    params, config = resample_params(dinov2[1], dinov2[0], grid)
    want, (got,) = features(params, config, f"hf_dinov2_reg_swiglu/io_{io}.npz", IMAGENET)
    np.testing.assert_allclose(got, want["features_TKC"], atol=5e-5)


@pytest.fixture(scope="module")
def vjepa2():
    config = VitConfig(
        width=48, depth=2, heads=3, mlp=192, patch=(2, 16, 16), grid=(4, 3, 3), position="rope", rope_grid=(4, 3, 3)
    )
    names = {"q": "attention.query", "k": "attention.key", "v": "attention.value", "o": "attention.proj"}
    names |= {"norm1": "norm1", "norm2": "norm2", "up": "mlp.fc1", "down": "mlp.fc2"}
    sources = torch_blocks("encoder.layer.{i}", names, heads=3)
    sources |= {
        "embed/kernel": Source("encoder.embeddings.patch_embeddings.proj.weight", tubelet),
        "embed/bias": Source("encoder.embeddings.patch_embeddings.proj.bias"),
        "norm/scale": Source("encoder.layernorm.weight"),
        "norm/bias": Source("encoder.layernorm.bias"),
    }
    return config, load("hf_vjepa2/model.safetensors", config, sources, [r"predictor\."])


@pytest.mark.parametrize("frames", [4, 8])
def test_vjepa2_with_rotary_positions(vjepa2, frames):
    config, params = vjepa2
    config = evolve(config, grid=(frames // 2, 3, 3))
    want, (got,) = features(params, config, f"hf_vjepa2/io_T{frames}.npz", IMAGENET)
    np.testing.assert_allclose(got, want["features_TKC"], atol=5e-5)


@pytest.fixture(scope="module")
def videoprism():
    config = VitConfig(
        width=48, depth=2, heads=4, mlp=96, patch=(1, 18, 18), grid=(4, 3, 3), attends="factorized",
        temporal_depth=2, softcap=50.0, scale_offset=True, resample="linear_antialias",
    )  # fmt: skip
    sources = {
        "embed/kernel": Source("params/patch_projection/linear/kernel", lambda k: k.reshape(1, 18, 18, 3, 48)),
        "embed/bias": Source("params/patch_projection/linear/bias"),
        "position": Source("params/spatial_pos_emb/emb_var", lambda table: table.reshape(1, 3, 3, 48)),
        "temporal/position": Source("params/temporal_pos_emb/emb_var"),
    }
    for ours, theirs in (("", "spatial"), ("temporal/", "temporal")):
        layers = f"params/{theirs}_encoder/transformers_stack/x_layers"
        for name in ("scale", "bias"):
            sources[f"{ours}norm/{name}"] = Source(f"params/{theirs}_ln/{name}")
            sources[f"{ours}blocks/norm1/{name}"] = Source(f"{layers}/layer_norm/{name}")
            sources[f"{ours}blocks/norm2/{name}"] = Source(f"{layers}/ff_layer/layer_norm/{name}")
        for name, short in (("query", "q"), ("key", "k"), ("value", "v")):
            sources[f"{ours}blocks/{short}/kernel"] = Source(f"{layers}/self_attention/{name}/w")
            sources[f"{ours}blocks/{short}/bias"] = Source(f"{layers}/self_attention/{name}/b")
        post = Source(f"{layers}/self_attention/post/w", lambda w: np.moveaxis(w, 0, -1))  # (d, h, s) -> (h, s, d)
        sources[f"{ours}blocks/o/kernel"] = post
        sources[f"{ours}blocks/o/bias"] = Source(f"{layers}/self_attention/post/b")
        for short, name in (("up", "ffn_layer1"), ("down", "ffn_layer2")):
            for part_ in ("kernel", "bias"):
                sources[f"{ours}blocks/{short}/{part_}"] = Source(f"{layers}/ff_layer/{name}/linear/{part_}")
    return config, load("orig_videoprism/flax_tiny_repeated.npz", config, sources)


@pytest.mark.parametrize(("io", "grid"), [("T6_54x54", (6, 3, 3)), ("T2_36x36", (2, 2, 2))])
def test_videoprism_factorized_with_soft_cap_and_scale_offset(videoprism, io, grid):
    params, config = resample_params(videoprism[1], videoprism[0], grid)
    want, (space, both) = features(params, config, f"orig_videoprism/io_{io}.npz", counts=(2, 4))
    np.testing.assert_allclose(both, want["features_TKC"], atol=3e-4)
    np.testing.assert_allclose(space.reshape(want["spatial_features"].shape), want["spatial_features"], atol=3e-4)


@pytest.fixture(scope="module")
def siglip():
    config = VitConfig(
        width=48, depth=2, heads=4, mlp=116, patch=(1, 14, 14), grid=(2, 4, 4), attends="frame",
        activation="gelu_tanh", resample="cubic_torch",
    )  # fmt: skip
    names = {name: f"self_attn.{theirs}_proj" for name, theirs in zip("qkvo", ("q", "k", "v", "out"), strict=True)}
    names |= {"norm1": "layer_norm1", "norm2": "layer_norm2", "up": "mlp.fc1", "down": "mlp.fc2"}
    sources = torch_blocks("vision_model.encoder.layers.{i}", names, heads=4)
    embeddings = "vision_model.embeddings"
    sources |= {
        "embed/kernel": Source(f"{embeddings}.patch_embedding.weight", frame_patch),
        "embed/bias": Source(f"{embeddings}.patch_embedding.bias"),
        "position": Source(f"{embeddings}.position_embedding.weight", lambda table: table.reshape(1, 4, 4, -1)),
        "norm/scale": Source("vision_model.post_layernorm.weight"),
        "norm/bias": Source("vision_model.post_layernorm.bias"),
    }
    ignore = [r"text_model\.", r"vision_model\.head\.", r"logit_"]
    return config, load("hf_siglip/model.safetensors", config, sources, ignore)


@pytest.mark.parametrize(("io", "grid"), [("56x56", (2, 4, 4)), ("42x56", (2, 3, 4))])
def test_siglip_with_a_table_resized_as_torch_does(siglip, io, grid):
    params, config = resample_params(siglip[1], siglip[0], grid)
    want, (got,) = features(params, config, f"hf_siglip/io_{io}.npz", ((0.5,) * 3, (0.5,) * 3))
    np.testing.assert_allclose(got, want["features_TKC"], atol=5e-5)


def test_videomae_without_a_key_bias_and_with_a_computed_table():
    config = VitConfig(
        width=48, depth=2, heads=4, mlp=192, patch=(2, 16, 16), grid=(4, 2, 2), position="sinusoid",
        resample="recompute", bias="qv", eps=1e-12,
    )  # fmt: skip
    attention = "attention.attention"
    names = {"q": f"{attention}.query", "k": f"{attention}.key", "v": f"{attention}.value"}
    names |= {"o": "attention.output.dense", "up": "intermediate.dense", "down": "output.dense"}
    names |= {"norm1": "layernorm_before", "norm2": "layernorm_after"}
    block = "videomae.encoder.layer.{i}"
    sources = torch_blocks(block, names, heads=4, biased="")
    patches = "videomae.embeddings.patch_embeddings.projection"
    sources |= {
        "blocks/q/bias": Source(f"{block}.{attention}.q_bias", partial(bias_to_heads, heads=4)),
        "blocks/v/bias": Source(f"{block}.{attention}.v_bias", partial(bias_to_heads, heads=4)),
        "embed/kernel": Source(f"{patches}.weight", tubelet),
        "embed/bias": Source(f"{patches}.bias"),
        "norm/scale": Source("videomae.layernorm.weight"),
        "norm/bias": Source("videomae.layernorm.bias"),
    }
    table = param_table(config)
    assert set(sources) == {path for path, _ in leaves(table)} - {"position"}
    params = load(
        "hf_videomae_pretrained/model.safetensors",
        config,
        sources,
        [r"decoder\.", r"encoder_to_decoder\.", r"mask_token"],
    )
    want, (tokens, one, got) = features(params, config, "hf_videomae_pretrained/io.npz", IMAGENET, counts=(0, 1, 2))
    np.testing.assert_allclose(got, want["features_TKC"], atol=5e-5)
    np.testing.assert_allclose(tokens.reshape(want["hidden_0"].shape), want["hidden_0"], atol=5e-5)
    np.testing.assert_allclose(one.reshape(want["hidden_1"].shape), want["hidden_1"], atol=5e-5)
