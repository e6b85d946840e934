"""Predictions and targets of a sweep as the files that `probe4d score` reads: any program can score them again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from probe4d.atomic import replacing
from probe4d.contracts import Array, Arrays

__all__ = ["write_samples"]


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
