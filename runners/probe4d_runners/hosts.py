"""Finetuning across hosts: one process a host, joined by `jax.distributed`, each with its part of every member's step.

Process 0 is the run: it plans, carries out by itself what is not finetuning, and writes. The others serve it. What
joins is a worker process of each, so that a crash ends no run: the workers are started anew, and a member that was
under way goes on from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from probe4d.contracts import Outcome, Unit
from probe4d.errors import Probe4dError, UsageError
from probe4d.planning.units import FINETUNE
from probe4d.registry import load_target
from probe4d_runners.local import LocalRunner
from probe4d_runners.process import WorkerProcess
from probe4d_runners.runner_options import at_least
from probe4d_runners.unit_graph import UnitGraph

__all__ = ["HostsRunner", "dismiss", "join", "lead", "serve"]

AGAIN_SECONDS = 120  # for all to be back after one of them was lost
STDERR = 2  # what libraries of collectives print is no result


class HostsRunner:
    """Finetunes with the devices of several hosts; other units are carried out by the workers of process 0.

    Args:
        join: `HOST:PORT,I/N`: this is process I of N, and process 0 listens at HOST:PORT.
        wait: seconds until all have to be there.
        workers, timeout: as `LocalRunner` has them; `timeout` is that of a member of a sweep too.
        retries: how often a unit is tried again after a process was lost, on whichever host.

    Raises:
        UsageError: an option is of no use, as its message says.
    """

    def __init__(
        self,
        join: str | None = None,
        wait: int = 3600,
        workers: int | None = None,
        retries: int = 1,
        timeout: float | None = None,
    ) -> None:
        from probe4d_runners.jax.processes import Member

        if join is None:
            raise UsageError("HostsRunner.join: expected HOST:PORT,I/N, got none. Say it by --distributed.")
        self.member = Member.parse(join)
        self.wait = at_least("HostsRunner.wait", 1, wait)
        self.alone = LocalRunner(workers=workers, retries=retries, timeout=timeout)

    def run(self, units: Sequence[Unit], *, on_start: Callable[[str], None] | None = None) -> Iterator[Outcome]:
        """Yield one outcome per unit, as they end; units stand in any order. To be called in process 0.

        Raises:
            UsageError: an id stands twice, a need names no unit, or needs form a circle.
        """
        graph, started = UnitGraph(units), on_start or (lambda _: None)
        together = [unit for unit in units if unit.target == FINETUNE]
        before = _needed_by(together, graph)
        yield from self._alone([unit for unit in units if unit.id in before], graph, started)
        with _Hosts(self) as hosts:
            for unit in together:
                if not graph.has_ended(unit.id):
                    yield from graph.settle(hosts.carry_out(unit, started))
        rest = [unit for unit in units if not graph.has_ended(unit.id)]
        yield from self._alone(
            [
                attrs.evolve(unit, needs=tuple(need for need in unit.needs if not graph.has_ended(need)))
                for unit in rest
            ],
            graph,
            started,
        )

    def follow(self) -> None:
        """Serve process 0 until it dismisses this one. To be called in the others.

        Raises:
            Probe4dError: it is not there, or not again after the hosts were parted.
        """
        wait = self.wait
        while True:
            worker = WorkerProcess(STDERR)
            try:
                _tell(f"waits for process 0 at {self.member.address}", self.member)
                if (reason := _joined(worker, self.member, wait)) is not None:
                    raise Probe4dError(f"{_who(self.member)}: {reason}. Start process 0, or all of them again.")
                worker.send(Unit(id="serve", target=f"{__name__}:serve"))
                answer = worker.receive()
                if answer is not None and answer["status"] == "ok":
                    return
                _tell(f"was parted from the others: {_reason(worker, answer)}", self.member)
            finally:
                worker.end()
            wait = AGAIN_SECONDS

    def _alone(self, units: Sequence[Unit], graph: UnitGraph, on_start: Callable[[str], None]) -> Iterator[Outcome]:
        for outcome in self.alone.run(units, on_start=on_start):
            if not graph.has_ended(outcome.unit):  # else what it needs had failed, and `settle` told so
                yield from graph.settle(outcome)


class _Hosts:
    """The processes that have joined, as process 0 sees them; joined anew after a loss, dismissed at the end."""

    def __init__(self, runner: HostsRunner) -> None:
        self.runner = runner
        self._worker: WorkerProcess | None = None
        self._wait = runner.wait
        self._gone = ""  # why there will be no more joining

    def __enter__(self) -> _Hosts:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self.runner.member.count > 1:
                with contextlib.suppress(Probe4dError):  # who is gone needs no word
                    worker = self._gathered()
                    worker.send(Unit(id="dismiss", target=f"{__name__}:dismiss"))
                    worker.receive()
        finally:
            self._part()

    def carry_out(self, unit: Unit, on_start: Callable[[str], None]) -> Outcome:
        """Return what becomes of a unit that all carry out."""
        started, attempts, reasons = time.monotonic(), 0, []
        on_start(unit.id)
        while attempts <= self.runner.alone.retries:
            try:
                worker = self._gathered()
            except Probe4dError as missing:
                reasons.append(str(missing))
                break
            attempts += 1
            found = self._tried(worker, unit)
            if isinstance(found, Mapping):
                return Outcome(unit=unit.id, attempts=attempts, seconds=time.monotonic() - started, **found)
            reasons.append(f"{found} (try {attempts})")
        return Outcome(
            unit=unit.id,
            status="failed",
            error="\n".join(reasons),
            attempts=attempts,
            seconds=time.monotonic() - started,
        )

    def _tried(self, worker: WorkerProcess, unit: Unit) -> Mapping[str, Any] | str:
        """Return what is to be said of the unit, or why one of the processes was lost."""
        given = {"target": unit.target, "given": dict(unit.arguments)}
        worker.send(Unit(id=unit.id, target=f"{__name__}:lead", arguments=given))
        timeout = self.runner.alone.timeout
        if timeout is not None and not worker.connection.poll(timeout):
            self._part()
            return f"it took longer than {timeout:g} s"
        answer = worker.receive()
        found: Mapping[str, Any] | str
        if answer is None:
            found = worker.epitaph()
        elif answer["status"] == "failed":
            found = {"status": "failed", "error": answer["error"]}
        elif "value" in answer["value"]:
            return {"status": "ok", "value": answer["value"]["value"]}
        else:
            found = answer["value"]["parted"]
        self._part()  # how far the others are with it is not known
        return found

    def _gathered(self) -> WorkerProcess:
        """Return the worker that has joined the others.

        Raises:
            Probe4dError: they are not all there; nor will they be waited for again.
        """
        if self._worker is None and not self._gone:
            self._worker = WorkerProcess(STDERR)
            self._gone = _joined(self._worker, self.runner.member, self._wait) or ""
            self._wait = AGAIN_SECONDS
        if self._gone or self._worker is None:
            self._part()
            raise Probe4dError(self._gone)
        return self._worker

    def _part(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None


def join(member: str, wait: int) -> None:
    """Join the processes of a run. Called in a worker, as are the next three."""
    from probe4d_runners.jax.processes import Member

    Member.parse(member).join(wait)


def lead(target: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out a unit with all processes; return its `value`, or as `parted` what failed.

    How a library ends that waits for a process which was lost is its own affair: so what is no error of ours is worth
    another try.
    """
    from probe4d_runners.jax.processes import broadcast_bytes

    try:
        broadcast_bytes(json.dumps({"folder": os.getcwd(), "target": target, "given": dict(given)}).encode())
        return {"value": load_target(target)(**given)}
    except Probe4dError:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        return {"parted": "".join(traceback.format_exception(error)).strip()}


