"""Checks of a runner: each unit once, needs first, and neither a failing unit nor a dead worker stops the rest.

A runner is checked in a process of its own (`probe4d.testing.runner_process`): one that carries
units out in the calling process would take the checks down with a dying unit.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from attrs import asdict, frozen

from probe4d import contracts
from probe4d.contracts import Outcome, Unit
from probe4d.testing.battery import Checks
from probe4d.testing.result import CheckFailed, require, skip
from probe4d.testing.subject import Subject

__all__ = ["RUNNER", "Ran", "RunnerSubject"]

UNITS = "probe4d.testing.units"
SECONDS = 120  # a runner that takes longer for a few trivial units hangs
VALUES = {"a": 1, "b": [1, 2.5, None], "c": {"text": "ü", "flag": True}, "d": None}


@frozen
class Ran:
    """What a run of units came to."""

    outcomes: tuple[Outcome, ...]
    ledger: tuple[str, ...]
    started: tuple[str, ...]

    def status(self) -> dict[str, str]:
        """Return the status of each unit."""
        return {outcome.unit: outcome.status for outcome in self.outcomes}


class RunnerSubject(Subject):
    """A runner, run in a process of its own."""

    def carry_out(self, make: Sequence[tuple[str, str, dict[str, object], tuple[str, ...]]]) -> Ran:
        """Return what became of these units, each `(id, function of units.py, arguments, needs)`."""
        if missing := self.entry.unmet:
            skip(f"needs {', '.join(missing)}: {self.entry.install_line}")
        with tempfile.TemporaryDirectory() as folder:
            ledger = Path(folder, "ledger")
            ledger.touch()
            note = {"ledger": str(ledger)}
            units = [
                Unit(
                    id=id_,
                    target=f"{UNITS}:{name}",
                    arguments={**note, "name": id_, **more},
                    needs=needs,
                )
                for id_, name, more, needs in make
            ]
            answer = self._in_process(units, Path(folder))
            return Ran(
                outcomes=tuple(Outcome(**one) for one in answer["outcomes"]),
                ledger=tuple(ledger.read_text(encoding="utf-8").split()),
                started=tuple(answer["started"]),
            )

    def _in_process(self, units: Sequence[Unit], folder: Path) -> dict[str, list]:
        job, answer = folder / "job", folder / "answer.json"
        spec = self.spec
        # Ours to ourselves: the job is written and read by this check alone.
        job.write_bytes(pickle.dumps((spec.target, dict(spec.options), [asdict(unit) for unit in units])))
        path = [os.path.abspath(entry) for entry in sys.path if entry]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        command = [sys.executable, "-m", "probe4d.testing.runner_process", str(job), str(answer)]
        try:
            # In a folder of its own: what a runner leaves in the working folder goes with it.
            done = subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CheckFailed(f"expected the run to end, got nothing in {SECONDS} s") from error
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise CheckFailed(f"the calling process ended with code {done.returncode}: {last}")
        loaded: dict[str, list] = json.loads(answer.read_text(encoding="utf-8"))
        return loaded

    @cached_property
    def plain(self) -> Ran:
        """Four units that all succeed."""
        return self.carry_out([(name, "echo", {"value": value}, ()) for name, value in VALUES.items()])

    @cached_property
    def chain(self) -> Ran:
        """A unit, two that need it and one that needs both, in the wrong order."""
        return self.carry_out(
            [
                ("last", "echo", {}, ("left", "right")),
                ("right", "echo", {}, ("first",)),
                ("left", "echo", {"seconds": 0.05}, ("first",)),
                ("first", "echo", {"seconds": 0.05}, ()),
            ]
        )

    @cached_property
    def failing(self) -> Ran:
        """A unit that raises, two that rest on it and one that does not."""
        return self.carry_out(
            [
                ("bad", "fail", {}, ()),
                ("child", "echo", {}, ("bad",)),
                ("grandchild", "echo", {}, ("child",)),
                ("good", "echo", {"value": 7}, ()),
            ]
        )

    @cached_property
    def dying(self) -> Ran:
        """A unit whose process ends, one that needs it and two that do not."""
        return self.carry_out(
            [
                ("before", "echo", {"value": 1}, ()),
                ("killed", "die", {}, ()),
                ("child", "echo", {}, ("killed",)),
                ("after", "echo", {"value": 2}, ()),
            ]
        )


RUNNER: Checks[RunnerSubject] = Checks()


@RUNNER()
def target_constructs(subject: RunnerSubject) -> None:
    """The target makes a Runner."""
    require(isinstance(subject.product, contracts.Runner), f"expected a Runner, got {subject.product!r}")


@RUNNER("target_constructs")
def no_units_is_no_work(subject: RunnerSubject) -> None:
    """Nothing to do ends at once, with no outcome."""
    got = subject.carry_out([]).outcomes
    require(not got, f"expected no outcome, got {got}")


@RUNNER("target_constructs")
def each_unit_has_one_outcome(subject: RunnerSubject) -> None:
    """As many outcomes as units, one each."""
    counts = Counter(outcome.unit for outcome in subject.plain.outcomes)
    require(counts == Counter(list(VALUES)), f"expected one outcome for each of {sorted(VALUES)}, got {dict(counts)}")


@RUNNER("target_constructs")
def each_unit_runs_once(subject: RunnerSubject) -> None:
    """A unit that succeeds is carried out exactly once."""
    counts = Counter(line[1:] for line in subject.plain.ledger if line.startswith("+"))
    repeated = {name: count for name, count in counts.items() if count > 1}
    require(not repeated, f"expected each unit once, got {repeated}")


@RUNNER("each_unit_has_one_outcome")
def values_come_back(subject: RunnerSubject) -> None:
    """The outcome of a unit that succeeds is `ok`, with the JSON value that it returned."""
    got = {outcome.unit: (outcome.status, outcome.value) for outcome in subject.plain.outcomes}
    want = {name: ("ok", value) for name, value in VALUES.items()}
    require(got == want, f"expected {want}, got {got}")


@RUNNER("each_unit_has_one_outcome")
def on_start_names_each_unit(subject: RunnerSubject) -> None:
    """`on_start` is called with the id of each unit that is carried out."""
    require(sorted(subject.plain.started) == sorted(VALUES), f"expected {sorted(VALUES)}, got {subject.plain.started}")


@RUNNER("each_unit_has_one_outcome")
def needs_come_first(subject: RunnerSubject) -> None:
    """A unit starts after all that it needs have ended, in whatever order the units stand."""
    ledger = subject.chain.ledger
    for name, needs in (("left", ["first"]), ("right", ["first"]), ("last", ["left", "right"])):
        for need in needs:
            both = f"-{need}" in ledger and f"+{name}" in ledger
            ok = both and ledger.index(f"-{need}") < ledger.index(f"+{name}")
            require(ok, f"expected {need!r} to end before {name!r} starts, got {' '.join(ledger)}")


@RUNNER("each_unit_has_one_outcome")
def a_failing_unit_stops_only_itself(subject: RunnerSubject) -> None:
    """A unit that raises is `failed` with its error; the others succeed."""
    outcomes = {outcome.unit: outcome for outcome in subject.failing.outcomes}
    require("bad" in outcomes and "good" in outcomes, f"expected outcomes of bad and good, got {sorted(outcomes)}")
    bad, good = outcomes["bad"], outcomes["good"]
    require(bad.status == "failed", f"the unit that raises: expected 'failed', got {bad.status!r}")
    require("on purpose" in (bad.error or ""), f"the unit that raises: expected its message, got {bad.error!r}")
    require((good.status, good.value) == ("ok", 7), f"the other: expected ('ok', 7), got {(good.status, good.value)}")


@RUNNER("a_failing_unit_stops_only_itself")
def what_needs_a_failure_is_skipped(subject: RunnerSubject) -> None:
    """Units that rest on a failed one, directly or not, are `skipped` and never start."""
    status = subject.failing.status()
    for name in ("child", "grandchild"):
        require(status.get(name) == "skipped", f"{name}: expected 'skipped', got {status.get(name)!r}")
        require(f"+{name}" not in subject.failing.ledger, f"{name}: expected it not to start, but it did")


@RUNNER("each_unit_has_one_outcome")
def a_killed_worker_costs_one_unit(subject: RunnerSubject) -> None:
    """A unit whose process dies is `failed`; the run goes on and the other units succeed."""
    status = subject.dying.status()
    want = {"before": "ok", "killed": "failed", "child": "skipped", "after": "ok"}
    require(status == want, f"expected {want}, got {status}")
