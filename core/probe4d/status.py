"""How far a run is, from its folder and the feature store alone: no process has to live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs import frozen

from probe4d.cells import Cell
from probe4d.planning.units import probe_done, score_done
from probe4d.records import RunFolder
from probe4d.sessions import FoundSession, sessions_of
from probe4d.store.files import open_files
from probe4d.store.receipts import receipt_key

__all__ = ["PHASES", "Phase", "SetProgress", "Status", "status_of"]

PHASES = ("extract", "train", "score")


@frozen(kw_only=True)
class Phase:
    """Units of one sort.

    Attributes:
        seconds: mean of those that the run's sessions carried out; None before the first.
        remaining: seconds of work that is left, at that mean, were one unit done at a time.
    """

    name: str
    units: int
    done: int
    running: int
    failed: int
    seconds: float | None

    @property
    def remaining(self) -> float | None:
        """Return the seconds of work left; None where no unit tells how long one takes."""
        left = self.units - self.done
        return 0.0 if not left else None if self.seconds is None else left * self.seconds


@frozen(kw_only=True)
class SetProgress:
    """A stored set.

    Attributes:
        bytes: of its arrays when it is whole and no sample is left out; `bytes_done` those that are there.
    """

    what: str
    digest: str
    shards: int
    shards_done: int
    bytes: int
    bytes_done: int


@frozen(kw_only=True)
class Status:
    """How far a run is.

    Attributes:
        rate: units that the sessions at work have done per minute; None where none is.
        remaining: seconds that are left with as many units at once as run now; None where nothing tells.
        failures: of units that are not done, the last error of each.
        sessions: those at work first.
    """

    suite: str
    store: str
    phases: tuple[Phase, ...]
    sets: tuple[SetProgress, ...]
    rate: float | None
    remaining: float | None
    failures: tuple[Mapping[str, Any], ...]
    sessions: tuple[FoundSession, ...]

    @property
    def units(self) -> int:
        """How many units the plan has."""
        return sum(phase.units for phase in self.phases)

    @property
    def done(self) -> int:
        """How many are done."""
        return sum(phase.done for phase in self.phases)

    @property
    def running(self) -> int:
        """How many are being carried out."""
        return sum(phase.running for phase in self.phases)

    @property
    def bytes_left(self) -> int:
        """Bytes of features and targets that are still to be written."""
        return sum(one.bytes * (one.shards - one.shards_done) // one.shards for one in self.sets)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema": "probe4d/status/1",
            "suite": self.suite,
            "store": self.store,
            "units": {
                "total": self.units,
                "done": self.done,
                "running": self.running,
                "failed": len(self.failures),
            },
            "phases": [{**attrs.asdict(phase), "remaining": phase.remaining} for phase in self.phases],
            "sets": [attrs.asdict(one) for one in self.sets],
            "bytes_left": self.bytes_left,
            "units_per_minute": self.rate,
            "remaining_seconds": self.remaining,
            "failures": [dict(failure) for failure in self.failures],
            "sessions": [
                {**session.content, "name": session.name, "age": session.age, "lives": session.lives}
                for session in self.sessions
            ],
        }


def status_of(run: RunFolder, store: str | None = None) -> Status:
    """Return how far a run is.

    A shard counts as done by its receipt's name in one listing of the set; `probe4d cache verify` reads bytes.

    Args:
        store: root of the feature store, where it is mounted elsewhere than the run has it.

    Raises:
        DataError: this is no run's folder, or one of its files is damaged.
    """
    planned = run.read_outline()
    root = store or str(planned["store"])
    done: set[str] = set()
    sets = []
    for one in planned["sets"]:
        sizes = open_files(root, one["digest"]).sizes()
        ready = [unit for shard, unit in enumerate(one["units"]) if receipt_key(shard) in sizes]
        done.update(ready)
        present = sum(size for key, size in sizes.items() if "/c/" in key)
        sets.append(
            SetProgress(
                what=one["what"],
                digest=one["digest"],
                shards=len(one["units"]),
                shards_done=len(ready),
                bytes=one["bytes"],
                bytes_done=present,
            )
        )
    done |= _swept(run, planned["sweeps"])
    sessions = sessions_of(run)
    alive = [session for session in sessions if session.lives]
    failures = _failures(sessions, done)
    running = {unit for session in alive for unit in session.content["running"]} - done
    phases = tuple(
        _phase(name, units, done, running, failures, sessions) for name, units in _units_by_phase(planned).items()
    )
    return Status(
        suite=planned["suite"],
        store=root,
        phases=phases,
        sets=tuple(sets),
        rate=_rate(alive),
        remaining=_remaining(phases, len(running)),
        failures=tuple(failures.values()),
        sessions=tuple(sorted(sessions, key=lambda session: not session.lives)),
    )


def _units_by_phase(planned: Mapping[str, Any]) -> dict[str, list[str]]:
    sweeps = planned["sweeps"]
    shards = [unit for one in planned["sets"] for unit in one["units"]]
    return {"extract": shards, "train": [one["train"] for one in sweeps], "score": [one["score"] for one in sweeps]}


def _swept(run: RunFolder, sweeps: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the units of sweeps whose result is there."""
    found = set()
    for sweep in sweeps:
        if probe_done(run.path / "sweeps" / sweep["folder"], sweep["train"]):
            found.add(sweep["train"])
        if score_done(run, [Cell(**cell) for cell in sweep["cells"]], sweep["score"]):
            found.add(sweep["score"])
    return found


def _failures(sessions: Iterable[FoundSession], done: set[str]) -> dict[str, Mapping[str, Any]]:
    """Return the last failure of each unit that nobody has done since."""
    found = {failure["unit"]: failure for session in sessions for failure in session.content["failed"]}
    again = {unit for session in sessions if session.lives for unit in session.content["running"]}
    return {unit: failure for unit, failure in found.items() if unit not in done | again}


def _phase(
    name: str,
    units: list[str],
    done: set[str],
    running: set[str],
    failures: Mapping[str, Any],
    sessions: Iterable[FoundSession],
) -> Phase:
    counted = [one for session in sessions if (one := session.content["done"].get(name))]
    number = sum(one["units"] for one in counted)
    return Phase(
        name=name,
        units=len(units),
        done=len(done.intersection(units)),
        running=len(running.intersection(units)),
        failed=len(failures.keys() & set(units)),
        seconds=sum(one["seconds"] for one in counted) / number if number else None,
    )


def _rate(alive: Iterable[FoundSession]) -> float | None:
    """Return units per minute; each session counts by its own clock, which may be wrong but runs evenly."""
    rates = [
        60.0 * sum(phase["units"] for phase in session.content["done"].values()) / session.content["elapsed"]
        for session in alive
        if session.content["elapsed"] > 0
    ]
    return sum(rates) if rates else None


def _remaining(phases: Iterable[Phase], at_once: int) -> float | None:
    work = [phase.remaining for phase in phases]
    known = [seconds for seconds in work if seconds is not None]
    return None if len(known) < len(work) else sum(known) / max(1, at_once)