def dismiss() -> None:
    """Tell the others that there is nothing more to do."""
    import jax

    from probe4d_runners.jax.processes import broadcast_bytes

    broadcast_bytes(b"null")
    jax.distributed.shutdown()


def serve() -> None:
    """Carry out with process 0 what it leads, until it dismisses this one."""
    import jax

    from probe4d_runners.jax.processes import broadcast_bytes

    while (work := json.loads(broadcast_bytes(b""))) is not None:
        os.chdir(work["folder"])  # paths of a unit may be relative to where the run was started
        load_target(work["target"])(**work["given"])
    jax.distributed.shutdown()


def _joined(worker: WorkerProcess, member: Any, wait: int) -> str | None:
    """Return None once the worker has joined, or why it has not."""
    worker.send(Unit(id="join", target=f"{__name__}:join", arguments={"member": str(member), "wait": wait}))
    answer = worker.receive()
    if answer is not None and answer["status"] == "ok":
        return None
    return f"expected all {member.count} processes at {member.address} within {wait} s, but {_reason(worker, answer)}"


def _reason(worker: WorkerProcess, answer: Mapping[str, Any] | None) -> str:
    return worker.epitaph() if answer is None else str(answer["error"])


def _needed_by(units: Sequence[Unit], graph: UnitGraph) -> set[str]:
    """Return the ids of all that must be done before, near and far."""
    found: set[str] = set()
    open_ids = [need for unit in units for need in unit.needs]
    while open_ids:
        need = open_ids.pop()
        if need not in found:
            found.add(need)
            open_ids += graph.units[need].needs
    return found - {unit.id for unit in units}


def _who(member: Any) -> str:
    return f"process {member.index} of {member.count}"


def _tell(text: str, member: Any) -> None:
    sys.stderr.write(f"{_who(member)} {text}\n")
