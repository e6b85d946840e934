"""What one job of an array does: its part of the units, noted line by line as they begin and end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import attrs
from submitit.helpers import DelayedSubmission

from probe4d.contracts import Unit
from probe4d_runners.local import LocalRunner
from probe4d_runners.unit_output import UnitOutput

__all__ = ["Job", "lines_of"]


class Job:
    """Carries out units one at a time in a worker process; pickled into the job by submitit.

    Args:
        ledger: file that takes a line of JSON for each begin (`{"began": id}`) and each outcome.
        retries, timeout: of a unit within the job.
    """

    def __init__(self, units: Sequence[Unit], ledger: str, retries: int, timeout: float | None) -> None:
        self.units, self.ledger = tuple(units), ledger
        self.retries, self.timeout = retries, timeout

    def __call__(self) -> int:
        """Carry out what is not done, and return how many units had an outcome.

        Raises:
            SystemExit: Slurm told the job to end (SIGTERM); its worker ends with it, nothing is noted of its unit.
        """
        with ending_at(signal.SIGTERM):
            return self._carry_out()

    def _carry_out(self) -> int:
        done = {line["unit"] for line in lines_of(Path(self.ledger)) if line.get("status") == "ok"}
        left = {unit.id for unit in self.units} - done
        units = [
            attrs.evolve(unit, needs=tuple(need for need in unit.needs if need in left))
            for unit in self.units
            if unit.id in left
        ]
        worker = f"{socket.gethostname()} {os.environ.get('SLURM_JOB_ID', os.getpid())}"
        with Path(self.ledger).open("a", encoding="utf-8") as file, contextlib.closing(UnitOutput()) as output:

            def note(line: dict[str, Any]) -> None:
                file.write(f"{json.dumps(line)}\n")
                file.flush()
                os.fsync(file.fileno())

            def begin(unit: str) -> None:
                output.clear()
                note({"began": unit})

            note({})  # a line that a killed job began ends here
            runner = LocalRunner(workers=1, retries=self.retries, timeout=self.timeout, output=output.fileno())
            for outcome in runner.run(units, on_start=begin):
                log = output.text() if outcome.attempts else ""  # what is skipped wrote nothing
                note(attrs.asdict(attrs.evolve(outcome, worker=worker, log=log)))
        return len(units)

    def checkpoint(self) -> DelayedSubmission:
        """Return what to queue again when the job is preempted or its time is over: the same, for the ledger knows."""
        return DelayedSubmission(self)


@contextlib.contextmanager
def ending_at(sign: signal.Signals) -> Iterator[None]:
    """Let a signal raise SystemExit within.

    submitit has a job ignore SIGTERM. So a job that is preempted or cancelled would work on for the seconds that Slurm
    waits (KillWait), with what it does then lost as likely as not.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        signal.signal(sign, lambda *_: None)  # once is enough: what ends the workers is not to be interrupted
        raise SystemExit(128 + number)

    before = signal.signal(sign, leave)
    try:
        yield
    finally:
        signal.signal(sign, before)


def lines_of(ledger: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a ledger; a part of one, of a job that was killed, is left out."""
    if not ledger.exists():
        return []
    found = []
    for line in ledger.read_text(encoding="utf-8").split("\n")[:-1]:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # the line of a killed job, ended by the next one
    return [line for line in found if line]
