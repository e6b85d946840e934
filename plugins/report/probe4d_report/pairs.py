"""Predictions beside their targets, read as `probe4d score` reads them: checked, and in one frame."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from probe4d.contracts import Arrays, Kind, Role
from probe4d.errors import DataError
from probe4d.records import Record
from probe4d.registry import find
from probe4d.results import predictions_of, targets_of
from probe4d.scoring.conventions import resolve
from probe4d.scoring.fields import check_fields
from probe4d.scoring.formats import open_source
from probe4d.scoring.source import Limits, Source
from probe4d.scoring.subject import make_kind

__all__ = ["Pair", "Pairs", "open_pairs"]


@frozen(kw_only=True)
class Pair:
    """One sample: fields as the kind's metrics take them."""

    id: str
    predictions: Mapping[str, Any]
    targets: Mapping[str, Any]


@frozen(kw_only=True)
class Pairs:
    """The samples of a cell, read one at a time; a file is open only while it is read.

    Attributes:
        ids: the samples that have both, in the order of the targets.
        meta: the conventions of both files.
    """

    ids: tuple[str, ...]
    meta: Mapping[Role, Mapping[str, Any]]
    _kind: Kind
    _files: Mapping[Role, str]

    def load(self, sample_id: str) -> Pair:
        """Return a sample.

        Raises:
            DataError: it is damaged; names the file, the sample and the field.
        """
        with _opened(self._kind, self._files) as sources:
            return self._pair(sources, sample_id)

    def __iter__(self) -> Iterator[Pair]:
        with _opened(self._kind, self._files) as sources:
            for sample_id in self.ids:
                yield self._pair(sources, sample_id)

    def _pair(self, sources: Mapping[Role, Source], sample_id: str) -> Pair:
        raw = {role: self._raw(source, role, sample_id) for role, source in sources.items()}
        predictions, targets = self._kind.read(raw["predictions"], raw["targets"], self.meta)
        return Pair(
            id=sample_id,
            predictions={name: _whole(value) for name, value in predictions.items()},
            targets={name: _whole(value) for name, value in targets.items()},
        )

    def _raw(self, source: Source, role: Role, sample_id: str) -> Arrays:
        arrays = source.load(sample_id)
        check_fields(f"{source.name}: sample {sample_id!r}", self._kind.fields(role), arrays)
        return arrays


@contextmanager
def _opened(kind: Kind, files: Mapping[Role, str]) -> Iterator[dict[Role, Source]]:
    foreign: Mapping[str, str] = kind.formats() if hasattr(kind, "formats") else {}
    with ExitStack() as stack:
        yield {
            role: stack.enter_context(
                open_source(file, role, file_format=None, foreign=foreign, meta={}, limits=Limits())
            )
            for role, file in files.items()
        }


def _whole(value: Any) -> Any:
    """Return an array that streams as one in memory, so that it outlives its file."""
    streams = hasattr(value, "shape") and not isinstance(value, np.ndarray | np.generic)
    return value[: value.shape[0]] if streams else value


def open_pairs(run: Path, record: Record) -> Pairs:
    """Return the predictions and targets of a cell.

    Raises:
        DataError: a file is missing, damaged, or not inside the run's folder.
        UnknownNameError: the kind is not installed.
    """
    for name in ("predictions", "targets"):
        if not isinstance(record.content.get(name), str):
            raise DataError(
                f"{record.folder / 'record.json'}: {name}: expected a path, got {record.content.get(name)!r}."
            )
    entry = find("kinds", str(record.content["task"]["kind"]))
    kind, _ = make_kind(entry, _options(record))
    files: dict[Role, str] = {
        "predictions": _inside(run, predictions_of(record)),
        "targets": _inside(run, targets_of(record)),
    }
    with _opened(kind, files) as sources:
        meta = resolve(kind, entry.spec.schema, {role: (one.name, one.meta) for role, one in sources.items()}, {})
        given = set(sources["predictions"].ids)
        ids = tuple(sample_id for sample_id in sources["targets"].ids if sample_id in given)
    return Pairs(ids=ids, meta=meta, kind=kind, files=files)


def _options(record: Record) -> dict[str, str | None]:
    """Return the options that the cell was scored with."""
    stated = record.content.get("score_options", {})
    return {name: stated.get(name) for name in ("match", "align", "align_per")}


def _inside(run: Path, file: Path) -> str:
    """Return the file's path; a record is a stranger's, and names no file elsewhere."""
    root = run.resolve()
    if not Path(os.path.normpath(file.resolve())).is_relative_to(root):
        raise DataError(f"{file}: expected a file inside {root}, got one outside.")
    return str(file)
