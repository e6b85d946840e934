"""What this plugin provides: 4DS in every size, with weights and without, patch colours and optical flow."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from probe4d import BackboneSpec, CommandSpec, TokenGrid, VideoInput, Weights, hookimpl
from probe4d_fourds.floors import flow, pixels
from probe4d_fourds.sizes import PAPER, SIZES, SMALL, vit_config
from probe4d_vit.config import VitConfig
from probe4d_vit.table import count

PROBE4D_PLUGIN_API = 1

_TARGET = "probe4d_fourds.backbone:load"
_RELEASE = "https://storage.googleapis.com/representations4d/checkpoints/"
_TRAINING = ("jax>=0.8", "optax>=0.2.4", "orbax-checkpoint>=0.11", "grain>=0.2.10")
_LICENCE = "code Apache-2.0, weights CC-BY-4.0"

# Source: the checkpoint table of github.com/google-deepmind/representations4d. Its ViT-B was distilled
# from 4DS-e and is not the B of the paper's tables, so it has the release's name.
_PUBLIC = {
    "4ds-e": Weights(url=_RELEASE + "scaling4d_e.npz", format="npz"),
    "4ds-b-dist-e": Weights(url=_RELEASE + "scaling4d_dist_b.npz", format="npz"),
}

# Ours, trained on `playroom` by the command in docs/pretraining.md.
_SHIPPED = {
    "4ds-mini": Weights(url="probe4d_fourds:weights/4ds-mini.safetensors.index.json", format="safetensors"),
    "4ds-micro": Weights(url="probe4d_fourds:weights/4ds-micro.safetensors", format="safetensors"),
}
_TWIN = "4ds-mini-image"

# Each size is checked as a micro model on a tiny clip: the code is the same, the seconds are not.
_CHECKED = evolve(vit_config("4ds-micro"), grid=(2, 4, 4))
_SMALL = {
    "options": {"variant": "4ds-micro", "frames": 4, "size": 32},
    "input": {"frames": 4, "height": 32, "width": 32},
    "tokens": {"time": 2, "space": 16, "channels": _CHECKED.width},
    "params": count(_CHECKED),
    "depth": _CHECKED.depth,
}
_RELEASED_RULE = {
    "a_layer_is_named_by_number_too": "the released code's layer 1.0 leaves the last block out, the integer does not"
}
_FAMILY = "4ds"
_NAMES = [_FAMILY, *SIZES, *(f"{variant}-random" for variant in SIZES), "4ds-b-dist-e"]
_TWINS = [_TWIN, f"{_TWIN}-random"]
_SMALL_TWIN = {
    **_SMALL,
    "tokens": {"time": 4, "space": 16, "channels": _CHECKED.width},
    "options": {"variant": "4ds-micro", "frames": 4, "size": 32, "image": True},
    "params": count(evolve(_CHECKED, attends="frame")),
}
PROBE4D_CONFORMANCE = {
    "small": dict.fromkeys(_NAMES, _SMALL) | dict.fromkeys(_TWINS, _SMALL_TWIN),
    "expected_failed_checks": {f"backbones/{name}": _RELEASED_RULE for name in [*_NAMES, *_TWINS]},
}


@hookimpl
def probe4d_backbones() -> Iterator[BackboneSpec]:
    """Return any 4DS file, every size twice, needing weights and random, the distilled B, the pixels and the flow."""
    yield _of_any_size()
    for variant in SIZES:
        yield _pretrained(variant, variant)
        yield _random(variant)
    yield _pretrained("4ds-b-dist-e", "4ds-b")
    yield from _image_twins()
    yield pixels()
    yield flow()


@hookimpl
def probe4d_commands() -> Iterator[CommandSpec]:
    """Return `train` and `reconstruct`."""
    yield CommandSpec(
        name="train",
        target="probe4d_fourds.training_command:command",
        summary="Pretrain a 4DS model by masked auto-encoding of video.",
        requires=_TRAINING,
        extra="probe4d[train]",
    )
    yield CommandSpec(
        name="reconstruct",
        target="probe4d_fourds.reconstruction:command",
        summary="Draw what a masked auto-encoder makes of the few patches that it sees.",
        requires=("jax>=0.8", "av>=14", "pillow>=10"),
        extra="probe4d[jax,video]",
    )


def _pretrained(name: str, variant: str) -> BackboneSpec:
    weights = _PUBLIC.get(name) or _SHIPPED.get(name) or Weights(public=False, nearest=_nearest(variant))
    if name in SMALL:
        summary = "ours, small enough for a CPU; trained on playroom, weights included"
    elif name not in PAPER:
        summary = "the published ViT-B: distilled from 4DS-e, not the paper's B"
    else:
        summary = f"masked autoencoder on video, {PAPER[name].encoder_millions} M as the paper prints it"
    if not weights.public and name in PAPER:
        summary += "; weights not public"
    return _spec(name, variant, summary, {"variant": variant}, weights)


def _of_any_size() -> BackboneSpec:
    """Return the spec of any file of the released layout; its facts are those of the published ViT-B."""
    example = "4ds-b-dist-e"
    return evolve(
        _pretrained(example, "4ds-b"),
        name=_FAMILY,
        summary=f"any 4DS file, of the size that its arrays have; these facts are those of {example}",
        options={"variant": None},
        tags=("video", "4ds", "family"),
    )


def _image_twins() -> Iterator[BackboneSpec]:
    """Return the twin of mini whose frames do not see each other, needing weights and random."""
    for random in (False, True):
        name = f"{_TWIN}-random" if random else _TWIN
        spec = _spec(
            name,
            "4ds-mini",
            "the image twin of 4ds-mini: same size and recipe, each frame by itself"
            + ("; random weights" if random else "; train it by docs/pretraining.md"),
            {"variant": "4ds-mini", "image": True, **({"random": True} if random else {})},
            None if random else Weights(public=False, nearest="4ds-mini"),
        )
        config = vit_config("4ds-mini")
        frames, (_, h, w) = config.clip[0], config.grid
        twin = evolve(config, attends="frame", grid=(frames, h, w))
        yield evolve(
            spec,
            modality="image",
            tags=("image", *spec.tags[1:]),
            tokens=TokenGrid(time=frames, space=h * w, channels=config.width),
            params=count(twin),
        )


def _nearest(variant: str) -> str | None:
    if variant in SMALL:
        return None
    return "4ds-e" if variant in ("4ds-g", "4ds-j") else "4ds-b-dist-e"


def _random(variant: str) -> BackboneSpec:
    summary = f"{variant} with random weights: a floor, it has learned nothing"
    return _spec(f"{variant}-random", variant, summary, {"variant": variant, "random": True}, None)


def _spec(name: str, variant: str, summary: str, options: dict[str, object], weights: Weights | None) -> BackboneSpec:
    config: VitConfig = vit_config(variant)
    frames, height, width = config.clip
    t, h, w = config.grid
    return BackboneSpec(
        name=name,
        target=_TARGET,
        summary=summary,
        options=options,
        licence=_LICENCE if weights is not None and weights.public else None,
        tags=("video", "4ds", *(("random",) if weights is None else ())),
        input=VideoInput(frames=frames, height=height, width=width),
        tokens=TokenGrid(time=t, space=h * w, channels=config.width),
        params=count(config),
        depth=config.depth,
        trainable=True,
        weights=weights,
    )
