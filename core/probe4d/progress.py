"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere. stdout stays for data."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from probe4d.contracts import Outcome, Unit

__all__ = ["Progress", "progress"]

LINE_SECONDS = 10.0


class Progress:
    """Counts units; `start` and `end` are what a runner calls."""

    def __init__(self, total: int, show: Callable[[str, int], None]) -> None:
        self.total, self.done, self.failed = total, 0, 0
        self._show = show

    def start(self, unit: Unit) -> None:
        """Say what has begun."""
        self._show(describe(unit), self.done)

    def end(self, outcome: Outcome, left: int) -> None:
        """Count an outcome; a failure is said at once."""
        self.done = self.total - left
        if outcome.status != "ok":
            self.failed += 1
            click.echo(f"{outcome.status}: {outcome.unit}: {outcome.error}", err=True)
        self._show("", self.done)


def describe(unit: Unit) -> str:
    """Return what a unit does, in words."""
    arguments = unit.arguments
    name = unit.id.partition("-")[0]
    if "shard" in arguments:
        whose = arguments["rows"].get("backbone", {"name": "targets"})["name"]
        data = arguments["clips"]["data"]
        return f"{name} {whose} {data['dataset']}:{data['split']} shard {arguments['shard']}"
    if "task" in arguments:
        return f"{name} {arguments['backbone']} on {arguments['task']['name']}"
    return unit.id


@contextmanager
def progress(total: int, display: str) -> Iterator[Progress]:
    """Yield a progress over so many units.

    Args:
        display: `rich`, `plain`, `none`, or `auto`: rich on a terminal where it is installed.
    """
    if display == "auto":
        display = "rich" if sys.stderr.isatty() and _has_rich() else "plain"
    if display == "none" or not total:
        yield Progress(total, lambda _text, _done: None)
    elif display == "rich":
        with _rich_bar(total) as show:
            yield Progress(total, show)
    else:
        yield Progress(total, _plain(total))


def _has_rich() -> bool:
    from importlib.util import find_spec

    return find_spec("rich") is not None


def _plain(total: int) -> Callable[[str, int], None]:
    started = time.monotonic()
    last = [started - LINE_SECONDS]

    def show(text: str, done: int) -> None:
        now = time.monotonic()
        if now - last[0] >= LINE_SECONDS or done == total:
            last[0] = now
            click.echo(f"[{now - started:6.1f} s] {done}/{total} units {text}".rstrip(), err=True)

    return show


@contextmanager
def _rich_bar(total: int) -> Iterator[Callable[[str, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns: list[Any] = [BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
    with Bar(*columns, TextColumn("{task.description}"), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)

        def show(text: str, done: int) -> None:
            bar.update(task, completed=done, **({"description": text} if text else {}))

        yield show
