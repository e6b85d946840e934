"""What a hub folder's `config.json` and `preprocessor_config.json` say, as fields of a model.

A config leaves out what its class has as default, so the defaults of the classes are here.
Source: transformers 5.23, `configuration_*.py`; OpenGVLab/VideoMAEv2-*, `modeling_config.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from probe4d.errors import DataError
from probe4d_baselines.families import FAMILIES, Family

_ACTIVATIONS = {"gelu": "gelu", "gelu_python": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}


class _Config:
    """One mapping of a config, read with the defaults of its class."""

    def __init__(self, where: str, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._where, self._values, self._defaults = where, values, defaults

    def get(self, key: str) -> Any:
        value = self._values.get(key, self._defaults[key])
        wanted = type(self._defaults[key])
        fits = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
        if not fits or (wanted is not bool and isinstance(value, bool)):
            raise DataError(f"{self._where}: {key}: expected a {wanted.__name__}, got {value!r}.")
        return value

    @property
    def activation(self) -> str:
        name = self.get("hidden_act")
        if name not in _ACTIVATIONS:
            raise DataError(f"{self._where}: hidden_act: expected one of {', '.join(_ACTIVATIONS)}, got {name!r}.")
        return _ACTIVATIONS[name]


def read_json(file: Path) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        DataError: it is none.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: expected a JSON object, got {error}. Fetch it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: expected a JSON object, got {type(content).__name__}. Fetch it again.")
    return content


def fields_of(file: Path, family: Family) -> dict[str, Any]:
    """Return what a config says: fields of `VitConfig`, with `clip` for the input.

    Raises:
        DataError: it is of another family, or says what no model of the family is.
    """
    content = read_json(file)
    kind = content.get("model_type")
    if kind not in family.model_types:
        other = next((name for name, each in FAMILIES.items() if kind in each.model_types), None)
        hint = f"Load it with the backbone {other!r}" if other else "It is of another family"
        raise DataError(f"{file}: expected a model_type of {family.name}, got {kind!r}. {hint}.")
    return _READERS[family.name](str(file), content)


def normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return mean and standard deviation of `preprocessor_config.json`, or None where there is no such file.

    Raises:
        DataError: they are no three numbers each.
    """
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return None
    content = read_json(file)
    if content.get("do_normalize") is False:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return _three(file, content, "image_mean"), _three(file, content, "image_std")


def _three(file: Path, content: Mapping[str, Any], key: str) -> tuple[float, ...]:
    value = content.get(key)
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(number, (int, float)) for number in value):
        raise DataError(f"{file}: {key}: expected three numbers, got {value!r}. Fetch it again.")
    return tuple(map(float, value))


def _siglip(where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
    }  # fmt: skip
    config = _Config(where, content.get("vision_config", content), defaults)
    return _sizes(config, config.get("intermediate_size")) | _image(config)


