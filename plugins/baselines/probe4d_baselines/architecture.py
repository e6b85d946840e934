"""Which model a file is: the named one, what its config and its arrays say, and what the user gives."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import evolve, frozen

from probe4d.errors import DataError, UsageError
from probe4d_baselines import shapes
from probe4d_baselines.families import Family
from probe4d_baselines.layouts import Found
from probe4d_baselines.models import MODELS, Model
from probe4d_vit.checkpoints import Checkpoint
from probe4d_vit.config import VitConfig

Grid: TypeAlias = tuple[int, int, int]

log = logging.getLogger("probe4d")

# What a file may not contradict; eps, softcap, biases and the input are taken from its config.
STRUCTURE = ("width", "depth", "heads", "mlp", "patch", "temporal_depth", "registers", "activation")


@frozen
class Architecture:
    """A model ready to be filled.

    Attributes:
        config: on the grid that it is run on.
        native: grid of the stored position table; None where none is stored.
        note: what the user should know when positions are resized.
    """

    config: VitConfig
    native: Grid | None
    note: str = ""

    @property
    def native_config(self) -> VitConfig:
        """The configuration that the stored arrays have."""
        return self.config if self.native is None else evolve(self.config, grid=self.native)


@frozen
class Wanted:
    """What the caller asks for, before any file is looked at."""

    family: Family
    model: Model | None
    given: Mapping[str, Any]
    clip: tuple[int | None, int | None, int | None]
    rules: str

    @classmethod
    def of(cls, family: Family, model: Model | None, given: Mapping[str, Any], rules: str) -> Wanted:
        """Return it, from options by name; those that are None say nothing."""
        said = {name: value for name, value in given.items() if value is not None}
        frames, size = said.pop("frames", None), said.pop("size", None)
        if frames is not None and not _is_count(frames):
            raise UsageError(f"frames: expected a number of at least 1, got {frames!r}.")
        height, width = (size, size) if size is None or isinstance(size, int) else _pair(size)
        if "patch" in said:
            said["patch"] = _patch(said["patch"], family)
        return cls(family, model, said, (frames, height, width), rules)

    @property
    def name(self) -> str:
        """Of the model or the family, for messages."""
        return self.model.name if self.model else self.family.name

    def without_file(self) -> Architecture:
        """Return the model of random values; a family's name is its example."""
        model = self.model or MODELS[self.family.example]
        config = self._config({**model.fields, **self.given}, _clip(self.clip, model.clip), {})
        return Architecture(config, None)

    def of_file(self, checkpoint: Checkpoint, found: Found, hub: Mapping[str, Any]) -> Architecture:
        """Return the model that a file is of.

        Args:
            hub: what the config beside it says; empty where there is none.

        Raises:
            DataError: it contradicts its config, or the model that was named.
            UsageError: neither says something that has to be known.
        """
        arrays = shapes.fields_of(checkpoint, found)
        told = [("config.json", hub), (str(checkpoint.path), arrays)]
        if self.model:
            told.insert(0, (self.model.name, self.model.fields))
        fields = {**_agreed(told, self.given, self.family), **self.given}
        fields = _published_heads(fields, self.family) | fields
        stored = shapes.table_grid(
            checkpoint, found, cls=bool(self.family.fields.get("cls")), position=self.family.fields["position"]
        )
        if self.model and fields.get("final_norm") is False:
            log.warning(
                "%s: %s is a finetuned file: its tokens have no norm. The paper takes self-supervised weights.",
                self.name,
                checkpoint.path,
            )
        clip, native = self._grids(fields, hub, stored)
        config = self._config(fields, clip, hub)
        if stored is None and config.position in ("learned", "sincos"):
            raise UsageError(
                f"{checkpoint.path}: expected a position table whose grid is known. Give it: --set frames=16 "
                "--set size=224, of the input that the weights were trained on."
            )
        if config.position == "sinusoid" and self.model is None and not hub and None in self.clip:
            # Nothing says what it was trained on: positions are those of whatever input it gets.
            config = evolve(config, resample="recompute")
        if native is not None and config.attends == "frame":
            native = (config.grid[0], *native[1:])
        return Architecture(config, native, self._note(found, config))

    def _grids(
        self, fields: Mapping[str, Any], hub: Mapping[str, Any], stored: Grid | None
    ) -> tuple[Grid, Grid | None]:
        """Return the clip to run on, and the grid of the stored table."""
        patch = fields["patch"]
        trained = tuple(cells * size for cells, size in zip(stored, patch, strict=True)) if stored else None
        if trained and self.family.modality == "image":
            trained = (self.family.clip[0], *trained[1:])
        nominal = self.model.clip if self.model else hub.get("clip") or trained or _fitting(self.family.clip, patch)
        return _clip(self.clip, nominal), stored

    def _config(self, fields: Mapping[str, Any], clip: Grid, hub: Mapping[str, Any]) -> VitConfig:
        values = {**self.family.fields, "resample": self.family.resample(fields.get("registers", 0), self.rules)}
        values |= {name: value for name, value in fields.items() if name != "clip"}
        _need(values, self.name)
        patch = values["patch"]
        if any(size < cell or size % cell for size, cell in zip(clip, patch, strict=True)):
            raise UsageError(f"frames, size: expected multiples of the patch {patch}, got {clip}.")
        grid = tuple(size // cell for size, cell in zip(clip, patch, strict=True))
        if self.rules == "hub" and self.family.hub.get("rope_grid"):
            trained = hub.get("clip", clip)
            values["rope_grid"] = tuple(size // cell for size, cell in zip(trained, patch, strict=True))
        return VitConfig(**values, grid=grid)

    def _note(self, found: Found, config: VitConfig) -> str:
        """Return what to say when a clip of another size comes, where the hub's port does otherwise."""
        if not found.layout.hub or self.model or self.rules == "hub" or not self.family.hub or "resample" in self.given:
            return ""
        if config.resample == self.family.hub.get("resample"):
            return ""
        return (
            f"{self.name}: positions away from the native size are those of the authors' code; "
            "the hub's port has others: --set rules=hub"
        )


def _agreed(told: Sequence[tuple[str, Mapping[str, Any]]], given: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return what all say, later ones filling and overriding, and refuse what they contradict."""
    fields: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for who, says in told:
        for name, value in says.items():
            value = tuple(value) if isinstance(value, list) else value
            if name in STRUCTURE and name not in given and name in fields and fields[name] != value:
                raise DataError(
                    f"{who}: {name}: expected {fields[name]!r} as {said_by[name]} says, got {value!r}. "
                    f"Load it as {family.name!r}, or give --set {name}=… of the model that it is."
                )
            fields[name] = value
            said_by.setdefault(name, who)
    return fields


def _published_heads(fields: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return the heads of the published model of these sizes: a fused projection does not tell them."""
    sizes = ("width", "depth", "mlp")
    for model in MODELS.values():
        if model.family == family.name and all(getattr(model, name) == fields.get(name) for name in sizes):
            return {"heads": model.heads}
    return {}


def _need(values: Mapping[str, Any], name: str) -> None:
    """Refuse a model of which something is not known."""
    missing = [key for key in ("width", "depth", "mlp", "patch", "heads") if key not in values]
    if missing:
        raise UsageError(
            f"{name}: expected {missing[0]}, which neither a config.json nor the shapes of the arrays tell. "
            f"Give it: --set {missing[0]}=…"
        )


def _clip(given: Sequence[int | None], nominal: Sequence[int]) -> Grid:
    t, h, w = (int(own) if own is not None else size for own, size in zip(given, nominal, strict=True))
    return t, h, w


def _fitting(clip: Grid, patch: Grid) -> Grid:
    """Return a clip of about that size, in whole patches."""
    t, h, w = (max(size // cell, 1) * cell for size, cell in zip(clip, patch, strict=True))
    return t, h, w


def _pair(size: Any) -> tuple[int, int]:
    if not isinstance(size, Sequence) or len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise UsageError(f"size: expected a side or (height, width), got {size!r}.")
    return size[0], size[1]


def _patch(patch: Any, family: Family) -> Grid:
    sides = (family.patch[0], patch, patch) if isinstance(patch, int) else patch
    if not isinstance(sides, Sequence) or len(sides) != 3 or not all(map(_is_count, sides)):
        raise UsageError(f"patch: expected a side or (t, h, w) of at least 1, got {patch!r}.")
    return sides[0], sides[1], sides[2]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value > 0
