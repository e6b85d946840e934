"""Predictions beside their targets, read as `probe4d score` reads them: checked, and in one frame."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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

ROLES: tuple[Role, ...] = ("predictions", "targets")


@frozen(kw_only=True)
class Pair:
    """One sample: fields as the kind's metrics take them."""

    id: str
    predictions: Mapping[str, Any]
    targets: Mapping[str, Any]


@frozen(kw_only=True)
class Pairs:
    """The samples of a cell, read one at a time.

    Attributes:
        ids: the samples that have both, in the order of the targets.
        meta: the conventions of both files.
    """

    ids: tuple[str, ...]
    meta: Mapping[Role, Mapping[str, Any]]
    _kind: Kind
    _sources: Mapping[Role, Source]

    def load(self, sample_id: str) -> Pair:
        """Return a sample.

        Raises:
            DataError: it is damaged; names the file, the sample and the field.
        """
        raw = {role: self._raw(role, sample_id) for role in ROLES}
        predictions, targets = self._kind.read(raw["predictions"], raw["targets"], self.meta)
        return Pair(id=sample_id, predictions=predictions, targets=targets)

    def _raw(self, role: Role, sample_id: str) -> Arrays:
        source = self._sources[role]
        arrays = source.load(sample_id)
        check_fields(f"{source.name}: sample {sample_id!r}", self._kind.fields(role), arrays)
        return arrays

    def __iter__(self) -> Iterator[Pair]:
        return (self.load(sample_id) for sample_id in self.ids)


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
    kind, _ = make_kind(entry, _options(entry, record))
    foreign: Mapping[str, str] = kind.formats() if hasattr(kind, "formats") else {}
    files = {"predictions": predictions_of(record), "targets": targets_of(record)}
    sources: dict[Role, Source] = {
        role: open_source(_inside(run, files[role]), role, file_format=None, foreign=foreign, meta={}, limits=Limits())
        for role in ROLES
    }
    meta = resolve(kind, entry.spec.schema, {role: (one.name, one.meta) for role, one in sources.items()}, {})
    given = set(sources["predictions"].ids)
    ids = tuple(sample_id for sample_id in sources["targets"].ids if sample_id in given)
    return Pairs(ids=ids, meta=meta, kind=kind, sources=sources)


def _options(entry: Any, record: Record) -> dict[str, str | None]:
    """Return the options that the cell was scored with."""
    stated = record.content.get("score_options", {})
    return {name: stated.get(name) for name in ("match", "align", "align_per")}


def _inside(run: Path, file: Path) -> str:
    """Return the file's path; a record is a stranger's, and names no file elsewhere."""
    root = run.resolve()
    if not Path(os.path.normpath(file.resolve())).is_relative_to(root):
        raise DataError(f"{file}: expected a file inside {root}, got one outside.")
    return str(file)
