"""Where each record of a TFRecord file is: found once, kept in the cache, so that any record can be read by itself."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path

from attrs import frozen

from probe4d.atomic import write_text
from probe4d.errors import DataError
from probe4d.paths import cache_dir
from probe4d_datasets.files import file_state, open_binary
from probe4d_datasets.formats.tfrecord import Record, read_record, scan_records

__all__ = ["RecordIndex", "index_path", "record_index", "record_of"]

SCHEMA = "probe4d/record-index/1"


@frozen
class RecordIndex:
    """The records of one file.

    Attributes:
        broken: what is wrong after the last whole record, None for a sound file.
    """

    records: tuple[Record, ...]
    broken: str | None


def record_index(location: str) -> RecordIndex:
    """Return the index of a TFRecord file: from this process, from the cache, or by reading its headers once.

    A file is known by its URL and by what its place keeps of its state (size, time, tag); its
    content need not be read.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    return _cached(location, file_state(location), cache_dir())


def record_of(location: str, number: int, where: str) -> bytes:
    """Return one record's data; the last two stay in memory, as a clip asks for its length, then for its frames.

    Raises:
        DataError: the file is missing, has no such record, or the record is cut off or damaged.
    """
    return _content(location, number, file_state(location), where)


@functools.lru_cache(maxsize=2)
def _content(location: str, number: int, state: str, where: str) -> bytes:  # noqa: ARG001 - the state is in the key
    index = record_index(location)
    if not 0 <= number < len(index.records):
        found = index.broken or f"{location}: expected record {number}, got only {len(index.records)}."
        raise DataError(f"{found} Replace the file.")
    with open_binary(location) as file:
        return read_record(file, index.records[number], where)


def index_path(location: str, state: str, cache: Path) -> Path:
    """Return where the index of a file in such a state is kept."""
    address = hashlib.sha256(f"{SCHEMA}\n{location}\n{state}".encode()).hexdigest()
    return cache / "record-index" / address[:2] / f"{address}.json"


@functools.lru_cache(maxsize=4096)
def _cached(location: str, state: str, cache: Path) -> RecordIndex:
    path = index_path(location, state, cache)
    index = _read(path)
    if index is None:
        with open_binary(location) as file:
            records, broken = scan_records(file, os.fspath(location))
        index = RecordIndex(tuple(records), broken)
        body = json.dumps({"records": index.records, "broken": index.broken}, separators=(",", ":"))
        write_text(path, f"{SCHEMA} {hashlib.sha256(body.encode()).hexdigest()}\n{body}\n")
    return index


def _read(path: Path) -> RecordIndex | None:
    """Return the cached index; None where there is none, or one that is not whole."""
    try:
        head, body = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    if head != f"{SCHEMA} {hashlib.sha256(body.encode()).hexdigest()}":
        return None
    value = json.loads(body)
    return RecordIndex(tuple(Record(*item) for item in value["records"]), value["broken"])
