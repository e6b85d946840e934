"""A cell, `backbone x task x protocol x layer`: what a number belongs to."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from attrs import field, frozen

__all__ = ["BackboneRef", "Cell", "escape"]


LONGEST = 200  # characters of a name; file systems take 255 bytes


def escape(text: str) -> str:
    """Return the text as the name of a file; a long one is cut, and told from others by a digest."""
    escaped = quote(text, safe="@+=,")
    if len(escaped) <= LONGEST:
        return escaped
    return f"{escaped[: LONGEST - 17]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"


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
