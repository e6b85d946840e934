"""The sets under a root: what each is, how much of it is there, and which of them a name means."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from probe4d.errors import NothingSelectedError, Probe4dError, UnknownNameError, UsageError
from probe4d.store.address import FeatureAddress
from probe4d.store.description import SET_FILE, parse_set
from probe4d.store.feature_store import USED_FILE, default_root
from probe4d.store.files import Files, join, open_files
from probe4d.store.receipts import FOLDER

__all__ = ["StoredSet", "find_sets", "stored_addresses", "stored_sets"]

DIGEST = re.compile(r"[0-9a-f]{64}")


@frozen(kw_only=True)
class StoredSet:
    """A folder of a set, whole or not.

    Attributes:
        name: the folder, which is the digest.
        address: as plain JSON; None where `problem` says why it cannot be told.
        bytes: of all files.
        shards_done: receipts; `shards` is None where it cannot be told.
        last_used: Unix time; 0 where nothing tells.
    """

    name: str
    url: str
    address: Mapping[str, Any] | None
    samples: int | None
    bytes: int
    shards_done: int
    shards: int | None
    last_used: float
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every shard has a receipt."""
        return self.shards is not None and self.shards_done == self.shards

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON."""
        return {
            "digest": self.name,
            "url": self.url,
            "complete": self.complete,
            "shards_done": self.shards_done,
            "shards": self.shards,
            "samples": self.samples,
            "bytes": self.bytes,
            "last_used": self.last_used,
            "problem": self.problem,
            "address": self.address,
        }


def stored_sets(root: str | os.PathLike[str] | None = None) -> Iterator[StoredSet]:
    """Yield the sets under a root (by default this user's), folders of unfinished ones included."""
    url = os.fspath(root) if root is not None else default_root()
    for name in open_files(url).folders():
        if DIGEST.fullmatch(name):
            yield _look(name, open_files(url, name))


def stored_addresses(root: str | os.PathLike[str]) -> Iterator[tuple[str, FeatureAddress]]:
    """Yield digest and address of each set under a root, whole or not; damaged ones are left out."""
    for name in open_files(root).folders():
        if DIGEST.fullmatch(name):
            files = open_files(root, name)
            try:
                yield name, parse_set(files.read(SET_FILE), join(files.url, SET_FILE)).address
            except (FileNotFoundError, Probe4dError):
                continue  # `probe4d cache list` says what is wrong with it


def find_sets(names: Sequence[str], root: str | os.PathLike[str] | None = None) -> list[StoredSet]:
    """Return the sets that the beginnings of digests name, or all where there are none.

    Raises:
        NothingSelectedError: there is no set.
        UnknownNameError: no set begins so.
        UsageError: several do.
    """
    found = list(stored_sets(root))
    if not found:
        raise NothingSelectedError(f"{root or default_root()}: expected feature sets, found none.")
    return [_find(name, found) for name in names] if names else found


def _find(name: str, found: Sequence[StoredSet]) -> StoredSet:
    fits = [item for item in found if item.name.startswith(name.lower())]
    if len(fits) == 1:
        return fits[0]
    listed = ", ".join(item.name[:12] for item in fits or found)
    if not fits:
        raise UnknownNameError(f"{name!r}: expected the beginning of a digest, got one of no set. There are: {listed}.")
    raise UsageError(f"{name!r}: expected the beginning of one digest, got that of {listed}. Give more of it.")


def _look(name: str, files: Files) -> StoredSet:
    sizes = files.sizes()
    receipts = [key for key in sizes if key.startswith(f"{FOLDER}/") and key.endswith(".json")]
    described, problem = None, None
    try:
        described = parse_set(files.read(SET_FILE), join(files.url, SET_FILE))
    except FileNotFoundError:
        problem = f"no {SET_FILE}: being made, or half removed"
    except Probe4dError as error:
        problem = str(error)
    return StoredSet(
        name=name,
        url=files.url,
        address=described.address.to_json() if described else None,
        samples=described.samples if described else None,
        bytes=sum(sizes.values()),
        shards_done=len(receipts),
        shards=described.shards if described else None,
        last_used=_last_used(files),
        problem=problem,
    )


def _last_used(files: Files) -> float:
    try:
        return float(json.loads(files.read(USED_FILE))["time"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0  # read-only stores have no stamp, and a damaged stamp says nothing
