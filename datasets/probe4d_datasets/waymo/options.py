"""Options of `waymo` that may be left out by None, checked."""

from __future__ import annotations

from typing import Any

from probe4d.errors import UsageError

__all__ = ["area_share", "count", "size"]


def size(where: str, value: Any) -> tuple[int, int] | None:
    """Return (height, width), or None.

    Raises:
        UsageError: it is neither.
    """
    if value is None:
        return None
    right = (
        isinstance(value, list | tuple) and len(value) == 2 and all(type(side) is int and side > 0 for side in value)
    )
    if not right:
        raise UsageError(f"{where}: expected [height, width] in pixels or none, got {value!r}.")
    return int(value[0]), int(value[1])


def area_share(where: str, value: Any) -> float | None:
    """Return a share of the frame, or None.

    Raises:
        UsageError: it is neither.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1):
        raise UsageError(f"{where}: expected a share of the frame from 0 to below 1, or none, got {value!r}.")
    return value


def count(where: str, value: Any) -> int | None:
    """Return a number of boxes, or None.

    Raises:
        UsageError: it is neither.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{where}: expected an integer of at least 1, or none, got {value!r}.")
    return value
