"""What this plugin provides: four ways to name a torch module. Its facts are what the options say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probe4d import BackboneSpec, TokenGrid, VideoInput, hookimpl

PROBE4D_PLUGIN_API = 1

_SUMMARIES = {
    "module": "your torch.nn.Module by its dotted path; runs your code",
    "hub": "an entry of a local folder with a hubconf.py; runs its code",
    "transformers": "a model class of transformers, with a local folder of the hub's kind",
    "file": "a TorchScript file, or an exported program (.pt2); runs what is in it",
}


@hookimpl
def probe4d_backbones() -> Iterator[BackboneSpec]:
    """Return a spec for each source of modules."""
    for source, summary in _SUMMARIES.items():
        transformers = source == "transformers"
        yield BackboneSpec(
            name=f"torch-{source}",
            target="probe4d_torch.backbone:load",
            configure="probe4d_torch.options:configure",
            summary=f"{summary}; its input and tokens are what options say",
            requires=("torch>=2.4", "safetensors>=0.4", *(("transformers>=4.50",) if transformers else ())),
            extra="probe4d-torch[transformers]" if transformers else "probe4d-torch[torch]",
            options={"source": source},
            licence="that of the module",
            tags=("torch",),
            input=VideoInput(frames=16, height=224, width=224),
            tokens=TokenGrid(time=8, space=196, channels=768),
            params=0,
            layers=(1.0,),
        )


_READ: dict[str, Any] = {"frames": 4, "size": 8, "blocks": "blocks.{i}", "depth": 2, "norm": "norm", "prefix": 1}
_EXAMPLE: dict[str, Any] = {
    "options": {"model": "probe4d_torch.example:TinyViT", "tokens": [2, 4, 12], **_READ},
    "input": {"frames": 4, "height": 8, "width": 8},
    "tokens": {"time": 2, "space": 4, "channels": 12},
    "params": 1,
    "depth": 2,
}
_IMAGES: dict[str, Any] = {
    "options": {
        "model": "ViTModel",
        "model_options": {
            "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
            "image_size": 8, "patch_size": 4,
        },
        "frames": 4, "size": 8, "tokens": [4, 4, 12], "layout": "(bt)chw", "argument": "pixel_values",
        "output": "last_hidden_state", "axes": "(bt)kc", "prefix": 1,
    },
    "input": {"frames": 4, "height": 8, "width": 8},
    "tokens": {"time": 4, "space": 4, "channels": 12},
    "params": 1,
    "depth": 1,
}  # fmt: skip
_REPO = str(Path(__file__).parent / "example_repo")
PROBE4D_CONFORMANCE = {
    "small": {
        "torch-module": _EXAMPLE,
        "torch-hub": {**_EXAMPLE, "options": {**_EXAMPLE["options"], "repo": _REPO, "model": "tiny_vit"}},
        "torch-transformers": _IMAGES,
    },
    "expected_failed_checks": {
        "backbones/torch-file": {"target_constructs": "it is the user's file, and nothing without one"}
    },
}
