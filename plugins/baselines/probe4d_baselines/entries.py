"""Where each parameter is in each published layout: path of `probe4d_vit.table` -> key and conversion.

Keys are relative to the prefix that `layouts` finds; `{i}` is the number of a block. An entry may
have several places, of which a file has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Place: TypeAlias = tuple[str, str]  # key, kind of conversion
Entries: TypeAlias = Mapping[str, tuple[Place, ...]]


def _pair(path: str, key: str, kinds: Place = ("linear", "same"), names: Place = ("weight", "bias")) -> Entries:
    """Return the entries of a kernel and its bias."""
    return {
        f"{path}/kernel": ((f"{key}.{names[0]}", kinds[0]),),
        f"{path}/bias": ((f"{key}.{names[1]}", kinds[1]),),
    }


def _norm(path: str, key: str) -> Entries:
    return {f"{path}/scale": ((f"{key}.weight", "same"),), f"{path}/bias": ((f"{key}.bias", "same"),)}


def _either(*entries: Entries) -> Entries:
    """Return the places of several, in their order."""
    paths: dict[str, tuple[Place, ...]] = {}
    for some in entries:
        for path, places in some.items():
            paths[path] = paths.get(path, ()) + places
    return paths


def _stack(stack: str, block: str, names: Mapping[str, Iterable[str]]) -> Entries:
    """Return the entries of blocks in torch's names: norm1, q, k, v, o, norm2, up, gate, down, scale1, scale2."""
    found: list[Entries] = []
    for ours, theirs in names.items():
        for name in theirs:
            path, key = f"{stack}/{ours}", f"{block}.{name}"
            if ours in ("norm1", "norm2"):
                found.append(_norm(path, key))
            elif ours in ("scale1", "scale2"):
                found.append({path: ((key, "same"),)})
            elif ours in ("q", "k", "v"):
                found.append(_pair(path, key, ("to_heads", "head_bias")))
            else:
                found.append(_pair(path, key, ("from_heads" if ours == "o" else "linear", "same")))
    return _either(*found)


def _fused(block: str) -> Entries:
    """Return the entries of the fused q, k, v of timm, and of the fused gate and input of a gated MLP."""
    entries: dict[str, tuple[Place, ...]] = {}
    for part, name in enumerate("qkv"):
        entries[f"blocks/{name}/kernel"] = ((f"{block}.attn.qkv.weight", f"fused:{part}"),)
        entries[f"blocks/{name}/bias"] = (
            (f"{block}.attn.qkv.bias", f"fused_bias:{part}"),
            (f"{block}.attn.{name}_bias", "head_bias"),  # VideoMAE: q and v only
        )
    return {**entries, **_halves(block, "mlp.w12")}


def _halves(block: str, name: str) -> Entries:
    entries: dict[str, tuple[Place, ...]] = {}
    for part, ours in enumerate(("gate", "up")):
        entries[f"blocks/{ours}/kernel"] = ((f"{block}.{name}.weight", f"half:{part}"),)
        entries[f"blocks/{ours}/bias"] = ((f"{block}.{name}.bias", f"half_bias:{part}"),)
    return entries


# facebookresearch/dinov2, jepa and vjepa2; MCG-NJU/VideoMAE; OpenGVLab/VideoMAEv2
TIMM: Entries = _either(
    _pair("embed", "patch_embed.proj", ("conv", "same")),
    {
        "position": (("pos_embed", "table"),),
        "cls_position": (("pos_embed", "table_head"),),
        "cls": (("cls_token", "token"),),
        "registers": (("register_tokens", "token"),),
    },
    _stack(
        "blocks",
        "blocks.{i}",
        {
            "norm1": ["norm1"],
            "norm2": ["norm2"],
            "o": ["attn.proj"],
            "up": ["mlp.fc1"],
            "down": ["mlp.fc2", "mlp.w3"],
            "scale1": ["ls1.gamma"],
            "scale2": ["ls2.gamma"],
        },
    ),
    _fused("blocks.{i}"),
    _norm("norm", "norm"),
)

HUB_DINOV2: Entries = _either(
    _pair("embed", "embeddings.patch_embeddings.projection", ("conv", "same")),
    {
        "position": (("embeddings.position_embeddings", "table"),),
        "cls_position": (("embeddings.position_embeddings", "table_head"),),
        "cls": (("embeddings.cls_token", "token"),),
        "registers": (("embeddings.register_tokens", "token"),),
    },
    _stack(
        "blocks",
        "encoder.layer.{i}",
        {
            "norm1": ["norm1"],
            "norm2": ["norm2"],
            "q": ["attention.attention.query", "attention.q_proj"],  # the second: names in memory since 5.0
            "k": ["attention.attention.key", "attention.k_proj"],
            "v": ["attention.attention.value", "attention.v_proj"],
            "o": ["attention.output.dense", "attention.o_proj"],
            "gate": ["mlp.gate_proj"],
            "up": ["mlp.fc1", "mlp.up_proj"],
            "down": ["mlp.fc2", "mlp.weights_out", "mlp.down_proj"],
            "scale1": ["layer_scale1.lambda1"],
            "scale2": ["layer_scale2.lambda1"],
        },
    ),
    _halves("encoder.layer.{i}", "mlp.weights_in"),
    _norm("norm", "layernorm"),
)

HUB_SIGLIP: Entries = _either(
    _pair("embed", "embeddings.patch_embedding", ("conv", "same")),
    {"position": (("embeddings.position_embedding.weight", "table"),)},
    _stack(
        "blocks",
        "encoder.layers.{i}",
        {
            "norm1": ["layer_norm1"],
            "norm2": ["layer_norm2"],
            "q": ["self_attn.q_proj"],
            "k": ["self_attn.k_proj"],
            "v": ["self_attn.v_proj"],
            "o": ["self_attn.out_proj"],
            "up": ["mlp.fc1"],
            "down": ["mlp.fc2"],
        },
    ),
    _norm("norm", "post_layernorm"),
)

