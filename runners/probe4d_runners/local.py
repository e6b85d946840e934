"""Carries out units in worker processes on this machine.

Each worker is a fresh interpreter (`probe4d_runners.worker`) that serves one unit at a time over a
pipe of its own. So a unit may end its process, leak or hang: it costs itself, and the run goes on.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from attrs import define, field

from probe4d.contracts import Outcome, Unit
from probe4d.cores import usable_cores
from probe4d_runners.process import WorkerProcess
from probe4d_runners.runner_options import at_least, seconds_or_none
from probe4d_runners.unit_graph import UnitGraph

__all__ = ["LocalRunner"]

POLL_SECONDS = 1.0  # a worker's pipe may outlive it in a process that it left behind: look at it too


@define
class _Job:
    """A unit on its way: how often it was started, and for how long."""

    unit: Unit
    attempts: int = 0
    seconds: float = 0.0


@define
class _Busy:
    """A worker with the job that it carries out."""

    worker: WorkerProcess
    job: _Job
    started: float = field(factory=time.monotonic)


class LocalRunner:
    """Worker processes on this machine.

    Args:
        workers: how many units run at once; by default as many as this process may use cores.
        retries: how often a unit is tried again after its worker died or its time ran out. A unit
            that raises is not tried again: it would raise again.
        timeout: seconds that one try of a unit may take; none by default.
        output: file descriptor that takes what the workers write; this process's own stdout and stderr without.

    `Unit.resources` are not looked at: a worker is one slot.
    """

    def __init__(
        self,
        workers: int | None = None,
        retries: int = 1,
        timeout: float | None = None,
        output: int | None = None,
    ) -> None:
        self.workers = at_least("LocalRunner.workers", 1, usable_cores() if workers is None else workers)
        self.retries = at_least("LocalRunner.retries", 0, retries)
        self.timeout = seconds_or_none("LocalRunner.timeout", timeout)
        self.output = output

    def run(self, units: Sequence[Unit], *, on_start: Callable[[str], None] | None = None) -> Iterator[Outcome]:
        """Yield one outcome per unit, as they end; units stand in any order.

        Raises:
            UsageError: an id stands twice, a need names no unit, or needs form a circle.
        """
        return _Run(self, UnitGraph(units), on_start or (lambda _: None)).outcomes()


class _Run:
    """One call of `run`: the state of its units and workers."""

    def __init__(self, runner: LocalRunner, graph: UnitGraph, on_start: Callable[[str], None]) -> None:
        self.runner = runner
        self.graph = graph
        self.on_start = on_start
        self.again: deque[_Job] = deque()  # whose worker was lost
        self.idle: list[WorkerProcess] = []
        self.busy: dict[Connection, _Busy] = {}

    def outcomes(self) -> Iterator[Outcome]:
        """Yield outcomes until every unit has one; whatever ends this ends the workers too."""
        try:
            while self.graph.open:
                self._start_ready()
                for outcome in self._wait():
                    yield from self.graph.settle(outcome)
        finally:
            for worker in [*self.idle, *(busy.worker for busy in self.busy.values())]:
                worker.end()

    def _start_ready(self) -> None:
        while (self.graph.ready or self.again) and len(self.busy) < self.runner.workers:
            job = _Job(unit=self.graph.ready.popleft()) if self.graph.ready else self.again.popleft()
            worker = self.idle.pop() if self.idle else WorkerProcess(self.runner.output)
            # Known as busy before it is sent anything: an interrupt in between must not orphan it.
            self.busy[worker.connection] = _Busy(worker=worker, job=job)
            if not job.attempts:
                self.on_start(job.unit.id)
            job.attempts += 1
            worker.send(job.unit)

    def _wait(self) -> Iterator[Outcome]:
        """Yield the outcomes of what ended, failed or ran out of time; retried jobs go back in line."""
        answered = wait(list(self.busy), timeout=self._patience())
        for connection, busy in list(self.busy.items()):
            if connection in answered:
                answer = busy.worker.receive()
            elif busy.worker.died():
                answer = None
            elif self._overdue(busy):
                yield from self._lost(connection, f"it took longer than {self.runner.timeout:g} s")
                continue
            else:
                continue
            if answer is None:
                yield from self._lost(connection, busy.worker.epitaph())
                continue
            del self.busy[connection]
            self.idle.append(busy.worker)
            yield self._outcome(busy, **answer)

    def _patience(self) -> float:
        """Return the seconds until something may have happened that no pipe tells."""
        if self.runner.timeout is None:
            return POLL_SECONDS
        ends = min(busy.started + self.runner.timeout for busy in self.busy.values())
        return min(POLL_SECONDS, max(0.0, ends - time.monotonic()))

    def _overdue(self, busy: _Busy) -> bool:
        return time.monotonic() - busy.started >= (math.inf if self.runner.timeout is None else self.runner.timeout)

    def _lost(self, connection: Connection, reason: str) -> Iterator[Outcome]:
        """Put the job of a lost worker back in line, or yield its failure after the last try."""
        busy = self.busy.pop(connection)
        busy.worker.end()
        if busy.job.attempts <= self.runner.retries:
            busy.job.seconds += time.monotonic() - busy.started
            self.again.append(busy.job)
            return
        tries = f" (tried {busy.job.attempts} times)" if busy.job.attempts > 1 else ""
        yield self._outcome(busy, status="failed", error=f"{reason}{tries}")

    def _outcome(self, busy: _Busy, **facts: Any) -> Outcome:
        seconds = busy.job.seconds + time.monotonic() - busy.started
        return Outcome(unit=busy.job.unit.id, attempts=busy.job.attempts, seconds=seconds, **facts)
