"""Options of a suite file to frozen settings; a key that does not exist is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from probe4d.errors import UsageError, did_you_mean

__all__ = ["fraction", "one_of", "positive", "settings"]

T = TypeVar("T")


def settings(cls: type[T], value: Any, where: str) -> T:
    """Return `cls` made of a mapping; an instance is returned as it is.

    Raises:
        UsageError: a key that `cls` does not have (with the nearest one), or lacks, or a bad value.
    """
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: expected a table of options, got {value!r}.")
    fields = attrs.fields_dict(cls)  # type: ignore[arg-type]
    for key in value:
        if key not in fields:
            raise UsageError(f"{where}: expected {', '.join(fields)}, got {key!r}.{did_you_mean(str(key), fields)}")
    lacking = [name for name, a in fields.items() if a.default is attrs.NOTHING and name not in value]
    if lacking:
        raise UsageError(f"{where}: expected {lacking[0]!r} to be stated, got only {sorted(value)}.")
    try:
        return cls(**value)
    except UsageError as error:
        raise UsageError(f"{where}.{error}") from None


def one_of(where: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return the value if it is one of the choices.

    Raises:
        UsageError: it is not; the message has the nearest.
    """
    if value not in choices:
        raise UsageError(f"{where}: expected {', '.join(choices)}, got {value!r}.{did_you_mean(str(value), choices)}")
    return str(value)


def positive(where: str, value: Any) -> float:
    """Return a number above zero.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise UsageError(f"{where}: expected a number above 0, got {value!r}.")
    return float(value)


def fraction(where: str, value: Any) -> float:
    """Return a number from 0 to 1.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UsageError(f"{where}: expected a fraction from 0 to 1, got {value!r}.")
    return float(value)
