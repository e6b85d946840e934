"""The receipt of a shard: written last, it alone says that the shard is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.contracts import LeftOut
from probe4d.store.errors import StoreDamageError
from probe4d.store.layout import document

__all__ = ["FOLDER", "SCHEMA", "Receipt", "StoredFile", "parse_receipt", "receipt_key"]

FOLDER = "receipts"
SCHEMA = "probe4d/receipt/1"


def receipt_key(shard: int) -> str:
    """Return a receipt's file, relative to the set."""
    return f"{FOLDER}/{shard:08d}.json"


@frozen(kw_only=True)
class StoredFile:
    """A shard's file of one array: size in bytes and checksums of all of it."""

    bytes: int
    crc32c: str
    sha256: str


def _ids(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


def _left_out(value: Iterable[Sequence[str]]) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(*item) for item in value)


def _files(value: Mapping[str, Any]) -> dict[str, StoredFile]:
    return {path: item if isinstance(item, StoredFile) else StoredFile(**item) for path, item in value.items()}


@frozen(kw_only=True)
class Receipt:
    """What was written for one shard.

    Attributes:
        digest: the set's.
        shard: its number.
        ids: its samples, those left out included.
        left_out: samples without features, and why.
        files: by array path.
        seconds: time that making it took.
        versions: of what made it; facts, not part of the identity.
    """

    digest: str
    shard: int
    ids: tuple[str, ...] = field(converter=_ids)
    left_out: tuple[LeftOut, ...] = field(converter=_left_out)
    files: dict[str, StoredFile] = field(converter=_files)
    seconds: float
    versions: dict[str, str]

    def same_bytes(self, other: Receipt) -> bool:
        """Say whether both stand for the same content, whoever made it and however long that took."""
        return (self.ids, self.left_out, self.files) == (other.ids, other.left_out, other.files)

    def to_bytes(self) -> bytes:
        """Return the file, its own checksum in it."""
        value = attrs.asdict(self, recurse=False)
        value["files"] = {path: attrs.asdict(file) for path, file in self.files.items()}
        value["schema"] = SCHEMA
        return document({**value, "checksum": _checksum(value)})


def parse_receipt(content: bytes, where: str) -> Receipt:
    """Return the receipt of a file.

    Raises:
        StoreDamageError: it is not what `Receipt.to_bytes` writes.
    """
    try:
        value = json.loads(content)
        stated = value.pop("checksum")
        if stated != _checksum(value) or value.pop("schema") != SCHEMA:
            raise ValueError("its checksum does not fit")
        return Receipt(**value)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreDamageError(f"{where}: expected a receipt, got a damaged file ({error}).") from error


def _checksum(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
