"""Fixed parts of a plan, `--part 2/5`: which units each of several machines carries out, without an engine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from probe4d.contracts import Unit
from probe4d.errors import UsageError
from probe4d.planning.units import EXTRACT, FINETUNE

__all__ = ["Part", "owners"]


@frozen
class Part:
    """Part `number` (from 1) of `of`."""

    number: int = field()
    of: int

    @number.validator
    def _check(self, _attribute: object, number: int) -> None:
        if not 1 <= number <= self.of:
            raise UsageError(f"--part: expected a part from 1/{self.of} to {self.of}/{self.of}, got {self}.")

    @classmethod
    def parse(cls, text: str) -> Part:
        """Return the part of `2/5`.

        Raises:
            UsageError: it is none.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        if match is None or int(match[2]) == 0:
            raise UsageError(f"--part: expected I/N, as 1/4 for the first of four, got {text!r}.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def owners(units: Sequence[Unit], of: int) -> dict[str, int]:
    """Return by unit the number of the part that carries it out, the same on every machine.

    Shards are dealt out in turn, so that every set is spread evenly; so are sweeps, and a sweep's score goes
    where the sweep is trained.

    Args:
        units: all of a plan, done or not, needs first.
    """
    targets = {unit.id: unit.target for unit in units}
    dealt: Counter[str] = Counter()
    found: dict[str, int] = {}
    sweeps: dict[str, int] = {}
    for unit in units:
        after = next((need for need in unit.needs if targets[need] != EXTRACT), None)
        if after is not None:
            found[unit.id] = found[after]
            continue
        sweep = str(Path(unit.arguments["output"]).parent) if unit.target == FINETUNE else unit.id
        if sweep not in sweeps:  # the members of a sweep stay together, as what collects them needs all
            sweeps[sweep] = dealt[unit.target] % of + 1
            dealt[unit.target] += 1
        found[unit.id] = sweeps[sweep]
    return found
