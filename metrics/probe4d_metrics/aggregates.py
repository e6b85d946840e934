"""One number per backbone from a whole table of results: rank, ratio to a baseline, worst task.

Each takes `table[backbone][task]` and says for every task whether higher is better. A backbone that
lacks a task is an error: a mean over fewer tasks cannot be compared with one over more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

__all__ = ["mean_rank", "relative_to_baseline", "worst_task"]

Table: TypeAlias = Mapping[str, Mapping[str, float]]


def mean_rank(table: Table, *, higher_is_better: Mapping[str, bool]) -> dict[str, float]:
    """Return each backbone's rank, 1 the best, averaged over tasks; equal values share their mean rank.

    Raises:
        ValueError: a cell is missing or not finite, or a task's direction is not said.

    >>> table = {"a": {"depth": 0.1, "tracks": 0.8}, "b": {"depth": 0.2, "tracks": 0.8}}
    >>> mean_rank(table, higher_is_better={"depth": False, "tracks": True})
    {'a': 1.25, 'b': 1.75}
    """
    tasks = _tasks(table, higher_is_better)
    ranks: dict[str, list[float]] = {backbone: [] for backbone in table}
    for task in tasks:
        sign = -1.0 if higher_is_better[task] else 1.0
        ordered = [sign * row[task] for row in table.values()]
        for backbone, row in table.items():
            own = sign * row[task]
            before = sum(value < own for value in ordered)
            ranks[backbone].append(before + (sum(value == own for value in ordered) + 1) / 2)
    return {backbone: math.fsum(found) / len(tasks) for backbone, found in ranks.items()}


def relative_to_baseline(table: Table, *, higher_is_better: Mapping[str, bool], baseline: str) -> dict[str, float]:
    """Return the mean over tasks of value / baseline, or baseline / value where lower is better.

    1 is the baseline itself, and more is better.

    Args:
        baseline: the backbone that the others are compared with.

    Raises:
        ValueError: as `mean_rank`; the baseline is not in the table; a value is not more than 0.

    >>> table = {"a": {"depth": 0.1, "tracks": 0.9}, "b": {"depth": 0.2, "tracks": 0.6}}
    >>> relative_to_baseline(table, higher_is_better={"depth": False, "tracks": True}, baseline="b")
    {'a': 1.75, 'b': 1.0}
    """
    ratios = _ratios(table, higher_is_better, _row_of(table, baseline))
    return {backbone: math.fsum(row.values()) / len(row) for backbone, row in ratios.items()}


def worst_task(table: Table, *, higher_is_better: Mapping[str, bool], baseline: str | None = None) -> dict[str, float]:
    """Return, over tasks, the lowest ratio of a backbone to the best one of the task.

    1 says that it is the best everywhere; 0.5, that somewhere it is half as good.

    Args:
        baseline: the backbone to compare with instead of each task's best.

    Raises:
        ValueError: as `relative_to_baseline`.

    >>> table = {"a": {"depth": 0.1, "tracks": 0.6}, "b": {"depth": 0.2, "tracks": 1.2}}
    >>> worst_task(table, higher_is_better={"depth": False, "tracks": True})
    {'a': 0.5, 'b': 0.5}
    """
    tasks = _tasks(table, higher_is_better)
    best = {task: (max if higher_is_better[task] else min)(row[task] for row in table.values()) for task in tasks}
    ratios = _ratios(table, higher_is_better, best if baseline is None else _row_of(table, baseline))
    return {backbone: min(row.values()) for backbone, row in ratios.items()}


def _tasks(table: Table, higher_is_better: Mapping[str, bool]) -> list[str]:
    """Return the tasks of the table, where every backbone has a number for each."""
    tasks = list(dict.fromkeys(task for row in table.values() for task in row))
    if not tasks:
        raise ValueError("table: expected at least one backbone and one task, got none.")
    for task in tasks:
        if task not in higher_is_better:
            raise ValueError(f"higher_is_better: expected an entry for each task, got none for {task!r}.")
        for backbone, row in table.items():
            if task not in row:
                raise ValueError(
                    f"table: expected a value of {task!r} for every backbone, got none for {backbone!r}. "
                    "Run the missing cell, or leave the backbone or the task out."
                )
            if not math.isfinite(row[task]):
                raise ValueError(f"table[{backbone!r}][{task!r}]: expected a finite number, got {row[task]}.")
    return tasks


def _row_of(table: Table, backbone: str) -> Mapping[str, float]:
    if backbone not in table:
        raise ValueError(f"baseline: expected one of {', '.join(map(repr, table))}, got {backbone!r}.")
    return table[backbone]


def _ratios(
    table: Table, higher_is_better: Mapping[str, bool], reference: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Return by backbone and task how many times as good as the reference a value is."""
    tasks = _tasks(table, higher_is_better)
    for backbone, row in (*table.items(), ("the reference", reference)):
        for task in tasks:
            if row[task] <= 0:
                raise ValueError(f"table[{backbone!r}][{task!r}]: expected more than 0 for a ratio, got {row[task]}.")
    return {
        backbone: {
            task: row[task] / reference[task] if higher_is_better[task] else reference[task] / row[task]
            for task in tasks
        }
        for backbone, row in table.items()
    }
