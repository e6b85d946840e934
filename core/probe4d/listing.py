"""What `probe4d list` and `probe4d info` say: entries as plain values, filtered and laid out."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from probe4d.errors import UsageError, did_you_mean
from probe4d.registry import Entry

__all__ = ["describe", "matches", "parse_filters", "table"]


def describe(entry: Entry) -> dict[str, Any]:
    """Return all facts of an entry as plain JSON values."""
    missing = entry.unmet
    return {
        "category": entry.category,
        "name": entry.name,
        "short_name": entry.spec.name,
        "plugin": entry.plugin,
        "distribution": entry.distribution,
        "version": entry.version,
        "ready": not missing,
        "needs": entry.install_line if missing else None,
        **{key: value for key, value in _plain(entry.spec).items() if key != "name"},
    }


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return {a.name: _plain(getattr(value, a.name)) for a in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def parse_filters(filters: Sequence[str]) -> dict[str, str]:
    """Return `{"input.height": "224"}` for `("input.height=224",)`.

    Raises:
        UsageError: one has no `=`.
    """
    pairs = {}
    for text in filters:
        key, equals, pattern = text.partition("=")
        if not equals or not key:
            raise UsageError(f"-F: expected key=value, got {text!r}.")
        pairs[key] = pattern
    return pairs


def matches(facts: Mapping[str, Any], filters: Mapping[str, str]) -> bool:
    """Return whether every filter fits: dotted keys, `*` wildcards, case ignored, any item of a list."""
    return all(_fits(_dig(facts, key), pattern.lower()) for key, pattern in filters.items())


def check_filter_keys(described: Iterable[Mapping[str, Any]], filters: Mapping[str, str]) -> None:
    """Refuse a key that nothing listed has, so that a typo does not look like an empty answer.

    Raises:
        UsageError: with the nearest key.
    """
    known = {key for facts in described for key in _keys(facts)}
    for key in filters:
        if known and key not in known:
            raise UsageError(f"-F {key}: nothing listed has that key.{did_you_mean(key, known)}")


def _keys(facts: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in facts.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")


def _dig(facts: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(facts, Mapping) or part not in facts:
            return None
        facts = facts[part]
    return facts


def _fits(value: Any, pattern: str) -> bool:
    if isinstance(value, list):
        return any(_fits(item, pattern) for item in value)
    text = {True: "true", False: "false", None: ""}.get(value) if value in (True, False, None) else str(value)
    return fnmatch.fnmatchcase(str(text).lower(), pattern)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as lines of aligned columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
