"""Where each record of a TFRecord file is: found once, kept in the cache, so that any record can be read by itself."""

from __future__ import annotations

import functools

from attrs import frozen

from probe4d.errors import DataError
from probe4d_datasets.cached_index import cached_index
from probe4d_datasets.files import open_binary
from probe4d_datasets.formats.tfrecord import Record, read_record, scan_records
from probe4d_datasets.own.root import Root

__all__ = ["RecordIndex", "record_index", "record_of"]

SCHEMA = "probe4d/record-index/1"


@frozen
class RecordIndex:
    """The records of one file.

    Attributes:
        broken: what is wrong after the last whole record, None for a sound file.
    """

    records: tuple[Record, ...]
    broken: str | None


def record_index(root: Root, path: str) -> RecordIndex:
    """Return the index of a TFRecord file: from this process, from the cache, or by reading its headers once.

    A file is known by its place and by what that keeps of its state (size, time, tag); its content
    need not be read.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    return _index(root, path, root.state(path))


def record_of(root: Root, path: str, number: int, where: str) -> bytes:
    """Return one record's data; the last two stay in memory, as a clip asks for its length, then for its frames.

    Raises:
        DataError: the file is missing, has no such record, or the record is cut off or damaged.
    """
    return _content(root, path, number, root.state(path), where)


@functools.lru_cache(maxsize=2)
def _content(root: Root, path: str, number: int, state: str, where: str) -> bytes:
    index = _index(root, path, state)
    if not 0 <= number < len(index.records):
        found = index.broken or f"{where}: expected so many records, got {len(index.records)}."
        raise DataError(f"{found} Replace the file.")
    with open_binary(root.location(path)) as file:
        return read_record(file, index.records[number], where)


@functools.lru_cache(maxsize=4096)
def _index(root: Root, path: str, state: str) -> RecordIndex:
    location = root.location(path)

    def scan() -> dict[str, object]:
        with open_binary(location) as file:
            records, broken = scan_records(file, location)
        return {"records": records, "broken": broken}

    found = cached_index(SCHEMA, f"{location}\n{state}", scan)
    return RecordIndex(tuple(Record(*item) for item in found["records"]), found["broken"])
