"""Reads the example of a kind as `probe4d score` reads a file: fields checked, conventions resolved, then `read`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probe4d.contracts import Arrays, Kind, Role
from probe4d.scoring.conventions import resolve
from probe4d.scoring.fields import check_fields
from probe4d.specs import KindSpec

__all__ = ["ROLES", "read", "read_example", "read_worst"]

ROLES: tuple[Role, ...] = ("predictions", "targets")
Canonical = tuple[Mapping[str, Any], Mapping[str, Any]]
Meta = Mapping[Role, Mapping[str, Any]]


def read(kind: Kind, spec: KindSpec, predictions: Arrays, targets: Arrays, meta: Meta) -> Canonical:
    """Return both in the canonical frame of the kind.

    Raises:
        DataError: as for a file that is wrong.
    """
    files = {role: (role, meta[role]) for role in ROLES}
    complete = resolve(kind, spec.schema, files, {})
    for role, arrays in (("predictions", predictions), ("targets", targets)):
        check_fields(role, kind.fields("predictions" if role == "predictions" else "targets"), arrays)
    canonical = kind.read(predictions, targets, complete)
    return canonical[0], canonical[1]


def read_example(kind: Kind, spec: KindSpec, seed: int) -> Canonical:
    """Return the example of that seed, read."""
    return read(kind, spec, *kind.example(seed))


def read_worst(kind: Kind, spec: KindSpec, seed: int) -> Canonical:
    """Return the worst prediction for the targets of the example, read."""
    _, targets, meta = kind.example(seed)
    complete = resolve(kind, spec.schema, {role: (role, meta[role]) for role in ROLES}, {})
    return read(kind, spec, kind.worst(targets, complete), targets, meta)
