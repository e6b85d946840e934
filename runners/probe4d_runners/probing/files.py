"""Predictions and targets of a sweep as the files that `probe4d score` reads: any program can score them again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from probe4d.atomic import replacing, sha256_of
from probe4d.contracts import Array, Arrays, TrainingTargets

__all__ = ["batch_samples", "finite", "write_samples", "write_with_digest"]


def batch_samples(
    made: TrainingTargets, ids: Sequence[str], targets: Arrays, decoded: Arrays | None = None
) -> Iterator[tuple[str, Arrays]]:
    """Yield id and fields of each clip of a batch: its predictions, or its targets where nothing is decoded."""
    for i, clip_id in enumerate(ids):
        own = {name: value[i] for name, value in targets.items()}
        if decoded is None:
            fields = made.file_fields("targets", own, own)
        else:
            fields = made.file_fields("predictions", {name: value[i] for name, value in decoded.items()}, own)
        if fields is not None:  # else nothing is asked of this clip; the score unit names it
            yield clip_id, fields


def write_with_digest(file: Path, samples: Iterable[tuple[str, Arrays]], meta: Mapping[str, Any]) -> dict[str, str]:
    """Write a file of samples and return what `sweep.json` says of it."""
    write_samples(file, samples, meta)
    return {"file": f"{file.parent.name}/{file.name}", "sha256": sha256_of(file)}


def finite(values: Array) -> Any:
    """Return nested lists with None for what is not finite, as JSON has no NaN."""
    if values.ndim == 0:
        return float(values) if np.isfinite(values) else None
    return [finite(value) for value in values]


def write_samples(
    file: Path, samples: Iterable[tuple[str, Arrays]], meta: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
) -> None:
    """Write an `.npz` of `<sample id>/<field>` members, one sample at a time, whole or not at all.

    Args:
        meta: or what returns it, which is called when all samples are written.
    """
    with replacing(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        if not callable(meta):
            _member(archive, "meta", np.array(json.dumps(dict(meta))))
        for sample_id, fields in samples:
            for name, value in fields.items():
                _member(archive, f"{sample_id}/{name}", np.asarray(value))
        if callable(meta):
            _member(archive, "meta", np.array(json.dumps(dict(meta()))))


def _member(archive: zipfile.ZipFile, name: str, value: Array) -> None:
    buffer = BytesIO()
    np.save(buffer, np.ascontiguousarray(value) if value.ndim else value, allow_pickle=False)
    # A fixed time, so that the same predictions are the same bytes.
    archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), buffer.getvalue())
