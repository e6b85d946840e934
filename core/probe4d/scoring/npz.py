"""`.npz`: `<sample id>/<field>` members, or `<field>` members with a leading sample axis and `ids`."""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays
from probe4d.scoring.archive import STORED, Archive
from probe4d.scoring.npy import NpyHeader, array_of, read_header
from probe4d.scoring.source import Limits, Source, check_id, check_ids, fail
from probe4d.scoring.strict_json import meta_object

__all__ = ["open_npz"]

HEAD = 1 << 17


def open_npz(path: str, *, limits: Limits, **_: Any) -> Source:
    """Return the samples of an `.npz`.

    Raises:
        DataError: see `Archive`, `read_header` and `check_ids`.
    """
    archive = Archive(path, limits)
    try:
        members = {_field_name(path, name): info for name, info in archive.members.items()}
        meta = _read_meta(archive, members.pop("meta", None))
        batched = [name for name in members if "/" not in name]
        if not batched:
            return NpzSamples(archive, members, meta)
        if len(batched) != len(members):
            slashed = next(name for name in members if "/" in name)
            fail(path, "all members '<sample id>/<field>', or none", f"{slashed!r} beside {batched[0]!r}")
        return NpzBatch(archive, members, meta)
    except BaseException:
        archive.close()
        raise


def _field_name(path: str, name: str) -> str:
    if not name.endswith(".npy"):
        fail(path, "members that are arrays ('….npy')", f"{name[:80]!r}", "Write the file with numpy.savez.")
    return name.removesuffix(".npy")


def _read_array(archive: Archive, info: zipfile.ZipInfo, label: str) -> Array:
    where = f"{archive.path}: {label}"
    data = archive.read(info)
    header = read_header(where, data, archive.limits, len(data))
    return array_of(header, data[header.offset :])


def _read_meta(archive: Archive, info: zipfile.ZipInfo | None) -> Mapping[str, Any]:
    if info is None:
        return {}
    where = f"{archive.path}: meta"
    if info.file_size > archive.limits.text_bytes:
        fail(where, f"at most {archive.limits.text_bytes:,} bytes", f"{info.file_size:,} bytes claimed")
    value = _read_array(archive, info, "meta")
    if value.dtype.kind not in "US" or value.size != 1 or value.ndim > 1:
        fail(where, "one JSON object as a 0-d or 1-d string array", f"{value.dtype} of shape {value.shape}")
    try:
        item = value.reshape(-1)[0]
        text = item.decode() if isinstance(item, bytes) else str(item)
    except ValueError:
        fail(where, "UTF-8 text", "other bytes")
    return meta_object(where, text)


class NpzSamples(Source):
    """Members `<sample id>/<field>`; an id may hold slashes itself."""

    def __init__(self, archive: Archive, members: Mapping[str, zipfile.ZipInfo], meta: Mapping[str, Any]) -> None:
        self.name = archive.path
        self.meta = meta
        self._archive = archive
        self._samples: dict[str, dict[str, zipfile.ZipInfo]] = {}
        for name, info in members.items():
            sample_id, _, field = name.rpartition("/")
            if sample_id not in self._samples:
                self._samples[check_id(self.name, sample_id)] = {}
            self._samples[sample_id][field] = info
        self.ids = list(self._samples)
        if not self.ids:
            fail(self.name, "at least one sample", "none")

    def load(self, sample_id: str) -> Arrays:
        """Return the arrays of one sample."""
        label = f"sample {sample_id!r}: "
        fields = {field: info for field, info in self._samples[sample_id].items() if field not in self.skipped}
        return {field: _read_array(self._archive, info, label + field) for field, info in fields.items()}

    def digest(self) -> str:
        """Return the sha256 of the file."""
        return self._archive.bytes.digest()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()


class NpzBatch(Source):
    """Members `<field>` with a leading sample axis, and `ids`.

    A member stored uncompressed (numpy.savez) is read row by row and may be of any size; a
    compressed one is unpacked whole, within the limit.
    """

    def __init__(self, archive: Archive, members: Mapping[str, zipfile.ZipInfo], meta: Mapping[str, Any]) -> None:
        self.name = archive.path
        self.meta = meta
        self._archive = archive
        members = dict(members)
        info = members.pop("ids", None)
        if info is None:
            remedy = "Add `ids` (n,), or name the members '<sample id>/<field>'."
            fail(self.name, f"'ids' beside the members {sorted(members)[:6]}", "none", remedy)
        self.ids = check_ids(self.name, _ids(self.name, _read_array(archive, info, "ids")))
        self._rows = {sample_id: row for row, sample_id in enumerate(self.ids)}
        self._fields = {field: self._open(field, info) for field, info in members.items()}

    def _open(self, field: str, info: zipfile.ZipInfo) -> _Rows:
        archive, where = self._archive, f"{self.name}: {field}"
        if info.compress_type == STORED:
            archive.verify_stored(info)
            begin = archive.data_offset(info)
            head = archive.bytes.read(begin, min(HEAD, info.file_size))
            # The limit is on one array of one sample: here a row, checked below.
            header = read_header(where, head, Limits(array_bytes=1 << 62), info.file_size)
            rows: _Rows = _StoredRows(archive, header, begin, where)
        else:
            rows = _HeldRows(_read_array(archive, info, field))
        if not rows.shape or rows.shape[0] != len(self.ids):
            fail(where, f"a leading axis of {len(self.ids)} samples, as `ids`", f"shape {rows.shape}")
        return rows

    def load(self, sample_id: str) -> Arrays:
        """Return one row of every member."""
        row = self._rows[sample_id]
        return {field: rows.row(row) for field, rows in self._fields.items() if field not in self.skipped}

    def digest(self) -> str:
        """Return the sha256 of the file."""
        return self._archive.bytes.digest()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()


def _ids(name: str, value: Array) -> list[str]:
    where = f"{name}: ids"
    if value.ndim != 1 or value.dtype.kind not in "USiu":
        fail(where, "text or integers of shape (n,)", f"{value.dtype} of shape {value.shape}")
    try:
        return [item.decode() if isinstance(item, bytes) else str(item) for item in value.tolist()]
    except ValueError:
        fail(where, "UTF-8 text", "other bytes")


class _Rows(ABC):
    shape: tuple[int, ...]

    @abstractmethod
    def row(self, index: int) -> Array:
        """Return one row."""


class _HeldRows(_Rows):
    def __init__(self, value: Array) -> None:
        self.shape = value.shape
        self._value = value

    def row(self, index: int) -> Array:
        # `np.asarray`: a row of a 1-d member is a numpy scalar.
        return np.asarray(self._value[index])


class _StoredRows(_Rows):
    def __init__(self, archive: Archive, header: NpyHeader, begin: int, where: str) -> None:
        self.shape = header.shape
        self._archive = archive
        self._header = header
        self._begin = begin + header.offset
        self._row_bytes = header.nbytes // header.shape[0] if header.shape and header.shape[0] else 0
        if self._row_bytes > archive.limits.array_bytes:
            fail(where, f"at most {archive.limits.array_bytes:,} bytes a sample", f"{self._row_bytes:,} bytes")
        if header.fortran and len(header.shape) > 1:
            fail(where, "C order", "Fortran order, whose samples do not lie together", "Use numpy.ascontiguousarray.")

    def row(self, index: int) -> Array:
        data = self._archive.bytes.read(self._begin + index * self._row_bytes, self._row_bytes)
        return np.frombuffer(data, dtype=self._header.dtype).reshape(self.shape[1:])
