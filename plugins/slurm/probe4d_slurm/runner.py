"""Carries out units as arrays of Slurm jobs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import submitit
from attrs import define

from probe4d.contracts import Outcome, Unit
from probe4d.errors import UsageError
from probe4d_runners.runner_options import at_least, seconds_or_none
from probe4d_runners.unit_graph import UnitGraph
from probe4d_slurm.job import Job, lines_of
from probe4d_slurm.queue import LocalQueue, SlurmQueue

__all__ = ["SlurmRunner"]

POLL_SECONDS = 0.5
CANCEL_SECONDS = 60.0
ERROR_CHARACTERS = 2000


class SlurmRunner:
    """Arrays of jobs: all units that may start are shared out over one array, then those that they free.

    Args:
        workers: jobs of an array, at most.
        retries: how often a unit is tried again after its process or its job was lost.
        timeout: seconds that one try of a unit may take.
        minutes: time limit of a job; one that reaches it is queued again, up to three times.
        folder: for submitit's files, on a disk that all machines share.
        cluster: `slurm`, or `local` for jobs on this machine.
        slurm: further parameters of `sbatch`, as submitit takes them: `{"partition": "gpu", "gpus_per_node": 1}`.
    """

    def __init__(
        self,
        workers: int = 8,
        retries: int = 2,
        timeout: float | None = None,
        minutes: int = 240,
        folder: str = ".probe4d-slurm",
        cluster: str = "slurm",
        slurm: Mapping[str, Any] | None = None,
    ) -> None:
        self.workers = at_least("SlurmRunner.workers", 1, workers)
        self.retries = at_least("SlurmRunner.retries", 0, retries)
        self.timeout = seconds_or_none("SlurmRunner.timeout", timeout)
        self.minutes = at_least("SlurmRunner.minutes", 1, minutes)
        self.folder = Path(folder).absolute()
        if cluster not in ("slurm", "local"):
            raise UsageError(f"SlurmRunner.cluster: expected 'slurm' or 'local', got {cluster!r}.")
        self.cluster = cluster
        self.slurm = {f"slurm_{name}": value for name, value in (slurm or {}).items()}
        # Where a cluster's jobs are not queued again unless they ask for it (JobRequeue=0).
        more = self.slurm.get("slurm_additional_parameters", {})
        self.slurm["slurm_additional_parameters"] = {"requeue": True, **more}

    def run(self, units: Sequence[Unit], *, on_start: Callable[[str], None] | None = None) -> Iterator[Outcome]:
        """Yield one outcome per unit, as they end; units stand in any order.

        Raises:
            UsageError: an id stands twice, a need names no unit, or needs form a circle.
        """
        return _Run(self, UnitGraph(units), on_start or (lambda _: None)).outcomes()

    def executor(self, name: str) -> submitit.AutoExecutor:
        """Return what submits jobs.

        Raises:
            UsageError: there is no Slurm here, or it takes no such parameter.
        """
        try:
            executor = submitit.AutoExecutor(folder=str(self.folder / name), cluster=self.cluster)
            executor.update_parameters(name="probe4d", timeout_min=self.minutes, slurm_array_parallelism=self.workers)
            executor.update_parameters(**self.slurm)
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            raise UsageError(
                f"runner slurm: {error}. Run it where `sbatch` works, with parameters that it has."
            ) from error
        return executor


@define(eq=False)
class _Part:
    """A job of the array with its units that have no outcome yet."""

    job: Any
    ledger: Path
    left: dict[str, Unit]
    read: int = 0


class _Run:
    """One call of `run`."""

    def __init__(self, runner: SlurmRunner, graph: UnitGraph, on_start: Callable[[str], None]) -> None:
        self.runner, self.graph, self.on_start = runner, graph, on_start
        self.name = uuid.uuid4().hex[:12]
        self.queue: SlurmQueue | LocalQueue = SlurmQueue() if runner.cluster == "slurm" else LocalQueue()
        self.parts: list[_Part] = []
        self.begun: set[str] = set()
        self.jobs_lost: dict[str, int] = {}
        self.arrays = 0

    def outcomes(self) -> Iterator[Outcome]:
        """Yield outcomes until every unit has one; whatever ends this cancels the jobs."""
        try:
            while self.graph.open or self.parts:  # a job that has nothing left to do ends by itself
                self._submit()
                time.sleep(POLL_SECONDS)
                self.queue.look(part.job for part in self.parts)
                for part in list(self.parts):
                    over = self.queue.over(part.job)  # asked first: what it wrote before its end is there then
                    yield from self._read(part)
                    if over:
                        self.parts.remove(part)
                        yield from self._lost(part)
        finally:
            self._cancel()

    def _cancel(self) -> None:
        """Cancel what is still under way, and wait a moment for its end."""
        self.queue.cancel(part.job for part in self.parts)
        ends = time.monotonic() + CANCEL_SECONDS
        while time.monotonic() < ends and not all(self.queue.over(part.job) for part in self.parts):
            self.queue.look(part.job for part in self.parts)
            time.sleep(POLL_SECONDS / 5)

    def _submit(self) -> None:
        """Submit one array for all that may start and is in no job yet."""
        flying = {name for part in self.parts for name in part.left}
        # A job carries out what follows its units too: these get ready here when they are under way, or even have
        # their outcome, where a job was quicker than we looked; and twice, where the look that saw a unit freed saw
        # its job lost too.
        waiting = {unit.id: unit for unit in self.graph.ready if not self.graph.has_ended(unit.id)}
        ready = [unit for name, unit in waiting.items() if name not in flying]
        self.graph.ready.clear()
        if not ready:
            return
        self.arrays += 1
        executor = self.runner.executor(self.name)
        shares = [ready[start :: self.runner.workers] for start in range(min(self.runner.workers, len(ready)))]
        jobs, ledgers = [], []
        for number, share in enumerate(shares):
            ledger = self.runner.folder / self.name / f"array{self.arrays}-part{number}.jsonl"
            ledger.parent.mkdir(parents=True, exist_ok=True)
            units = self._with_followers(share)
            jobs.append(Job(units, str(ledger), self.runner.retries, self.runner.timeout))
            ledgers.append(ledger)
        for job, ledger, sent in zip(jobs, ledgers, executor.submit_array(jobs), strict=True):
            self.parts.append(_Part(job=sent, ledger=ledger, left={unit.id: unit for unit in job.units}))

    def _with_followers(self, share: Sequence[Unit]) -> list[Unit]:
        """Return the units and those that need nothing but what is among them, in their order."""
        units = list(share)
        inside = {unit.id for unit in units}
        for unit in units:  # grows as it goes
            for name in self.graph.needed_by(unit.id):
                if name not in inside and self.graph.waits_for(name) <= inside:
                    inside.add(name)
                    units.append(self.graph.units[name])
        return units

    def _read(self, part: _Part) -> Iterator[Outcome]:
        """Yield what the job has noted since."""
        lines = lines_of(part.ledger)
        for line in lines[part.read :]:
            if "began" in line:
                self._began(line["began"])
            elif line["unit"] in part.left and line["status"] != "skipped":  # the graph skips by itself
                del part.left[line["unit"]]
                for outcome in self.graph.settle(Outcome(**line)):
                    part.left.pop(outcome.unit, None)
                    yield outcome
        part.read = len(lines)

    def _began(self, name: str) -> None:
        if name not in self.begun:
            self.begun.add(name)
            self.on_start(name)

    def _lost(self, part: _Part) -> Iterator[Outcome]:
        """Put what an ended job left undone back in line, or yield its failure after the last try."""
        lost = [unit for unit in part.left.values() if not self.graph.waits_for(unit.id)]
        for unit in lost:
            tries = self.jobs_lost.get(unit.id, 0) + 1  # also where the job ended before it came to the unit
            self.jobs_lost[unit.id] = tries
            if tries <= self.runner.retries:
                self.graph.ready.append(unit)
            else:
                how = f"its job {part.job.job_id} ended ({self.queue.state(part.job)}); tried {tries} times"
                error = f"{how}. {self._stderr(part)}"
                yield from self.graph.settle(Outcome(unit=unit.id, status="failed", error=error, attempts=tries))

    @staticmethod
    def _stderr(part: _Part) -> str:
        return (part.job.stderr() or "")[-ERROR_CHARACTERS:].strip()
