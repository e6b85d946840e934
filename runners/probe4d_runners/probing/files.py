"""Predictions and targets of a sweep as the files that `probe4d score` reads: any program can score them again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from probe4d.atomic import replacing
from probe4d.contracts import Array, Arrays, Role
from probe4d.errors import UsageError

__all__ = ["SCORE_OPTIONS", "file_fields", "file_meta", "write_samples"]

# The conventions of what readouts decode, and of stacked targets, by kind.
META: Mapping[str, Mapping[Role, Mapping[str, Any]]] = {
    "points": {
        "predictions": {"order": "xy", "coords": "pixels", "frame_size": [256, 256]},
        "targets": {"order": "xy", "coords": "pixels", "query_mode": "first"},
    },
    "boxes": {
        "predictions": {"order": "yxyx", "coords": "normalized"},
        "targets": {"order": "yxyx", "coords": "normalized"},
    },
    "depth": {
        "predictions": {"unit": "metre", "surface": "z", "quantity": "depth"},
        "targets": {"unit": "metre", "surface": "z", "quantity": "depth"},
    },
    "pose": {
        "predictions": {"unit": "metre", "direction": "first_to_last", "axes": "opencv"},
        "targets": {"unit": "metre", "direction": "first_to_last", "axes": "opencv"},
    },
    "labels": {"predictions": {}, "targets": {}},
}
FIELDS: Mapping[str, Mapping[Role, Sequence[str]]] = {
    "points": {"predictions": ("tracks", "visible"), "targets": ("tracks", "visible", "query_points", "frame_size")},
    "boxes": {"predictions": ("boxes", "present"), "targets": ("boxes", "present")},
    "depth": {"predictions": ("depth",), "targets": ("depth", "valid")},
    "pose": {"predictions": ("pose",), "targets": ("pose",)},
    "labels": {"predictions": ("logits",), "targets": ("label",)},
}
# Rows of predictions are those of targets, by construction.
SCORE_OPTIONS: Mapping[str, Mapping[str, Any]] = {"boxes": {"match": "rows"}}
ROWS = ("tracks", "visible", "query_points", "boxes", "present")


def file_meta(kind: str, role: Role) -> dict[str, Any]:
    """Return the conventions that a file of this kind states.

    Raises:
        UsageError: the kind is not one that readouts are trained for.
    """
    if kind not in META:
        raise UsageError(f"kind: expected one of {', '.join(META)}, got {kind!r}.")
    return {"schema": f"probe4d/{kind}/1", **META[kind][role]}


def file_fields(kind: str, role: Role, sample: Arrays, mask: Array | None) -> Arrays:
    """Return the fields of one sample, rows of padding dropped.

    Args:
        mask: `(n,)`, the rows that are real; None for kinds without rows.
    """
    fields = {name: np.asarray(sample[name]) for name in FIELDS[kind][role]}
    return fields if mask is None else {n: v[mask] if n in ROWS else v for n, v in fields.items()}


def write_samples(file: Path, samples: Iterable[tuple[str, Arrays]], meta: Mapping[str, Any]) -> None:
    """Write an `.npz` of `<sample id>/<field>` members, one sample at a time, whole or not at all."""
    with replacing(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        _member(archive, "meta", np.array(json.dumps(dict(meta))))
        for sample_id, fields in samples:
            for name, value in fields.items():
                _member(archive, f"{sample_id}/{name}", value)


def _member(archive: zipfile.ZipFile, name: str, value: Array) -> None:
    buffer = BytesIO()
    np.save(buffer, np.ascontiguousarray(value) if value.ndim else value, allow_pickle=False)
    # A fixed time, so that the same predictions are the same bytes.
    archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), buffer.getvalue())
