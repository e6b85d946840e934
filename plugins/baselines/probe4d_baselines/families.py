"""The seven families: what all models of one have in common. Imports no array library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
UNIT = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@frozen(kw_only=True)
class Family:
    """What the models of a family share.

    Attributes:
        name, title: short, and as its authors write it.
        modality: `image` models take each frame by itself.
        fields: of `VitConfig`, as the family's own code has them.
        patch: `(t, h, w)` of a tubelet, where nothing else says it.
        clip: `(frames, height, width)` that a file is run on where nothing else says it.
        mean, std: of the input, of values in [0, 1].
        resize: rule by which its authors bring frames to that size.
        hub: fields of `VitConfig` that the hub's port has otherwise, away from the native size.
        model_types: names that the `config.json` of the hub gives it.
        example: the model whose facts the family's own spec states.
    """

    name: str
    title: str
    modality: str
    fields: Mapping[str, Any]
    patch: tuple[int, int, int]
    clip: tuple[int, int, int] = (16, 224, 224)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: str = "bilinear"
    hub: Mapping[str, Any] = field(factory=dict)
    model_types: tuple[str, ...] = ()
    example: str

    def resample(self, registers: int, rules: str) -> str:
        """Return the rule by which position tables are resized, in the authors' code or in the hub's port."""
        if registers:  # DINOv2 with registers: antialias, no offset, in both
            return "cubic_antialias"
        own = str(self.fields.get("resample", "recompute"))
        return str(self.hub.get("resample", own)) if rules == "hub" else own


# Sources: google-research/big_vision models/vit.py; facebookresearch/dinov2 and its hubconf;
# google-deepmind/videoprism encoders.py; facebookresearch/jepa and vjepa2; MCG-NJU/VideoMAE;
# OpenGVLab/VideoMAEv2; and transformers for the hub's ports.
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="siglip",
            title="SigLIP",
            modality="image",
            fields={
                "attends": "frame",
                "position": "learned",
                "activation": "gelu_tanh",
                "resample": "linear_corners",
            },
            hub={"resample": "cubic_torch"},
            patch=(1, 14, 14),
            mean=HALF[0],
            std=HALF[1],
            model_types=("siglip", "siglip_vision_model"),
            example="siglip-so400m",
        ),
        Family(
            name="dinov2",
            title="DINOv2",
            modality="image",
            fields={
                "attends": "frame",
                "position": "learned",
                "activation": "gelu",
                "cls": True,
                "cls_position": True,
                "layer_scale": 1.0,
                "resample": "cubic_torch_offset",
            },
            hub={"resample": "cubic_torch"},
            patch=(1, 14, 14),
            mean=IMAGENET[0],
            std=IMAGENET[1],
            resize="bicubic",
            model_types=("dinov2", "dinov2_with_registers"),
            example="dinov2-l",
        ),
        Family(
            name="videoprism",
            title="VideoPrism",
            modality="video",
            fields={
                "attends": "factorized",
                "position": "learned",
                "activation": "gelu",
                "softcap": 50.0,
                "scale_offset": True,
                "resample": "linear_antialias",
            },
            patch=(1, 18, 18),
            clip=(16, 288, 288),
            mean=UNIT[0],
            std=UNIT[1],
            model_types=("videoprism", "videoprism_vision_model"),
            example="videoprism-b",
        ),
        Family(
            name="vjepa",
            title="V-JEPA",
            modality="video",
            # The table is stored in the checkpoint, and is this one.
            fields={"position": "sincos", "uniform_power": True, "activation": "gelu", "resample": "linear_torch"},
            patch=(2, 16, 16),
            mean=IMAGENET[0],
            std=IMAGENET[1],
            example="vjepa-l",
        ),
        Family(
            name="vjepa2",
            title="V-JEPA 2",
            modality="video",
            fields={"position": "rope", "activation": "gelu", "resample": "recompute"},
            hub={"rope_grid": True},
            patch=(2, 16, 16),
            clip=(16, 256, 256),
            mean=IMAGENET[0],
            std=IMAGENET[1],
            model_types=("vjepa2",),
            example="vjepa2-l",
        ),
        Family(
            name="videomae",
            title="VideoMAE",
            modality="video",
            fields={"position": "sinusoid", "activation": "gelu", "bias": "qv", "resample": "recompute"},
            patch=(2, 16, 16),
            mean=IMAGENET[0],
            std=IMAGENET[1],
            model_types=("videomae",),
            example="videomae-b",
        ),
        Family(
            name="videomaev2",
            title="VideoMAE v2",
            modality="video",
            fields={"position": "sinusoid", "activation": "gelu", "bias": "qv", "resample": "cubic_torch_then_linear"},
            patch=(2, 14, 14),
            mean=IMAGENET[0],
            std=IMAGENET[1],
            model_types=("VideoMAEv2_Base", "VideoMAEv2_Large", "VideoMAEv2_Huge", "VideoMAEv2_giant", "videomaev2"),
            example="videomaev2-g",
        ),
    )
}
