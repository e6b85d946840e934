"""A run's folder: what was run, and one record per cell.

    <run>/run.json  plan.json  suite.toml  sessions/*.json
    <run>/cells/<cell>/{record.json, samples.jsonl, training.json, predictions.npz}

Each file is written whole or not at all, and holds the schema that it follows. A record is
written last of its cell, so a cell that has one is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from probe4d.atomic import create_json, sha256_of, write_bytes, write_json, write_text
from probe4d.cells import Cell
from probe4d.errors import DataError

__all__ = ["OUTLINE_SCHEMA", "RECORD_SCHEMA", "RUN_SCHEMA", "Record", "RunFolder", "read_record"]

RECORD_SCHEMA = "probe4d/record/1"
RUN_SCHEMA = "probe4d/run/1"
OUTLINE_SCHEMA = "probe4d/run-plan/1"


@frozen(kw_only=True)
class Record:
    """One cell's result with all that made it.

    Attributes:
        cell: what it belongs to.
        content: the record as plain JSON values; docs/records.md says what is in it.
        folder: where its files are.
    """

    cell: Cell
    content: Mapping[str, Any] = field(repr=False)
    folder: Path

    @property
    def primary(self) -> tuple[str, float]:
        """Name and value of the number that stands for the cell."""
        primary = self.content["primary"]
        return primary["name"], primary["value"]

    def samples(self) -> Iterator[dict[str, Any]]:
        """Yield a mapping per sample: `id` and `values`.

        Raises:
            DataError: the file is missing or is not the one that the record speaks of.
        """
        file = self.folder / "samples.jsonl"
        stated = self.content["files"]["samples.jsonl"]
        if not file.is_file() or sha256_of(file) != stated:
            raise DataError(f"{file}: expected the file of digest {stated[:12]}…, got another or none. Run it again.")
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


@frozen
class RunFolder:
    """The folder of a run; made when something is written to it."""

    path: Path = field(converter=Path)

    def cell(self, cell: Cell) -> Path:
        """Return the folder of a cell."""
        return self.path / "cells" / cell.folder

    def write_run(self, content: Mapping[str, Any]) -> None:
        """Write `run.json`."""
        write_json(self.path / "run.json", {"schema": RUN_SCHEMA, **content})

    def create_run(self, content: Mapping[str, Any]) -> None:
        """Write `run.json` unless there is one; of several that start at once, one does."""
        create_json(self.path / "run.json", {"schema": RUN_SCHEMA, **content})

    def read_run(self) -> dict[str, Any]:
        """Return `run.json`.

        Raises:
            DataError: this is no run's folder.
        """
        return _read(self.path / "run.json", RUN_SCHEMA)

    def write_outline(self, content: Mapping[str, Any]) -> None:
        """Write `plan.json`, which units there are, unless it says so already."""
        file = self.path / "plan.json"
        if not file.exists() or json.loads(file.read_text(encoding="utf-8")) != content:
            write_json(file, content)

    def read_outline(self) -> dict[str, Any]:
        """Return `plan.json`.

        Raises:
            DataError: there is none: nothing was started here.
        """
        return _read(self.path / "plan.json", OUTLINE_SCHEMA)

    def write_suite(self, text: str) -> None:
        """Keep the suite as it was read."""
        write_text(self.path / "suite.toml", text)

    def write_record(self, cell: Cell, content: Mapping[str, Any], samples: Iterable[Mapping[str, Any]]) -> Record:
        """Write the samples, then the record that holds their digest.

        Args:
            content: all but `schema`, `cell` and the digests of the files already in the cell's folder.
        """
        folder = self.cell(cell)
        lines = "".join(json.dumps(sample, allow_nan=False) + "\n" for sample in samples)
        write_bytes(folder / "samples.jsonl", lines.encode())
        files = {
            file.name: sha256_of(file)
            for file in sorted(folder.iterdir())
            if file.is_file() and not file.name.startswith(".") and file.name != "record.json"
        }
        whole = {
            "schema": RECORD_SCHEMA,
            "cell": {"backbone": cell.backbone, "task": cell.task, "protocol": cell.protocol, "layer": cell.layer},
            **content,
            "files": files,
        }
        write_json(folder / "record.json", whole)
        return Record(cell=cell, content=whole, folder=folder)

    def read_record(self, cell: Cell) -> Record | None:
        """Return the record of a cell, or None where it is not done."""
        file = self.cell(cell) / "record.json"
        return read_record(file) if file.exists() else None

    def records(self) -> list[Record]:
        """Return all records, in the order of their cells.

        Raises:
            DataError: one is damaged.
        """
        return [read_record(file) for file in self.record_files()]

    def record_files(self) -> list[Path]:
        """Return the files of all records, damaged ones too."""
        return sorted((self.path / "cells").glob("*/record.json"))


def read_record(file: Path) -> Record:
    """Return the record in a file.

    Raises:
        DataError: it is damaged, or none.
    """
    content = _read(file, RECORD_SCHEMA)
    try:
        cell = Cell(**content["cell"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{file}: expected the cell of a record, got none ({error}). Run it again.") from error
    return Record(cell=cell, content=content, folder=file.parent)


def _read(file: Path, schema: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{file}: expected a file of a run, got none. Is this a run's folder?") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: expected JSON, {error}.") from error
    if not isinstance(content, dict) or content.get("schema") != schema:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{file}: expected schema {schema!r}, got {found!r}.")
    return content
