"""One run on a Dask cluster: what is submitted, what comes back, and what is tried again."""

from __future__ import annotations

import contextlib
import os
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from attrs import define
from distributed import Client, Future, KilledWorker

from probe4d.contracts import Outcome, Unit
from probe4d_dask.offers import Demand, Offers
from probe4d_dask.seats import THREADS, Seats, carry_out
from probe4d_runners.unit_graph import UnitGraph

if TYPE_CHECKING:
    from probe4d_dask.runner import DaskRunner

__all__ = ["Carrying"]

POLL_SECONDS = 1.0
RESTART_SECONDS = 15.0
GRACE_SECONDS = 10.0  # beyond the time that a unit may take, until its worker counts as hung
MAX_SUBMITS = 100  # of a unit that is lost again and again before it begins


@define(eq=False)
class _Job:
    """A unit on its way.

    Attributes:
        starts: how often it began; `submits` how often it was sent to the cluster.
        worker, since: where it began last, and when.
    """

    unit: Unit
    demand: Demand
    starts: int = 0
    submits: int = 0
    worker: str = ""
    since: float | None = None
    seconds: float = 0.0
    future: Future | None = None


class Carrying:
    """One call of `DaskRunner.run`."""

    def __init__(self, runner: DaskRunner, client: Client, graph: UnitGraph, on_start: Callable[[str], None]) -> None:
        self.runner, self.client, self.graph, self.on_start = runner, client, graph, on_start
        self.name = f"probe4d-{uuid.uuid4().hex[:12]}"
        self.flying: dict[str, _Job] = {}
        self.lines: dict[Demand, deque[_Job]] = {}  # what may start, by what it asks for
        self.news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.offers = Offers(client, runner.patience)
        self._begun: set[str] = set()

    def outcomes(self) -> Iterator[Outcome]:
        """Yield outcomes until every unit has one; whatever ends this ends its processes on the workers too."""
        try:
            self.client.subscribe_topic(self.name, lambda event: self.news.put(("began", event[1])))
            threads = {name: os.environ.get(name) for name in THREADS}
            self.client.register_plugin(Seats(self.name, self.runner.timeout, os.getcwd(), threads))
            while self.graph.open:
                self._submit()
                for outcome in self._collect():
                    yield from self.graph.settle(outcome)
        finally:
            self._leave()

    def _submit(self) -> None:
        """Send what may start, no more than keeps the workers busy: what is not sent cannot be lost."""
        while self.graph.ready:
            unit = self.graph.ready.popleft()
            job = _Job(unit=unit, demand=self.runner.demand(unit))
            self.lines.setdefault(job.demand, deque()).append(job)
        for demand, line in self.lines.items():
            room = self.offers.ahead(demand) - sum(job.demand == demand for job in self.flying.values())
            for _ in range(min(room, len(line))):
                self._send(line.popleft())

    def _send(self, job: _Job) -> None:
        job.submits += 1
        job.since = None
        job.future = self.client.submit(
            carry_out,
            self.name,
            job.unit,
            key=f"{job.unit.id}-{self.name}-{job.submits}",  # dashboards group by what stands before the first dash
            resources=dict(job.demand) or None,
            pure=False,
        )
        self.flying[job.unit.id] = job
        job.future.add_done_callback(lambda future, job=job: self.news.put(("done", (job, future))))

    def _collect(self) -> Iterator[Outcome]:
        """Wait for news, and yield the outcomes that they bring."""
        done: list[tuple[_Job, Future]] = []
        for what, news in self._wait():
            if what == "began":
                yield from self._note_start(**news)
                continue
            job, future = news
            if job.future is future and job.unit.id in self.flying:
                done.append((job, future))
        yield from self._ended(done)
        if self.client.status != "running":  # even if it comes back, it has forgotten what was sent to it
            yield from self._give_up(
                "the scheduler went away. The same command goes on from what is done", [*self.lines]
            )
            return
        yield from self._look_around()

    def _wait(self) -> Iterator[tuple[str, Any]]:
        """Yield all news that there are, after waiting a moment for the first."""
        with contextlib.suppress(queue.Empty):
            yield self.news.get(timeout=POLL_SECONDS)
            while True:
                yield self.news.get_nowait()

    def _note_start(self, unit: str, worker: str) -> Iterator[Outcome]:
        """Note that a unit began on a worker; one that did too often is taken back."""
        job = self.flying.get(unit)
        if job is None:
            return
        if job.since is not None:
            job.seconds += time.monotonic() - job.since
        job.starts, job.worker, job.since = job.starts + 1, worker, time.monotonic()
        self._say_begun(job)
        if job.starts > self.runner.retries + 1:  # the cluster itself sends it to one worker after the other
            self._take_back([job])
            job.starts -= 1
            yield self._failed(job, "each worker that carried it out died")

    def _say_begun(self, job: _Job) -> None:
        if job.unit.id not in self._begun:
            self._begun.add(job.unit.id)
            self.on_start(job.unit.id)

    def _ended(self, done: list[tuple[_Job, Future]]) -> Iterator[Outcome]:
        """Yield the outcomes of tasks that ended; units whose process or worker was lost go back in line."""
        finished = [job for job, future in done if future.status == "finished"]
        answers = self._gathered(finished)
        for job, future in done:
            if job.unit.id in answers:
                yield from self._answered(job, answers[job.unit.id])
            elif future.status == "error":
                yield from self._raised(job, future.exception())
            elif self.client.status == "running":
                job.starts -= 1  # it did its work: what took the result along is not its doing
                yield from self._lost(job, "its Dask worker died with the result")

    def _gathered(self, finished: list[_Job]) -> dict[str, Any]:
        """Return the answers by unit, in one go; what a dying worker or scheduler took along is missing."""
        futures = {job.unit.id: job.future for job in finished}
        if not futures:
            return {}
        with contextlib.suppress(CancelledError, OSError):  # OSError: the connection to the scheduler broke
            gathered: dict[str, Any] = self.client.gather(futures, errors="skip")
            return {name: answer for name, answer in gathered.items() if answer is not None}
        return {}

    def _answered(self, job: _Job, answer: dict[str, Any]) -> Iterator[Outcome]:
        status, worker, log = answer["status"], answer["worker"], answer["log"]
        if status == "lost":
            yield from self._lost(job, answer["error"], worker=worker, log=log)
            return
        facts = {"value": answer["value"]} if status == "ok" else {"error": answer["error"]}
        yield self._outcome(job, status=status, worker=worker, log=log, **facts)

    def _raised(self, job: _Job, error: BaseException | None) -> Iterator[Outcome]:
        if isinstance(error, KilledWorker):
            yield from self._lost(job, "its Dask worker died", worker=job.worker)
        else:
            yield self._outcome(job, status="failed", error=f"{type(error).__name__}: {error}", worker=job.worker)

    def _lost(self, job: _Job, reason: str, **facts: str) -> Iterator[Outcome]:
        """Put a unit back in line, or yield its failure after the last try. Tries that never began do not count."""
        if job.starts <= self.runner.retries and job.submits < MAX_SUBMITS:
            del self.flying[job.unit.id]
            if job.since is not None:
                job.seconds, job.since = job.seconds + time.monotonic() - job.since, None
            self.lines[job.demand].append(job)
            return
        yield self._failed(job, reason, **facts)

    def _failed(self, job: _Job, reason: str, **facts: str) -> Outcome:
        tries = f" (tried {job.starts} times)" if job.starts > 1 else ""
        return self._outcome(job, status="failed", error=f"{reason}{tries}", **facts)

    def _outcome(self, job: _Job, **facts: Any) -> Outcome:
        del self.flying[job.unit.id]
        self._say_begun(job)
        running = 0.0 if job.since is None else time.monotonic() - job.since
        return Outcome(unit=job.unit.id, attempts=max(1, job.starts), seconds=job.seconds + running, **facts)

    def _look_around(self) -> Iterator[Outcome]:
        """Now and then: restart workers that hang, and give up units that no worker can take."""
        if not self.offers.refresh():
            return
        yield from self._overdue()
        for demand in self.lines:
            if reason := self.offers.hopeless(demand):
                yield from self._give_up(reason, [demand])

    def _overdue(self) -> Iterator[Outcome]:
        """Take back what should have ended on its worker long ago: the worker itself hangs, and is restarted."""
        if self.runner.timeout is None:
            return
        limit = self.runner.timeout + GRACE_SECONDS
        late = [job for job in self.flying.values() if job.since and time.monotonic() - job.since > limit]
        for job in late:
            self._take_back([job])
            with contextlib.suppress(OSError, TimeoutError, ValueError):
                self.client.restart_workers([job.worker], timeout=RESTART_SECONDS, raise_for_error=False)
            yield from self._lost(job, f"its Dask worker {job.worker} did not answer for {limit:g} s")

    def _give_up(self, reason: str, demands: Collection[Demand]) -> Iterator[Outcome]:
        """Yield an outcome for all that asks for one of these."""
        for demand in demands:
            flying = [job for job in self.flying.values() if job.demand == demand]
            self._take_back(flying)
            line = self.lines[demand]
            self.flying.update((job.unit.id, job) for job in line)
            for job in [*flying, *line]:
                yield self._outcome(job, status="failed", error=reason)
            line.clear()

    def _take_back(self, jobs: Iterable[_Job]) -> None:
        """Tell the scheduler, where it can be told, to forget what was sent."""
        if self.client.status != "running":
            return
        futures = [job.future for job in jobs if job.future is not None]
        with contextlib.suppress(OSError, TimeoutError, CancelledError):
            self.client.cancel(futures, force=True)

    def _leave(self) -> None:
        """Take back what is on its way and end its processes; a cluster that is there is left as it was."""
        if self.client.status != "running":
            return
        self._take_back(self.flying.values())
        with contextlib.suppress(OSError, TimeoutError, CancelledError):
            self.client.unsubscribe_topic(self.name)
            self.client.unregister_worker_plugin(self.name)
