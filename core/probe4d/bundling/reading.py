"""Reads a bundle that came from anywhere: nothing of it is believed before it is checked, nothing leaves its folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from probe4d.bundling.writing import BLOCK, MANIFEST, SCHEMA
from probe4d.errors import DataError
from probe4d.scoring.archive import check_member
from probe4d.scoring.source import fail

__all__ = ["DEFAULT_BYTES", "OpenedBundle", "unpack"]

DEFAULT_BYTES = 100 * 10**9
MANIFEST_BYTES = 64 << 20
RATIO = 200  # text of numbers packs to a tenth; beyond this an archive is made to burst
SMALL = 64 << 20  # bytes that any archive may unpack to
FIELDS = {
    "schema": str,
    "probe4d": str,
    "suite": str,
    "run_id": str,
    "cells": list,
    "aggregates": list,
    "files": dict,
    "left_out": list,
}
TORN = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, OSError, OverflowError, struct.error)


@frozen(kw_only=True)
class OpenedBundle:
    """A bundle unpacked into a folder, every file checked against the manifest.

    Attributes:
        folder: laid out as a run's.
        digest: sha256 of the manifest.
    """

    folder: Path
    manifest: Mapping[str, Any] = field(repr=False)
    digest: str


def unpack(path: Path, folder: Path, max_bytes: int = DEFAULT_BYTES) -> OpenedBundle:
    """Unpack a bundle into a folder and check the size and digest of every file.

    Args:
        max_bytes: what it may unpack to.

    Raises:
        DataError: it is no bundle, is truncated or tampered with, has members that leave it, or unpacks to more
            than it should.
    """
    if not path.is_file():
        fail(str(path), "a bundle", "no file")
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(str(path), archive)
            content = _manifest_bytes(path, archive, members)
            manifest = _parse(content, f"{path}: {MANIFEST}")
            _check_list(path, members, manifest["files"])
            _check_sizes(path, folder, members, max_bytes)
            for name, facts in manifest["files"].items():
                _extract(path, archive, members[name], folder / name, facts)
    except DataError:
        raise
    except TORN as error:
        raise DataError(
            f"{path}: expected a bundle (a zip archive), got a truncated, damaged or foreign file ({error}). "
            "Copy it anew."
        ) from error
    return OpenedBundle(folder=folder, manifest=manifest, digest=hashlib.sha256(content).hexdigest())


def _members(path: str, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        check_member(path, info)
        where = f"{path}: member {info.filename[:80]!r}"
        kind = (info.external_attr >> 16) & 0o170000
        if info.is_dir() or kind not in (0, 0o100000):
            fail(where, "a file", "a folder, a link or a device")
        if any(part in ("", ".") for part in info.filename.split("/")) or ":" in info.filename.split("/")[0]:
            fail(where, "a plain relative name", "a path that leaves the archive")
        if info.filename in found:
            fail(where, "each member once", "it twice")
        found[info.filename] = info
    return found


def _manifest_bytes(path: Path, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> bytes:
    if MANIFEST not in members:
        fail(str(path), f"a bundle with {MANIFEST}", "an archive without it", "`probe4d bundle RUN` makes bundles.")
    if members[MANIFEST].file_size > MANIFEST_BYTES:
        fail(f"{path}: {MANIFEST}", f"at most {MANIFEST_BYTES:,} bytes", f"{members[MANIFEST].file_size:,}")
    with archive.open(MANIFEST) as member:
        return member.read(MANIFEST_BYTES + 1)


def _parse(content: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: expected JSON, got {error}.") from error
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        fail(
            where, f"schema {SCHEMA!r}", repr(value.get("schema") if isinstance(value, dict) else type(value).__name__)
        )
    for name, kind in FIELDS.items():
        if not isinstance(value.get(name), kind):
            fail(f"{where}: {name}", f"a {kind.__name__}", repr(value.get(name))[:80])
    for name, facts in value["files"].items():
        whole = isinstance(facts, dict) and isinstance(facts.get("bytes"), int) and isinstance(facts.get("sha256"), str)
        if not whole:
            fail(f"{where}: files: {name!r}", "bytes and sha256", repr(facts)[:80])
    return value


def _check_list(path: Path, members: Mapping[str, zipfile.ZipInfo], files: Mapping[str, Any]) -> None:
    """Compare the members with the manifest, by name and size."""
    have = set(members) - {MANIFEST}
    for name in sorted(have - set(files)):
        fail(f"{path}: member {name!r}", "a file of the manifest", "one that it does not name")
    for name in sorted(set(files) - have):
        fail(f"{path}: {name!r}", "a file that the manifest names", "none of that name")
    for name, facts in files.items():
        if members[name].file_size != facts["bytes"]:
            fail(
                f"{path}: member {name!r}", f"{facts['bytes']:,} bytes by the manifest", f"{members[name].file_size:,}"
            )


def _check_sizes(path: Path, folder: Path, members: Mapping[str, zipfile.ZipInfo], max_bytes: int) -> None:
    """Refuse an archive that would fill the disk, before anything is unpacked."""
    total = sum(info.file_size for info in members.values())
    packed = path.stat().st_size
    if total > max_bytes:
        fail(
            str(path),
            f"at most {max_bytes:,} bytes unpacked",
            f"{total:,}",
            "Raise --max-bytes if it is to be trusted.",
        )
    if total > max(SMALL, RATIO * packed):
        fail(str(path), f"at most {RATIO} times its own {packed:,} bytes", f"{total:,}: an archive made to burst")
    if total > (free := shutil.disk_usage(folder).free):
        fail(str(folder), f"{total:,} bytes free to unpack {path}", f"{free:,}", "Set TMPDIR to a larger disk.")


def _extract(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: Path, facts: Mapping[str, Any]) -> None:
    """Write a member, never more of it than it states, and compare its digest."""
    where = f"{path}: member {info.filename!r}"
    file.parent.mkdir(parents=True, exist_ok=True)
    found, left = hashlib.sha256(), info.file_size
    with archive.open(info) as member, file.open("wb") as out:
        while block := member.read(BLOCK):
            left -= len(block)
            if left < 0:
                fail(where, f"{info.file_size:,} bytes as the archive says", "more when unpacked")
            found.update(block)
            out.write(block)
    if left:
        fail(where, f"{info.file_size:,} bytes", f"{info.file_size - left:,}: the bundle is truncated")
    if found.hexdigest() != facts["sha256"]:
        fail(where, f"the file of digest {facts['sha256'][:12]}…", f"{found.hexdigest()[:12]}…: it was changed")
