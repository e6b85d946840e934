"""Carries out a plan by a runner, and keeps the run's folder true whatever happens."""

from __future__ import annotations

import shlex
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
from attrs import frozen

from probe4d.announce import announce
from probe4d.atomic import sweep_left
from probe4d.contracts import Outcome, Runner, Unit
from probe4d.errors import DataError, Probe4dError, UsageError
from probe4d.planning.outline import outline
from probe4d.planning.parts import Part
from probe4d.planning.plan import Plan
from probe4d.planning.provenance import environment
from probe4d.records import Record
from probe4d.registry import find, make
from probe4d.sessions import Session
from probe4d.shares import Share
from probe4d.store.files import open_files
from probe4d.unit_logs import keep_log, whereabouts, with_logs

__all__ = ["INCOMPLETE", "RunResult", "check_plan", "make_runner", "run_plan"]

INCOMPLETE = 75  # exit code: try again later, as sysexits.h has it


@frozen(kw_only=True)
class RunResult:
    """What a run came to.

    Attributes:
        status: `success` (all of the plan is done), `failed` (some units of this run did), `incomplete` (other
            parts have units to do), or `cancelled`.
        failures: the units that failed or were skipped, with their errors.
        waiting: units of this part that need what other parts have not done yet.
        left: how many units of the whole plan are not done.
    """

    plan: Plan
    status: str
    records: tuple[Record, ...]
    failures: tuple[Outcome, ...]
    waiting: tuple[Unit, ...] = ()
    left: int = 0

    @property
    def exit_code(self) -> int:
        """Return 0 where all is done, 1 where some failed, 75 where other parts have to, 130 if interrupted."""
        return {"success": 0, "failed": 1, "incomplete": INCOMPLETE, "cancelled": 130}[self.status]


def check_plan(plan: Plan, *, partial: bool = False) -> None:
    """Refuse a plan that cannot be carried out.

    Args:
        partial: run what can run, and leave out the rest.

    Raises:
        Probe4dError: something is missing, or the disk is too small; with the exit code of the first reason.
    """
    if plan.problems and not (partial and plan.sweeps):
        listed = "\n".join(f"  {problem.of}: {problem.reason}" for problem in plan.problems)
        error = Probe4dError(f"{len(plan.blocked)} of the suite's sweeps cannot run:\n{listed}")
        error.exit_code = plan.problems[0].exit_code
        raise error
    free, wanted = plan.free_bytes(), plan.bytes_todo()
    if free is not None and wanted > free:
        raise DataError(
            f"{plan.root}: expected {wanted / 1e9:.1f} GB free for the features, got {free / 1e9:.1f} GB. "
            "Choose another --store, fewer samples (--limit), views or layers, or `probe4d cache prune`."
        )


def make_runner(name: str, workers: int | None = None, options: Mapping[str, Any] | None = None) -> Runner:
    """Return a runner of the registry.

    Args:
        workers: units at once; its own default without.
        options: what else this runner takes.

    Raises:
        UsageError: there is none of that name, or it takes no such option.
    """
    entry = find("runners", name)
    given = {**({} if workers is None else {"workers": workers}), **(options or {})}
    try:
        made: Runner = make(entry, **given)
    except TypeError as error:
        raise UsageError(f"runner {entry.name}: {error}. It got {', '.join(given) or 'no option'}.") from error
    return made


