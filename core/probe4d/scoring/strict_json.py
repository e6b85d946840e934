"""JSON of strangers: no duplicate keys, no bottomless nesting, errors that say where."""

from __future__ import annotations

import json
from typing import Any

from probe4d.errors import DataError
from probe4d.scoring.source import fail

__all__ = ["meta_object", "parse_json"]


def parse_json(where: str, text: str | bytes) -> Any:
    """Return the value of a JSON text. `NaN`, `Infinity` and `-Infinity` are read as floats.

    Raises:
        DataError: it is no JSON, an object has a key twice, it is nested too deeply, or a number
            has thousands of digits.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise DataError(f"{where}: expected JSON of moderate depth, got one nested too deeply.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected UTF-8 text, got other bytes at {error.start}.") from error
    except ValueError as error:
        raise DataError(f"{where}: expected JSON, got something else ({error}).") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:40]!r} twice in one object")
            seen.add(key)
    return found


def meta_object(where: str, text: str | bytes) -> dict[str, Any]:
    """Return the object of a `meta` text."""
    value = parse_json(where, text)
    if not isinstance(value, dict):
        fail(where, "a JSON object", type(value).__name__)
    return value
