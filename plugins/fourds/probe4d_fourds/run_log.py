"""What a training run writes while it goes: lines on stdout, `metrics.jsonl`, and TensorBoard events where asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from probe4d import atomic
from probe4d.errors import MissingExtraError

__all__ = ["RunLog"]


class RunLog:
    """The log of a run that goes on at a step: lines of later steps, which will be made again, are dropped.

    Args:
        folder: of the run.
        first: the step that comes next.
        tensorboard: write events beside.
        lead: write and print; of several processes only the first does.
    """

    def __init__(self, folder: Path, first: int, *, tensorboard: bool = False, lead: bool = True) -> None:
        self.file = folder / "metrics.jsonl"
        self._lead = lead
        self._events = _event_writer(folder / "tensorboard", first) if tensorboard and lead else None
        if lead:
            kept = [line for line in self._lines() if json.loads(line)["step"] <= first]
            atomic.write_text(self.file, "".join(line + "\n" for line in kept))
            self._stream = self.file.open("a", encoding="utf-8")

    def _lines(self) -> list[str]:
        if not self.file.exists():
            return []
        whole, _, _torn = self.file.read_text(encoding="utf-8").rpartition("\n")  # a killed run tears the last line
        return whole.splitlines()

    def write(self, values: Mapping[str, Any]) -> None:
        """Write the values of a step; `step` counts from 1."""
        if not self._lead:
            return
        self._stream.write(json.dumps(dict(values)) + "\n")
        self._stream.flush()
        if self._events is not None:
            for name, value in values.items():
                if name != "step" and isinstance(value, int | float):
                    self._events.add_scalar(name, value, values["step"])

    def say(self, line: str) -> None:
        """Print a line for people."""
        if self._lead:
            click.echo(line)

    def close(self) -> None:
        """Close the files."""
        if self._lead:
            self._stream.close()
        if self._events is not None:
            self._events.close()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _event_writer(folder: Path, first: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingExtraError(
            "run.tensorboard: needs the package 'tensorboardX'. Run: pip install 'probe4d[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder), purge_step=first + 1)
