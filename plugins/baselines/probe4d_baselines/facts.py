"""What a spec says of a model as its options make it: input, tokens, depth. Imports no array library at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from probe4d.errors import UsageError, did_you_mean
from probe4d.specs import BackboneSpec, TokenGrid, VideoInput
from probe4d_baselines.families import FAMILIES, Family
from probe4d_baselines.models import MODELS
from probe4d_vit.config import VitConfig, per_channel
from probe4d_vit.table import count

__all__ = ["OPTIONS", "check_options", "configure", "video_input", "with_grid"]

# Of `backbone.load`: what makes another model, and what does not.
STRUCTURE = (
    "width", "depth", "heads", "mlp", "patch", "temporal_depth", "registers", "activation", "eps", "resample",
    "layer_rule",
)  # fmt: skip
OPTIONS = (*STRUCTURE, "frames", "size", "rules", "weights_key", "mean", "std", "dtype", "attention")


def configure(spec: BackboneSpec, options: Mapping[str, Any]) -> tuple[BackboneSpec, dict[str, Any]]:
    """Return the spec with the facts that options say, and the options.

    A family's name states its example, until `width` and the others say which of its models it is. Where they do
    not, its file will: `heads` alone only tells what shapes do not.

    Raises:
        UsageError: no such option, or values that no model has.
    """
    check_options(spec.name, options, OPTIONS)
    if not options:
        return spec, {}
    from probe4d_baselines.architecture import Wanted

    family, variant = FAMILIES[spec.options["family"]], spec.options["variant"]
    model = MODELS[variant] if variant is not None else None
    structure = STRUCTURE if model is not None or "width" in options else ()
    given = {name: options[name] for name in (*structure, "frames", "size") if name in options}
    config = Wanted.of(family, model, given, options.get("rules", "original")).without_file().config
    facts = with_grid(spec, family, config)
    if any(name in options for name in structure):
        facts = evolve(facts, depth=config.total_depth, params=count(config))
    mean, std = per_channel(*(options.get(name, getattr(facts.input, name)) for name in ("mean", "std")))
    return evolve(facts, input=evolve(facts.input, mean=mean, std=std)), dict(options)


def with_grid(spec: BackboneSpec, family: Family, config: VitConfig) -> BackboneSpec:
    """Return the spec with the input and the tokens of a configuration."""
    t, h, w = config.grid
    return evolve(
        spec, input=video_input(family, config.clip), tokens=TokenGrid(time=t, space=h * w, channels=config.width)
    )


def video_input(family: Family, clip: Sequence[int]) -> VideoInput:
    """Return the input of a model of a family that takes clips of `(frames, height, width)`."""
    frames, height, width = clip
    return VideoInput(frames=frames, height=height, width=width, mean=family.mean, std=family.std, resize=family.resize)


def check_options(name: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse an option that a backbone does not have.

    Raises:
        UsageError: there is one; names the nearest.
    """
    for option in options:
        if option not in known:
            raise UsageError(
                f"{name}: expected options among {', '.join(known)}, got {option!r}.{did_you_mean(option, known)}"
            )
