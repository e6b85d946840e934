"""The array `ids` of a set: which samples its rows are, in order."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import UsageError
from probe4d.store.address import sample_ids_digest
from probe4d.store.checksums import as_bytes, crc32c
from probe4d.store.errors import StoreDamageError
from probe4d.store.files import Files
from probe4d.store.layout import GROUP, array_document

__all__ = ["check_ids", "encode_ids", "read_ids"]

CHUNK = 65536  # ids of one file


def check_ids(ids: Sequence[str], where: str) -> None:
    """Check that ids are strings, each there once.

    Raises:
        UsageError: they are not.
    """
    if not ids:
        raise UsageError(f"{where}: expected at least one sample, got none.")
    if _are_sound(ids):
        return
    seen: set[str] = set()
    for sample in ids:  # only to name the first one that is wrong
        if not isinstance(sample, str) or not sample or "\0" in sample:
            raise UsageError(f"{where}: expected ids that are non-empty strings, got {sample!r}.")
        if sample in seen:
            raise UsageError(f"{where}: expected each id once, got {sample!r} twice.")
        seen.add(sample)


def _are_sound(ids: Sequence[str]) -> bool:
    """Say the same of all ids at once, which for a million of them matters."""
    try:
        known, text = set(ids), "\0".join(ids)
    except TypeError:
        return False
    return len(known) == len(ids) and "" not in known and text.count("\0") == len(ids) - 1


def encode_ids(ids: Sequence[str]) -> dict[str, bytes]:
    """Return the files of the array `ids`: UTF-8 in uint8 `(n, width)`, zeros behind."""
    encoded = [sample.encode() for sample in ids]
    width = max(map(len, encoded))
    rows = min(len(ids), CHUNK)
    codecs = [{"name": "bytes"}, {"name": "crc32c"}]
    files = {
        f"{GROUP}/ids/zarr.json": array_document(
            shape=(len(ids), width), chunks=(rows, width), dtype="uint8", codecs=codecs, dims=("sample", "utf8")
        )
    }
    for chunk, start in enumerate(range(0, len(ids), rows)):
        table = np.zeros(rows, f"S{width}")
        part = encoded[start : start + rows]
        table[: len(part)] = part
        crc = np.array([crc32c(as_bytes(table))], "<u4")
        files[f"{GROUP}/ids/c/{chunk}/0"] = table.tobytes() + crc.tobytes()
    return files


def read_ids(files: Files, samples: int, expected: str) -> tuple[str, ...]:
    """Return the ids of a set.

    Args:
        expected: their `sample_ids_digest`.

    Raises:
        StoreDamageError: they are not those that were written.
    """
    where = f"{files.url}/{GROUP}/ids"
    try:
        width = int(json.loads(files.read(f"{GROUP}/ids/zarr.json"))["shape"][1])
        found: list[str] = []
        for chunk in range(-(-samples // CHUNK)):
            found += _decode(files.read(f"{GROUP}/ids/c/{chunk}/0"), width, where)
    except FileNotFoundError as error:
        raise StoreDamageError(f"{where}: expected {samples} ids, got no file {error}.") from error
    except (ValueError, TypeError, LookupError) as error:
        raise StoreDamageError(f"{where}: expected ids, got damaged files ({error}).") from error
    ids = tuple(found[:samples])
    if (got := sample_ids_digest(ids)) != expected:
        raise StoreDamageError(f"{where}: expected ids of digest {expected}, got {got}.")
    return ids


def _decode(content: bytes, width: int, where: str) -> list[str]:
    raw: Array = np.frombuffer(content, np.uint8)
    if raw.size < 4 or (raw.size - 4) % width or crc32c(raw[:-4]) != int(raw[-4:].copy().view("<u4")[0]):
        raise StoreDamageError(f"{where}: expected ids with their checksum, got other bytes.")
    return [item.decode() for item in raw[:-4].view(f"S{width}").tolist()]
