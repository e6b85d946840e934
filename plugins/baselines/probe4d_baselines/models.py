"""The published models: sizes, licences, where the weights are. Imports no array library."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen

from probe4d.specs import Weights
from probe4d_baselines.families import FAMILIES, Family
from probe4d_vit.config import VitConfig
from probe4d_vit.table import count


@frozen(kw_only=True)
class Model:
    """One published model.

    Attributes:
        width, depth, heads, mlp, temporal_depth, registers, activation, patch: see `VitConfig`.
        native: grid of tokens `(t, h, w)` of the position table in its checkpoint.
        clip: `(frames, height, width)` that we run it on.
        head: it has an attention-pooling head, which is no part of the encoder but of the published size.
        paper_millions: parameters as the 4DS paper prints them; None for a neighbour.
        licence: of the weights, and of the code where that differs.
    """

    name: str
    family: str
    width: int
    depth: int
    heads: int
    mlp: int
    patch: tuple[int, int, int]
    native: tuple[int, int, int]
    clip: tuple[int, int, int]
    temporal_depth: int = 0
    registers: int = 0
    activation: str | None = None
    head: bool = False
    paper_millions: int | None = None
    licence: str
    weights: Weights
    remark: str = ""

    @property
    def of(self) -> Family:
        """The family's record."""
        return FAMILIES[self.family]

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of `VitConfig` that this size adds to its family's."""
        names = ("width", "depth", "heads", "mlp", "patch", "temporal_depth", "registers")
        return {name: getattr(self, name) for name in names} | (
            {"activation": self.activation} if self.activation else {}
        )

    @property
    def grid(self) -> tuple[int, int, int]:
        """Tokens of the clip that we run it on."""
        t, h, w = (size // cell for size, cell in zip(self.clip, self.patch, strict=True))
        return t, h, w

    def config(self, grid: tuple[int, int, int] | None = None) -> VitConfig:
        """Return the encoder, on the grid of its published table unless another is given."""
        fields = {**self.of.fields, "resample": self.of.resample(self.registers, "original"), **self.fields}
        return VitConfig(**fields, grid=grid or self.native)

    @property
    def params(self) -> int:
        """Parameters of the encoder as published, its position table included."""
        return count(self.config())

    @property
    def total_params(self) -> int:
        """The same with the pooling head, where it has one."""
        d, m = self.width, self.mlp
        head = d + 4 * d * d + 4 * d + 2 * d + 2 * d * m + m + d  # probe, attention, norm, MLP
        return self.params + (head if self.head else 0)


def _siglip(name: str, size: int, patch: int, sizes: tuple[int, int, int, int], **rest: Any) -> Model:
    width, depth, heads, mlp = sizes
    cells = size // patch
    return Model(
        name=name, family="siglip", width=width, depth=depth, heads=heads, mlp=mlp, patch=(1, patch, patch),
        native=(16, cells, cells), clip=(16, size, size), head=True, **rest,
    )  # fmt: skip


_DINOV2 = "https://dl.fbaipublicfiles.com/dinov2"


def _dinov2(letter: str, sizes: tuple[int, int, int, int], paper: int | None = None) -> Iterable[Model]:
    width, depth, heads, mlp = sizes
    for registers in (0, 4):
        stem = f"dinov2_vit{letter}14"
        file = f"{stem}_reg4_pretrain.pth" if registers else f"{stem}_pretrain.pth"
        yield Model(
            name=f"dinov2-{letter}{'-reg' if registers else ''}",
            family="dinov2",
            width=width,
            depth=depth,
            heads=heads,
            mlp=mlp,
            patch=(1, 14, 14),
            native=(16, 37, 37),  # trained at 518 x 518
            clip=(16, 224, 224),
            registers=registers,
            activation="swiglu" if letter == "g" else "gelu",
            paper_millions=None if registers else paper,
            licence="Apache-2.0",
            weights=Weights(url=f"{_DINOV2}/{stem}/{file}", format="pth"),
            remark="with four registers" if registers else "",
        )


def _videoprism(letter: str, sizes: tuple[int, int, int, int], frames: int, **rest: Any) -> Model:
    width, depth, heads, mlp = sizes
    return Model(
        name=f"videoprism-{letter}", family="videoprism", width=width, depth=depth, heads=heads, mlp=mlp,
        temporal_depth=4, patch=(1, 18, 18), native=(frames, 16, 16), clip=(16, 288, 288),
        licence="code Apache-2.0, weights CC-BY-4.0", **rest,
    )  # fmt: skip


def _video(name: str, family: str, sizes: tuple[int, int, int, int], size: int, patch: int, **rest: Any) -> Model:
    width, depth, heads, mlp = sizes
    cells = size // patch
    return Model(
        name=name, family=family, width=width, depth=depth, heads=heads, mlp=mlp, patch=(2, patch, patch),
        native=(8, cells, cells), clip=(16, size, size), **rest,
    )  # fmt: skip


_B, _L, _H = (768, 12, 12, 3072), (1024, 24, 16, 4096), (1280, 32, 16, 5120)
_NC = "CC-BY-NC-4.0"
_JEPA, _JEPA2 = "https://dl.fbaipublicfiles.com/jepa", "https://dl.fbaipublicfiles.com/vjepa2"

# Sources: Table 2 of the paper (sizes in millions) and the releases named in `families`.
ALL: tuple[Model, ...] = (
    _siglip(
        "siglip-2b",
        224,
        14,
        (1536, 48, 16, 8192),
        paper_millions=1705,
        licence="not released",
        weights=Weights(public=False, nearest="siglip2-g-opt"),
        remark="big_vision's G-opt, as PaLI-3 has it",
    ),
    _siglip(
        "siglip-so400m",
        224,
        14,
        (1152, 27, 16, 4304),
        licence="Apache-2.0",
        weights=Weights(url="gs://big_vision/siglip/webli_en_so400m_224_57633886.npz", format="npz"),
    ),
    _siglip(
        "siglip2-g-opt",
        256,
        16,
        (1536, 40, 16, 6144),
        licence="Apache-2.0",
        weights=Weights(url="gs://big_vision/siglip2/siglip2_g-opt16_256.npz", format="npz"),
        remark="SigLIP 2",
    ),
    *_dinov2("s", (384, 12, 6, 1536)),
    *_dinov2("b", _B),
    *_dinov2("l", _L, paper=303),
    *_dinov2("g", (1536, 40, 24, 4096), paper=1135),
    _videoprism(
        "b",
        _B,
        16,
        paper_millions=114,
        weights=Weights(url="hf://google/videoprism-base-f16r288/flax_base_f16r288_repeated.npz", format="npz"),
        remark="the public weights score below the paper's",
    ),
    _videoprism(
        "l",
        _L,
        8,
        weights=Weights(url="hf://google/videoprism-large-f8r288/flax_large_f8r288_repeated.npz", format="npz"),
        remark="trained on 8 frames",
    ),
    _videoprism(
        "g",
        (1408, 40, 16, 6144),
        8,
        paper_millions=1113,
        weights=Weights(public=False, nearest="videoprism-l"),
        remark="only its configuration is released",
    ),
    _video(
        "vjepa-l", "vjepa", _L, 224, 16, paper_millions=307, licence=_NC,
        weights=Weights(url=f"{_JEPA}/vitl16/vitl16.pth.tar", format="pth.tar"),
    ),
    _video(
        "vjepa-h", "vjepa", _H, 224, 16, paper_millions=635, licence=_NC,
        weights=Weights(url=f"{_JEPA}/vith16/vith16.pth.tar", format="pth.tar"),
    ),
    _video(
        "vjepa2-l", "vjepa2", _L, 256, 16, licence="MIT", weights=Weights(url=f"{_JEPA2}/vitl.pt", format="pt"),
    ),
    _video(
        "vjepa2-h", "vjepa2", _H, 256, 16, licence="MIT", weights=Weights(url=f"{_JEPA2}/vith.pt", format="pt"),
    ),
    _video(
        "vjepa2-g", "vjepa2", (1408, 40, 22, 6144), 256, 16, licence="MIT",
        weights=Weights(url=f"{_JEPA2}/vitg.pt", format="pt"),
    ),
    _video(
        "videomae-b", "videomae", _B, 224, 16, paper_millions=87, licence=_NC,
        weights=Weights(url="hf://MCG-NJU/videomae-base", format="safetensors"),
    ),
    _video(
        "videomae-l", "videomae", _L, 224, 16, paper_millions=305, licence=_NC,
        weights=Weights(url="hf://MCG-NJU/videomae-large", format="safetensors"),
    ),
    _video(
        "videomae-h", "videomae", _H, 224, 16, paper_millions=633, licence=_NC,
        weights=Weights(url="https://github.com/MCG-NJU/VideoMAE/blob/main/MODEL_ZOO.md", format="pth"),
        remark="self-supervised weights by the links of that page",
    ),
    _video(
        "videomaev2-g", "videomaev2", (1408, 40, 16, 6144), 224, 14, paper_millions=1013, licence=_NC,
        weights=Weights(url="hf://OpenGVLab/VideoMAEv2-giant", format="safetensors"),
    ),
)  # fmt: skip

MODELS: dict[str, Model] = {model.name: model for model in ALL}
