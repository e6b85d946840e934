"""What one of several runs carries out of a plan: all of it, or a fixed part as far as the others have got."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from probe4d.contracts import Outcome, Runner, Unit
from probe4d.planning.parts import Part, owners
from probe4d.planning.plan import Plan

__all__ = ["Share", "share_of"]


def share_of(plan: Plan, part: Part | None) -> tuple[Unit, ...]:
    """Return the units of a plan that are still to do, or those of them that a part carries out."""
    if part is None:
        return plan.todo
    owner = owners(plan.units, part.of)
    return tuple(unit for unit in plan.todo if owner[unit.id] == part.number)


class Share:
    """What this run is to carry out of a plan: all that is to do, or a part of it, as far as needs allow.

    Attributes:
        waiting: units that need what another part has not done yet.
    """

    def __init__(self, plan: Plan, part: Part | None) -> None:
        self.plan, self.part = plan, part
        self.todo = share_of(plan, part)
        self.waiting = {unit.id for unit in self.todo}
        self._undone = {unit.id for unit in plan.todo}

    def outcomes(self, runner: Runner, on_start: Callable[[str], None]) -> Iterator[Outcome]:
        """Yield what becomes of the units. Those of a part go in waves: what other parts did meanwhile is used."""
        failed: set[str] = set()
        while wave := self._ready():
            self.waiting -= {unit.id for unit in wave}
            for outcome in runner.run(wave, on_start=on_start):
                if outcome.status == "ok":
                    self._undone.discard(outcome.unit)
                else:
                    failed.add(outcome.unit)
                yield outcome
            if self.waiting:
                self._undone = {unit.id for unit in self.plan.look_again()}
        for unit in self.todo:
            if unit.id in self.waiting and (lost := next((need for need in unit.needs if need in failed), None)):
                failed.add(unit.id)
                self.waiting.discard(unit.id)
                yield Outcome(unit=unit.id, status="skipped", error=f"it needs {lost}, which failed", attempts=0)

    def _ready(self) -> list[Unit]:
        """Return the waiting units whose needs are done or stand before them in the same list."""
        ready: dict[str, Unit] = {}
        for unit in self.todo:
            open_needs = [need for need in unit.needs if need in self._undone]
            if unit.id in self.waiting and all(need in ready for need in open_needs):
                ready[unit.id] = attrs.evolve(unit, needs=tuple(open_needs))
        return list(ready.values())

    def left(self) -> set[str]:
        """Return the units of the whole plan that are not done now."""
        return {unit.id for unit in self.plan.look_again()} if self.part else self._undone
