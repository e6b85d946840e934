"""Checks of options that several runners take."""

from __future__ import annotations

from probe4d.errors import UsageError

__all__ = ["at_least", "seconds_or_none"]


def at_least(field: str, least: int, value: object) -> int:
    """Return an integer option.

    Args:
        field: its name, for the message.

    Raises:
        UsageError: it is none, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{field}: expected an integer of at least {least}, got {value!r}.")
    return value


def seconds_or_none(field: str, value: object) -> float | None:
    """Return an option in seconds, or None where it sets no limit.

    Raises:
        UsageError: it is not above 0.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise UsageError(f"{field}: expected seconds above 0, got {value!r}.")
    return float(value)
