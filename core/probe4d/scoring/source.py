"""Where samples come from: one file, folder or mapping, read one sample at a time.

Every reader is a `Source`. It is opened on a stranger's file: whatever is wrong with it is a
DataError that names the file, and no size that the file claims is allocated unchecked.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np
from attrs import frozen

from probe4d.contracts import Array, Arrays
from probe4d.errors import DataError

__all__ = [
    "Limits",
    "MemorySource",
    "Source",
    "as_array",
    "check_array_size",
    "check_id",
    "check_ids",
    "digest_arrays",
    "fail",
]

ID_LENGTH = 512


@frozen(kw_only=True)
class Limits:
    """What one file may ask of this machine, in bytes.

    Attributes:
        array_bytes: one array of one sample, decompressed.
        text_bytes: one line or one document of text (JSON, `meta`).
    """

    array_bytes: int = 2 << 30
    text_bytes: int = 256 << 20


def fail(where: str, expected: str, got: str, remedy: str = "") -> NoReturn:
    """Raise a DataError of the usual form."""
    raise DataError(f"{where}: expected {expected}, got {got}.{' ' + remedy if remedy else ''}")


def check_array_size(where: str, shape: Sequence[int], itemsize: int, limits: Limits) -> int:
    """Return the bytes that an array of this shape takes.

    Raises:
        DataError: a size is negative, or the array is over the limit.
    """
    total, extent = itemsize, max(itemsize, 1)
    for size in shape:
        if size < 0:
            fail(where, "sizes of at least 0", f"shape {tuple(shape)}")
        total *= size
        extent *= max(size, 1)
    if extent > 1 << 62:  # an axis of 0 hides the others from `total`, but not from numpy
        fail(where, "an array that memory can address", f"shape {tuple(shape)}"[:80])
    if total > limits.array_bytes:
        fail(
            where,
            f"at most {limits.array_bytes:,} bytes in one array",
            f"{total:,} bytes by its shape {tuple(shape)}",
            "Split the sample, write zarr with small chunks, or raise --max-array-bytes if the file is to be trusted.",
        )
    return total


class Source(ABC):
    """Samples by id.

    Attributes:
        name: what messages call it: the path as the user wrote it.
        meta: the conventions that the file states.
        ids: the sample ids, in the file's order, each once.
        skipped: fields that nobody wants; `load` may leave them out.
    """

    name: str
    meta: Mapping[str, Any]
    ids: Sequence[str]
    skipped: frozenset[str] = frozenset()

    @abstractmethod
    def load(self, sample_id: str) -> Arrays:
        """Return the fields of one sample."""

    @abstractmethod
    def digest(self) -> str:
        """Return the sha256 of the content, in hex."""

    def close(self) -> None:  # noqa: B027 - a source without a handle has nothing to close
        """Let go of open files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemorySource(Source):
    """A mapping `{sample id: {field: array}}`."""

    def __init__(self, name: str, samples: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any]) -> None:
        self.name = name
        self.meta = dict(meta)
        self.ids = check_ids(name, samples)
        self._samples = samples

    def load(self, sample_id: str) -> Arrays:
        """Return the sample's fields as arrays."""
        fields = self._samples[sample_id]
        where = f"{self.name}: sample {sample_id!r}"
        if not isinstance(fields, Mapping):
            fail(where, "a mapping of fields", type(fields).__name__)
        return {str(field): as_array(f"{where}: {field}", value) for field, value in fields.items()}

    def digest(self) -> str:
        """Return the sha256 over ids, fields, dtypes, shapes and bytes, ids sorted."""
        total = hashlib.sha256()
        for sample_id in sorted(self.ids):
            digest_arrays(total, sample_id, self.load(sample_id))
        return total.hexdigest()


def digest_arrays(total: Any, sample_id: str, arrays: Arrays) -> None:
    """Add a sample to a hashlib object: id, fields sorted by name, dtype, shape and C-order bytes."""
    total.update(f"{sample_id}\n".encode())
    for field in sorted(arrays):
        value = np.ascontiguousarray(arrays[field])
        total.update(f"{field} {value.dtype.str} {arrays[field].shape}\n".encode())
        total.update(value.tobytes())


def as_array(where: str, value: Any) -> Array:
    """Return nested lists as an array.

    Raises:
        DataError: they are ragged, or hold something that is neither number, bool nor text.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError, RecursionError, RuntimeError) as error:
        raise DataError(f"{where}: expected nested lists of equal lengths, got something else ({error}).") from error
    if array.dtype.hasobject:
        fail(where, "numbers", "values of several kinds (null, text, lists of unequal length, or huge integers)")
    return array


def check_ids(name: str, ids: Iterable[Any]) -> list[str]:
    """Return the ids as strings.

    Raises:
        DataError: there is none, one occurs twice, or one is no usable name.
    """
    checked = [check_id(name, sample_id) for sample_id in ids]
    if not checked:
        fail(name, "at least one sample", "none")
    if len(set(checked)) != len(checked):
        seen: set[str] = set()
        twice = next(sample_id for sample_id in checked if sample_id in seen or seen.add(sample_id))  # type: ignore[func-returns-value]
        fail(name, "each sample id once", f"{twice!r} twice")
    return checked


def check_id(name: str, sample_id: Any) -> str:
    """Return a sample id, or raise a DataError where it is no usable name."""
    if not isinstance(sample_id, str) or not sample_id:
        fail(name, "sample ids that are non-empty strings", f"{sample_id!r}"[:80])
    if len(sample_id) > ID_LENGTH or not sample_id.isprintable():
        fail(name, f"sample ids of at most {ID_LENGTH} printable characters", f"{sample_id[:40]!r}")
    return sample_id
