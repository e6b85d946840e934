"""Carries out units in worker processes on this machine.

Each worker is a fresh interpreter (`probe4d_runners.worker`) that serves one unit at a time over a
pipe of its own. So a unit may end its process, leak or hang: it costs itself, and the run goes on.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from attrs import define, field

from probe4d.contracts import Outcome, Unit
from probe4d.errors import UsageError, did_you_mean
from probe4d_runners.process import WorkerProcess

__all__ = ["LocalRunner"]

POLL_SECONDS = 1.0  # a worker's pipe may outlive it in a process that it left behind: look at it too


@define
class _Job:
    """A unit on its way: how often it was started, and what it still needs."""

    unit: Unit
    waiting_for: set[str]
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

    `Unit.resources` are not looked at: a worker is one slot.
    """

    def __init__(self, workers: int | None = None, retries: int = 1, timeout: float | None = None) -> None:
        self.workers = _at_least("workers", 1, _usable_cores() if workers is None else workers)
        self.retries = _at_least("retries", 0, retries)
        if timeout is not None and not timeout > 0:
            raise UsageError(f"LocalRunner.timeout: expected seconds above 0, got {timeout!r}.")
        self.timeout = timeout

    def run(self, units: Sequence[Unit], *, on_start: Callable[[str], None] | None = None) -> Iterator[Outcome]:
        """Yield one outcome per unit, as they end; units stand in any order.

        Raises:
            UsageError: an id stands twice, a need names no unit, or needs form a circle.
        """
        _check(units)
        return _Run(self, units, on_start or (lambda _: None)).outcomes()


class _Run:
    """One call of `run`: the state of its units and workers."""

    def __init__(self, runner: LocalRunner, units: Sequence[Unit], on_start: Callable[[str], None]) -> None:
        self.runner = runner
        self.on_start = on_start
        self.jobs = {unit.id: _Job(unit=unit, waiting_for=set(unit.needs)) for unit in units}
        self.needed_by: dict[str, list[str]] = {unit.id: [] for unit in units}
        for unit in units:
            for need in set(unit.needs):
                self.needed_by[need].append(unit.id)
        self.ready = deque(job for job in self.jobs.values() if not job.waiting_for)
        self.idle: list[WorkerProcess] = []
        self.busy: dict[Connection, _Busy] = {}

    def outcomes(self) -> Iterator[Outcome]:
        """Yield outcomes until every unit has one; whatever ends this ends the workers too."""
        try:
            while self.ready or self.busy:
                self._start_ready()
                for outcome in self._wait():
                    yield outcome
                    yield from self._settle(outcome)
        finally:
            for worker in [*self.idle, *(busy.worker for busy in self.busy.values())]:
                worker.end()

    def _start_ready(self) -> None:
        while self.ready and len(self.busy) < self.runner.workers:
            job = self.ready.popleft()
            worker = self.idle.pop() if self.idle else WorkerProcess()
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
            self.ready.append(busy.job)
            return
        tries = f" (tried {busy.job.attempts} times)" if busy.job.attempts > 1 else ""
        yield self._outcome(busy, status="failed", error=f"{reason}{tries}")

    def _outcome(self, busy: _Busy, **facts: Any) -> Outcome:
        seconds = busy.job.seconds + time.monotonic() - busy.started
        return Outcome(unit=busy.job.unit.id, attempts=busy.job.attempts, seconds=seconds, **facts)

    def _settle(self, outcome: Outcome) -> Iterator[Outcome]:
        """Free what needed this unit, or yield it as skipped, and so on down."""
        for name in self.needed_by[outcome.unit]:
            job = self.jobs[name]
            if outcome.status == "ok":
                job.waiting_for.discard(outcome.unit)
                if not job.waiting_for:
                    self.ready.append(job)
            elif outcome.unit in job.waiting_for:
                # Its other needs may fail as well: it is skipped once.
                job.waiting_for = {"skipped"}
                for need in job.unit.needs:
                    self.needed_by[need] = [other for other in self.needed_by[need] if other != name]
                reason = f"it needs {outcome.unit}, which {'failed' if outcome.status == 'failed' else 'was skipped'}"
                skipped = Outcome(unit=name, status="skipped", error=reason, attempts=0)
                yield skipped
                yield from self._settle(skipped)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _at_least(name: str, least: int, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"LocalRunner.{name}: expected an integer of at least {least}, got {value!r}.")
    return value


def _check(units: Iterable[Unit]) -> None:
    """Refuse units that no order could satisfy."""
    known: dict[str, Unit] = {}
    for unit in units:
        if unit.id in known:
            raise UsageError(f"units: expected each id once, got {unit.id!r} twice.")
        known[unit.id] = unit
    for unit in known.values():
        for need in unit.needs:
            if need not in known:
                raise UsageError(f"unit {unit.id!r}: needs {need!r}, which is no unit.{did_you_mean(need, known)}")
    done: set[str] = set()
    left = dict(known)
    while left:
        free = [name for name, unit in left.items() if done.issuperset(unit.needs)]
        if not free:
            raise UsageError(f"units: expected no circle of needs, got one among {', '.join(sorted(left))}.")
        done.update(free)
        for name in free:
            del left[name]