_VIDEOMAE = "encoder.layer.{i}"
HUB_VIDEOMAE: Entries = _either(
    _pair("embed", "embeddings.patch_embeddings.projection", ("conv", "same")),
    {f"blocks/{name}/bias": ((f"{_VIDEOMAE}.attention.attention.{name}_bias", "head_bias"),) for name in ("q", "v")},
    _stack(
        "blocks",
        _VIDEOMAE,
        {
            "norm1": ["layernorm_before"],
            "norm2": ["layernorm_after"],
            "q": ["attention.attention.query"],
            "k": ["attention.attention.key"],
            "v": ["attention.attention.value"],
            "o": ["attention.output.dense"],
            "up": ["intermediate.dense"],
            "down": ["output.dense"],
        },
    ),
    _norm("norm", "layernorm"),
)

HUB_VJEPA2: Entries = _either(
    _pair("embed", "encoder.embeddings.patch_embeddings.proj", ("conv", "same")),
    _stack(
        "blocks",
        "encoder.layer.{i}",
        {
            "norm1": ["norm1"],
            "norm2": ["norm2"],
            "q": ["attention.query"],
            "k": ["attention.key"],
            "v": ["attention.value"],
            "o": ["attention.proj"],
            "up": ["mlp.fc1"],
            "down": ["mlp.fc2"],
        },
    ),
    _norm("norm", "encoder.layernorm"),
)

_HUB_VIDEOPRISM = {
    "norm1": ["layernorm_before"],
    "norm2": ["layernorm_after"],
    "q": ["attention.q_proj"],
    "k": ["attention.k_proj"],
    "v": ["attention.v_proj"],
    "o": ["attention.o_proj"],
    "up": ["mlp.fc1"],
    "down": ["mlp.fc2"],
}
HUB_VIDEOPRISM: Entries = _either(
    _pair("embed", "spatial_embeddings.patch_embeddings.projection", ("conv", "same")),
    {
        "position": (("spatial_embeddings.position_embeddings", "table"),),
        "temporal/position": (("temporal_embeddings.position_embeddings", "token"),),
    },
    _stack("blocks", "spatial_layers.{i}", _HUB_VIDEOPRISM),
    _stack("temporal/blocks", "temporal_layers.{i}", _HUB_VIDEOPRISM),
    _norm("norm", "layernorm1"),
    _norm("temporal/norm", "layernorm2"),
)


def _big_vision(block: str) -> Entries:
    attention = f"{block}/MultiHeadDotProductAttention_0"
    entries: dict[str, tuple[Place, ...]] = {
        "embed/kernel": (("embedding/kernel", "stored_conv"),),
        "embed/bias": (("embedding/bias", "same"),),
        "position": (("pos_embedding", "table"),),
    }
    for part in ("kernel", "bias"):
        for short, name in zip("qkvo", ("query", "key", "value", "out"), strict=True):
            entries[f"blocks/{short}/{part}"] = ((f"{attention}/{name}/{part}", "same"),)
        for short, name in (("up", "Dense_0"), ("down", "Dense_1")):
            entries[f"blocks/{short}/{part}"] = ((f"{block}/MlpBlock_0/{name}/{part}", "same"),)
    for part in ("scale", "bias"):
        for index in (0, 1):
            entries[f"blocks/norm{index + 1}/{part}"] = ((f"{block}/LayerNorm_{index}/{part}", "same"),)
        entries[f"norm/{part}"] = ((f"Transformer/encoder_norm/{part}", "same"),)
    return entries


BIG_VISION: Entries = _big_vision("Transformer/encoderblock_{i}")
BIG_VISION_SCAN: Entries = _big_vision("Transformer/encoderblock")


def _videoprism() -> Entries:
    entries: dict[str, tuple[Place, ...]] = {
        "embed/kernel": (("patch_projection/linear/kernel", "stored_conv"),),
        "embed/bias": (("patch_projection/linear/bias", "same"),),
        "position": (("spatial_pos_emb/emb_var", "table"),),
        "temporal/position": (("temporal_pos_emb/emb_var", "same"),),
    }
    for ours, theirs in (("", "spatial"), ("temporal/", "temporal")):
        layers = f"{theirs}_encoder/transformers_stack/x_layers"
        for part in ("scale", "bias"):
            entries[f"{ours}norm/{part}"] = ((f"{theirs}_ln/{part}", "same"),)
            entries[f"{ours}blocks/norm1/{part}"] = ((f"{layers}/layer_norm/{part}", "same"),)
            entries[f"{ours}blocks/norm2/{part}"] = ((f"{layers}/ff_layer/layer_norm/{part}", "same"),)
        for short, name in (("q", "query"), ("k", "key"), ("v", "value"), ("o", "post")):
            kind = "post" if short == "o" else "same"
            entries[f"{ours}blocks/{short}/kernel"] = ((f"{layers}/self_attention/{name}/w", kind),)
            entries[f"{ours}blocks/{short}/bias"] = ((f"{layers}/self_attention/{name}/b", "same"),)
        for short, name in (("up", "ffn_layer1"), ("down", "ffn_layer2")):
            for part in ("kernel", "bias"):
                entries[f"{ours}blocks/{short}/{part}"] = ((f"{layers}/ff_layer/{name}/linear/{part}", "same"),)
    return entries


VIDEOPRISM: Entries = _videoprism()