def run_plan(
    plan: Plan,
    runner: Runner,
    *,
    suite_text: str | None = None,
    part: Part | None = None,
    on_start: Callable[[Unit], None] | None = None,
    on_outcome: Callable[[Outcome, int], None] | None = None,
) -> RunResult:
    """Carry out what is still to do of a plan, and return the records of all that is done.

    Args:
        part: carry out this part only; others may do theirs at the same time, on the same store and folder.
        on_start: called with each unit that starts.
        on_outcome: called with each outcome and how many are left.

    Raises:
        UsageError: the folder holds a run of another suite.
    """
    state = _start(plan, suite_text, part)
    by_id = {unit.id: unit for unit in plan.todo}
    share = Share(plan, part)
    outcomes: list[Outcome] = []
    left: set[str] = set()
    status = "cancelled"
    name, told = type(runner).__name__, None if part is None else str(part)
    try:
        with Session(plan.run, part=told, runner=name, units=len(share.todo)) as session:

            def started(unit: str) -> None:
                session.start(unit)
                if on_start is not None:
                    on_start(by_id[unit])

            for outcome in share.outcomes(runner, started):
                outcomes.append(outcome)
                session.end(outcome)
                keep_log(plan.run, outcome)
                if on_outcome is not None:
                    on_outcome(outcome, len(share.todo) - len(outcomes))
        left = share.left()
        failed = any(outcome.status != "ok" for outcome in outcomes)
        status = "failed" if failed else "incomplete" if left else "success"
    except KeyboardInterrupt:
        status = "cancelled"
    finally:
        if part is None or status == "success":
            plan.run.write_run({**state, "status": status, **_ended(plan, outcomes)})
    if status != "cancelled":
        _sweep(plan)
    records = with_logs(plan.run, _records(plan), {unit.id: unit for unit in plan.units})
    _announce_new(records, outcomes, by_id)
    return RunResult(
        plan=plan,
        status=status,
        records=tuple(records),
        failures=tuple(outcome for outcome in outcomes if outcome.status != "ok"),
        waiting=tuple(unit for unit in share.todo if unit.id in share.waiting) if status != "cancelled" else (),
        left=len(left),
    )


def _sweep(plan: Plan) -> None:
    """Delete what killed workers of this machine left half-written, in the run's folder and in the store."""
    sweep_left(plan.run.path)
    for stored in plan.sets:
        open_files(plan.root, stored.digest).sweep()


def _start(plan: Plan, suite_text: str | None, part: Part | None) -> dict[str, Any]:
    """Write `run.json` with status `started`; a folder that holds another suite is refused.

    Of several parts that start at once, one writes it.
    """
    try:
        before = plan.run.read_run()
    except DataError:
        if (plan.run.path / "run.json").exists():
            raise
        before = {}
    if before and before["suite"] != plan.suite.name:
        raise UsageError(
            f"{plan.run.path}: expected a run of suite {plan.suite.name!r}, got one of {before['suite']!r}. "
            "Choose another folder by --output-dir."
        )
    state = {
        "run_id": before.get("run_id", uuid.uuid4().hex[:12]),
        "suite": plan.suite.name,
        "only": plan.only,
        "cells": [attrs.asdict(cell) for sweep in plan.sweeps for cell in sweep.cells],
        "blocked": [[cell.backbone, cell.task, cell.protocol] for cell in plan.blocked],
        "store": plan.root,
        "started": before.get("started", _now()),
        "command": shlex.join(sys.argv),
        "environment": environment(),
        "sessions": before.get("sessions", 0) + 1,
    }
    if part is None:
        plan.run.write_run({**state, "status": "started"})
    else:
        plan.run.create_run({**state, "status": "started"})
    plan.run.write_outline(outline(plan))
    if suite_text is not None:
        plan.run.write_suite(suite_text)
    return state


def _ended(plan: Plan, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    done = list(outcomes)
    return {
        "ended": _now(),
        "units": {"total": len(plan.units), "done_before": len(plan.units) - len(plan.todo)}
        | dict(Counter(outcome.status for outcome in done)),
        "seconds": sum(outcome.seconds for outcome in done),
        "failures": [
            {"unit": one.unit, "status": one.status, "error": one.error, **whereabouts(one)}
            for one in done
            if one.status != "ok"
        ],
    }


def _records(plan: Plan) -> list[Record]:
    found = [plan.run.read_record(cell) for sweep in plan.sweeps for cell in sweep.cells]
    return [record for record in found if record is not None]


def _announce_new(records: Iterable[Record], outcomes: Iterable[Outcome], units: dict[str, Unit]) -> None:
    """Tell plugins of the records that this run wrote."""
    fresh = {outcome.unit for outcome in outcomes if outcome.status == "ok"} & set(units)
    for record in records:
        if record.content.get("unit") in fresh:
            announce(record.content)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), tz=UTC).isoformat(timespec="seconds")
