"""Names as a reader wants them: short where that says enough."""

from __future__ import annotations

from collections.abc import Sequence

from probe4d.results import Column

__all__ = ["column_names", "layer_text", "short"]


def short(name: str) -> str:
    """Return a canonical name without its plugin."""
    return name.rpartition("/")[2]


def layer_text(layer: float | int) -> str:
    """Return a layer in words: a depth as per cent, else the number of blocks."""
    return f"{layer:.0%}" if isinstance(layer, float) else f"{layer} blocks"


def column_names(columns: Sequence[Column]) -> dict[Column, str]:
    """Return a name for each column: the task, and what tells it from others of these columns."""
    tasks = {short(column.task): {c.task for c in columns if short(c.task) == short(column.task)} for column in columns}
    names = {}
    for column in columns:
        same = [other for other in columns if other.task == column.task]
        parts = [short(column.task) if len(tasks[short(column.task)]) == 1 else column.task]
        if len({other.protocol for other in same}) > 1:
            parts.append(short(column.protocol))
        if len({other.layer for other in same if other.protocol == column.protocol}) > 1:
            parts.append(layer_text(column.layer))
        names[column] = " · ".join(parts)
    return names