def _dinov2(where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "mlp_ratio": 4, "image_size": 224,
        "patch_size": 16 if content["model_type"] == "dinov2_with_registers" else 14, "hidden_act": "gelu",
        "layer_norm_eps": 1e-6, "qkv_bias": True, "use_swiglu_ffn": False, "num_register_tokens": 4,
    }  # fmt: skip
    config = _Config(where, content, defaults)
    hidden = int(config.get("hidden_size") * config.get("mlp_ratio"))
    gated = config.get("use_swiglu_ffn")
    found = _sizes(config, (int(hidden * 2 / 3) + 7) // 8 * 8 if gated else hidden) | _image(config)
    found["bias"] = "qkv" if config.get("qkv_bias") else "none"
    found["registers"] = config.get("num_register_tokens") if content["model_type"] == "dinov2_with_registers" else 0
    return found | ({"activation": "swiglu"} if gated else {})


def _videoprism(where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        "hidden_size": 768, "num_spatial_layers": 12, "num_temporal_layers": 4, "num_attention_heads": 12,
        "intermediate_size": 3072, "image_size": 288, "num_frames": 16, "tubelet_size": [1, 18, 18],
        "hidden_act": "gelu_python", "layer_norm_eps": 1e-6, "attn_logit_softcapping": 50.0, "qkv_bias": True,
    }  # fmt: skip
    config = _Config(where, content.get("vision_config", content), defaults)
    size = config.get("image_size")
    return {
        "width": config.get("hidden_size"),
        "depth": config.get("num_spatial_layers"),
        "temporal_depth": config.get("num_temporal_layers"),
        "heads": config.get("num_attention_heads"),
        "mlp": config.get("intermediate_size"),
        "patch": tuple(config.get("tubelet_size")),
        "clip": (config.get("num_frames"), size, size),
        "eps": config.get("layer_norm_eps"),
        "softcap": float(config.get("attn_logit_softcapping")),
        "bias": "qkv" if config.get("qkv_bias") else "none",
        "activation": config.activation,
    }


def _vjepa2(where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "mlp_ratio": 4.0, "crop_size": 256,
        "frames_per_clip": 64, "patch_size": 16, "tubelet_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-6,
        "qkv_bias": True,
    }  # fmt: skip
    config = _Config(where, content, defaults)
    size = config.get("crop_size")
    found = _sizes(config, int(config.get("hidden_size") * config.get("mlp_ratio")))
    found["patch"] = (config.get("tubelet_size"), config.get("patch_size"), config.get("patch_size"))
    found["bias"] = "qkv" if config.get("qkv_bias") else "none"
    return found | {"clip": (config.get("frames_per_clip"), size, size)}


def _videomae(where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "image_size": 224, "num_frames": 16, "patch_size": 16, "tubelet_size": 2, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "qkv_bias": True, "qv_bias": True,
    }  # fmt: skip
    config = _Config(where, content, defaults)
    size = config.get("image_size")
    found = _sizes(config, config.get("intermediate_size"))
    found["patch"] = (config.get("tubelet_size"), config.get("patch_size"), config.get("patch_size"))
    # One name of the same thing before transformers 5, the other since.
    found["bias"] = "qv" if config.get("qkv_bias") and config.get("qv_bias") else "none"
    return found | {"clip": (config.get("num_frames"), size, size)}


def _videomaev2(where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        "embed_dim": 768, "depth": 12, "num_heads": 12, "mlp_ratio": 4.0, "img_size": 224, "num_frames": 16,
        "patch_size": 16, "tubelet_size": 2, "layer_norm_eps": 1e-6, "qkv_bias": True, "init_values": 0.0,
        "use_learnable_pos_emb": False, "cos_attn": False,
    }  # fmt: skip
    config = _Config(where, content.get("model_config", {}), defaults)
    for key in ("use_learnable_pos_emb", "cos_attn", "init_values"):
        if config.get(key):
            raise DataError(
                f"{where}: {key}: expected it off, as every published model has it, got {config.get(key)!r}."
            )
    size, width = config.get("img_size"), config.get("embed_dim")
    return {
        "width": width,
        "depth": config.get("depth"),
        "heads": config.get("num_heads"),
        "mlp": int(width * config.get("mlp_ratio")),
        "patch": (config.get("tubelet_size"), config.get("patch_size"), config.get("patch_size")),
        "clip": (config.get("num_frames"), size, size),
        "eps": config.get("layer_norm_eps"),
        "bias": "qv" if config.get("qkv_bias") else "none",
    }


_READERS: Mapping[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    "siglip": _siglip,
    "dinov2": _dinov2,
    "videoprism": _videoprism,
    "vjepa2": _vjepa2,
    "videomae": _videomae,
    "videomaev2": _videomaev2,
}


def _sizes(config: _Config, mlp: int) -> dict[str, Any]:
    return {
        "width": config.get("hidden_size"),
        "depth": config.get("num_hidden_layers"),
        "heads": config.get("num_attention_heads"),
        "mlp": mlp,
        "eps": config.get("layer_norm_eps"),
        "activation": config.activation,
    }


def _image(config: _Config) -> dict[str, Any]:
    size, patch = config.get("image_size"), config.get("patch_size")
    return {"patch": (1, patch, patch), "clip": (16, size, size)}
