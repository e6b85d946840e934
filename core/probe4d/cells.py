"""A cell, `backbone x task x protocol x layer`: what a number belongs to."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from attrs import field, frozen

from probe4d.errors import UsageError

__all__ = ["BackboneRef", "Cell", "escape"]


def escape(text: str) -> str:
    """Return the text as the name of a folder; `unquote` undoes it."""
    return quote(text, safe="@+=,")


@frozen(kw_only=True)
class BackboneRef:
    """A backbone as a suite names it.

    Attributes:
        name: canonical name of the spec.
        label: what tables call it; tells apart runs of one backbone with other weights or seeds.
        weights: file or URL of a checkpoint; `None` takes the spec's own.
        options: further arguments of the backbone's target.
    """

    name: str
    label: str
    weights: str | None = None
    seed: int = 0
    options: dict[str, Any] = field(factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Return what `probe4d.load_backbone` takes, as plain JSON values."""
        return {"name": self.name, "weights": self.weights, "seed": self.seed, **self.options}


@frozen(kw_only=True, order=True)
class Cell:
    """One entry of the results.

    Attributes:
        backbone: label of a `BackboneRef`.
        task, protocol: canonical names.
        layer: depth as a fraction, or a number of blocks.
    """

    backbone: str
    task: str
    protocol: str
    layer: float | int

    @property
    def id(self) -> str:
        """Return `backbone~task~protocol~layer`."""
        return "~".join((self.backbone, self.task, self.protocol, str(self.layer)))

    @property
    def folder(self) -> str:
        """Return the name of the cell's folder in a run."""
        return escape(self.id)

    @classmethod
    def of_folder(cls, name: str) -> Cell:
        """Return the cell whose folder has that name.

        Raises:
            UsageError: it is no such name.
        """
        parts = unquote(name).split("~")
        try:
            backbone, task, protocol, layer = parts
            return cls(backbone=backbone, task=task, protocol=protocol, layer=_layer(layer))
        except ValueError as error:
            raise UsageError(f"{name}: expected the folder of a cell, backbone~task~protocol~layer.") from error


def _layer(text: str) -> float | int:
    return int(text) if text.isdecimal() else float(text)
