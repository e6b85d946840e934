"""The units of a run in the order of their needs: which may start, and what an end frees or bars."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence, Set

from probe4d.contracts import Outcome, Unit
from probe4d.errors import UsageError, did_you_mean

__all__ = ["UnitGraph"]


class UnitGraph:
    """What every runner keeps of its units.

    Attributes:
        units: by id.
        ready: those that may start, in their order; a runner takes them out, and may put one back. A runner that
            sends units ahead of their needs asks `has_ended` too: some of these may have an outcome already.
        open: how many have no outcome yet.

    Raises:
        UsageError: an id stands twice, a need names no unit, or needs form a circle.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = _by_id(units)
        self._waiting = {unit.id: set(unit.needs) for unit in units}
        self._needed_by: dict[str, list[str]] = {unit.id: [] for unit in units}
        for unit in units:
            for need in dict.fromkeys(unit.needs):
                self._needed_by[need].append(unit.id)
        self._check_order()
        self.ready = deque(unit for unit in units if not unit.needs)
        self.open = len(units)
        self._ended: set[str] = set()

    def has_ended(self, unit_id: str) -> bool:
        """Return whether a unit has its outcome."""
        return unit_id in self._ended

    def needed_by(self, unit_id: str) -> Sequence[str]:
        """Return the units that need this one."""
        return self._needed_by[unit_id]

    def waits_for(self, unit_id: str) -> Set[str]:
        """Return the needs of a unit that have not ended."""
        return self._waiting.get(unit_id, set())

    def settle(self, outcome: Outcome) -> Iterator[Outcome]:
        """Yield the outcome, after it what it bars as `skipped`, and make ready what it frees.

        A unit that needs two failures is skipped once.

        Raises:
            RuntimeError: the unit has an outcome already; a runner that counts one twice would never end.
        """
        if outcome.unit in self._ended:
            raise RuntimeError(f"unit {outcome.unit!r}: expected one outcome, got a second one ({outcome.status}).")
        ended = deque([outcome])
        while ended:
            one = ended.popleft()
            self._ended.add(one.unit)
            self.open -= 1
            yield one
            for name in self._needed_by[one.unit]:
                waiting = self._waiting.get(name)
                if waiting is None:
                    continue
                if one.status != "ok":
                    del self._waiting[name]
                    ended.append(_skipped(name, one))
                    continue
                waiting.discard(one.unit)
                if not waiting:
                    self.ready.append(self.units[name])

    def _check_order(self) -> None:
        """Refuse needs that form a circle."""
        left = {name: len(waiting) for name, waiting in self._waiting.items()}
        free = deque(name for name, count in left.items() if not count)
        while free:
            name = free.popleft()
            del left[name]
            for other in self._needed_by[name]:
                left[other] -= 1
                if not left[other]:
                    free.append(other)
        if left:
            raise UsageError(f"units: expected no circle of needs, got one among {', '.join(sorted(left))}.")


def _by_id(units: Sequence[Unit]) -> dict[str, Unit]:
    known: dict[str, Unit] = {}
    for unit in units:
        if unit.id in known:
            raise UsageError(f"units: expected each id once, got {unit.id!r} twice.")
        known[unit.id] = unit
    for unit in units:
        for need in unit.needs:
            if need not in known:
                raise UsageError(f"unit {unit.id!r}: needs {need!r}, which is no unit.{did_you_mean(need, known)}")
    return known


def _skipped(name: str, cause: Outcome) -> Outcome:
    became = "failed" if cause.status == "failed" else "was skipped"
    return Outcome(unit=name, status="skipped", error=f"it needs {cause.unit}, which {became}", attempts=0)
