"""Which sets to remove, and removing them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from probe4d.errors import UsageError
from probe4d.store.description import SET_FILE
from probe4d.store.files import open_files
from probe4d.store.sets import StoredSet

__all__ = ["Removal", "choose", "parse_age", "parse_bytes", "remove"]

AGE = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


IN_THE_MAKING = 3600.0  # seconds; extraction stamps a set with every shard


class Removal(NamedTuple):
    """A set to remove, and why."""

    stored: StoredSet
    reason: str


def parse_age(text: str) -> float:
    """Return the seconds of `30d`, `12h`, `45m`, `2w` or `10s`.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip().lower())
    if match is None:
        raise UsageError(f"age: expected a number with s, m, h, d or w (30d), got {text!r}.")
    return float(match[1]) * AGE[match[2]]


def parse_bytes(text: str) -> int:
    """Return the bytes of `500GB`, `2TiB`, `100 MB` or a bare number.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(|[kmgt]i?)b?", text.strip().lower())
    if match is None:
        raise UsageError(f"bytes: expected a number with kB, MB, GB, TB, KiB, …, got {text!r}.")
    return int(float(match[1]) * BYTES[match[2]])


def choose(
    found: Sequence[StoredSet],
    *,
    now: float,
    older_than: float | None = None,
    max_bytes: int | None = None,
    incomplete: bool = False,
) -> list[Removal]:
    """Return the sets to remove, the longest unused first.

    Args:
        now: Unix time.
        older_than: seconds since the last use, reading or writing.
        max_bytes: what all sets that stay may take; the longest unused go first.
        incomplete: only sets of which a shard is not done, and which nobody has used for `older_than`
            (an hour, where it is not given: they may be in the making).
    """
    removed: dict[str, Removal] = {}
    by_use = sorted(found, key=lambda item: (item.last_used, item.name))
    age = IN_THE_MAKING if incomplete and older_than is None else older_than
    for item in by_use:
        if age is not None and now - item.last_used > age and not (incomplete and item.complete):
            removed[item.name] = Removal(item, "unused" if item.complete else "incomplete and unused")
    if max_bytes is not None:
        kept = sum(item.bytes for item in by_use if item.name not in removed)
        for item in by_use:
            if kept > max_bytes and item.name not in removed:
                removed[item.name] = Removal(item, "over --max-bytes")
                kept -= item.bytes
    return [removed[item.name] for item in by_use if item.name in removed]


def remove(stored: StoredSet) -> int:
    """Remove a set and return the bytes freed.

    Its description goes first: interrupted, the rest is an incomplete set, never a damaged one.
    """
    files = open_files(stored.url)
    files.delete([SET_FILE])
    files.remove_all()
    return stored.bytes
