"""Writes a bundle: a zip archive of a run's files with a manifest of their digests."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from probe4d import __version__, suites
from probe4d.atomic import replacing, sha256_of
from probe4d.bundling.contents import LeftOutOfBundle, Selected, aggregate_values, select_files
from probe4d.errors import DataError
from probe4d.records import RunFolder

__all__ = ["MANIFEST", "SCHEMA", "Bundle", "write_bundle"]

SCHEMA = "probe4d/bundle/1"
MANIFEST = "bundle.json"
DATE = (1980, 1, 1, 0, 0, 0)  # the same run gives the same bytes
PACKED = (".json", ".jsonl", ".toml")
BLOCK = 1 << 20


@frozen(kw_only=True)
class Bundle:
    """A bundle that was written.

    Attributes:
        digest: sha256 of its manifest, which names every other file's: publish it with the numbers.
    """

    path: Path
    digest: str
    bytes: int
    cells: int
    files: int
    left_out: tuple[LeftOutOfBundle, ...]


def write_bundle(run: RunFolder, path: Path, targets: str = "licensed") -> Bundle:
    """Write a run's bundle and say what is in it.

    Args:
        targets: which targets go in: `licensed`, `all` or `none`.

    Raises:
        NothingSelectedError: the run has no record.
        DataError: a file is not the one that its record names.
    """
    chosen = select_files(run, targets)
    _check_records(run, chosen)
    files = {name: _facts(run.path / name) for name in chosen.files}
    manifest = {
        "schema": SCHEMA,
        "probe4d": __version__,
        "suite": run.read_run()["suite"],
        "run_id": run.read_run()["run_id"],
        "cells": [record.folder.name for record in chosen.records],
        "aggregates": aggregate_values(chosen.records, _aggregates(run)),
        "left_out": [attrs.asdict(one) for one in chosen.left_out],
        "files": files,
    }
    content = (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode()
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", allowZip64=True) as archive,
    ):
        archive.writestr(_member(MANIFEST), content)
        for name, facts in files.items():
            _copy(archive, run.path / name, name, facts["sha256"])
    return Bundle(
        path=path,
        digest=hashlib.sha256(content).hexdigest(),
        bytes=path.stat().st_size,
        cells=len(chosen.records),
        files=len(files),
        left_out=chosen.left_out,
    )


def _aggregates(run: RunFolder) -> Sequence[object]:
    file = run.path / "suite.toml"
    if not file.is_file():
        return ()
    return tuple(suites.parse(file.read_text(encoding="utf-8"), str(file)).aggregates)


def _check_records(run: RunFolder, chosen: Selected) -> None:
    """Refuse a run whose files are not those that its records name.

    Raises:
        DataError: naming the file.
    """
    stated: dict[Path, str] = {}
    for record in chosen.records:
        try:
            stated |= {record.folder / name: digest for name, digest in record.content["files"].items()}
            if (name := record.content["targets"]) in chosen.files:
                stated[run.path / name] = record.content["targets_sha256"]
        except (KeyError, TypeError, AttributeError) as error:
            where = record.folder / "record.json"
            raise DataError(f"{where}: expected a whole record, got one without {error}. Run it again.") from error
    for file, digest in stated.items():
        if not file.is_file() or sha256_of(file) != digest:
            raise DataError(f"{file}: expected the file of digest {digest[:12]}…, got another or none. Run it again.")


def _facts(file: Path) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "sha256": sha256_of(file)}


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=DATE)
    info.external_attr = 0o644 << 16
    # Arrays hardly shrink, and stored they are read in place.
    info.compress_type = zipfile.ZIP_DEFLATED if name.endswith(PACKED) else zipfile.ZIP_STORED
    return info


def _copy(archive: zipfile.ZipFile, file: Path, name: str, digest: str) -> None:
    """Copy a file into the archive, and make sure that it is still the one that the manifest names."""
    found = hashlib.sha256()
    info = _member(name)
    info.file_size = file.stat().st_size
    with file.open("rb") as source, archive.open(info, "w") as member:
        while block := source.read(BLOCK):
            found.update(block)
            member.write(block)
    if found.hexdigest() != digest:
        raise DataError(f"{file}: expected it to stay as it is, got other bytes. Bundle a run that has ended.")
