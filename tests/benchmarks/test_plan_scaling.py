"""Our own time for a plan of 10,000 units over 1,000,000 samples, by simulation: no model, no data, no worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from benchmarks.simulated_plans import LIMIT, SAMPLES_PER_SHARD, SIZES, simulated_plan
from probe4d.contracts import Outcome, Unit
from probe4d.planning import units
from probe4d.planning.parts import Part
from probe4d.running import run_plan
from probe4d.status import status_of

pytest.importorskip("jax", reason="needs jax: the readouts' plugin requires it")
pytestmark = pytest.mark.bench

ROUNDS = 3


class Simulated:
    """A runner whose units take no time and write nothing."""

    def run(self, units: Sequence[Unit], *, on_start: Callable[[str], None] | None = None) -> Iterator[Outcome]:
        """Yield an outcome per unit."""
        for unit in units:
            if on_start is not None:
                on_start(unit.id)
            yield Outcome(unit=unit.id, status="ok", attempts=1, seconds=0.0)


@frozen(kw_only=True)
class Seconds:
    """Processor seconds: planning, then submitting and collecting, alone and as one of ten parts, and status."""

    units: int
    plan: float
    run: float
    part: float
    status: float


def measured(folder: Path, count: int) -> Seconds:
    began = time.process_time()
    plan = simulated_plan(folder, count)
    made = time.process_time()
    result = run_plan(plan, Simulated())
    ran = time.process_time()
    assert result.status == "success"
    part = run_plan(plan, Simulated(), part=Part(3, 10))
    parted = time.process_time()
    assert part.left == len(plan.units), "nothing was written"
    found = status_of(plan.run)
    ended = time.process_time()
    assert found.units == len(plan.units)
    return Seconds(units=len(plan.units), plan=made - began, run=ran - made, part=parted - ran, status=ended - parted)


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def test_a_unit_costs_less_than_a_millisecond_of_our_own_and_ten_times_as_many_ten_times_that(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(units, "ROWS_PER_SHARD", SAMPLES_PER_SHARD)
    simulated_plan(tmp_path / "warm", 100)
    rounds = [[measured(tmp_path / f"{number}-{size}", size) for size in SIZES] for number in range(ROUNDS)]
    table: list[dict[str, Any]] = []
    for column in zip(*rounds, strict=True):
        found = {name: median([getattr(one, name) for one in column]) for name in ("plan", "run", "part", "status")}
        table.append({"units": column[0].units, **{name: seconds / column[0].units for name, seconds in found.items()}})
    with capsys.disabled():
        print("\nmicroseconds a unit (medians):")
        for row in table:
            print(json.dumps({key: value if key == "units" else round(value * 1e6, 1) for key, value in row.items()}))
    small, large = table[0], table[-1]
    assert 9_900 <= large["units"] <= 10_100
    for row in table:
        assert row["plan"] + row["run"] < LIMIT
        assert row["part"] < LIMIT
        assert row["status"] < LIMIT
    for name in ("plan", "run", "part", "status"):
        assert large[name] < 2 * small[name], f"{name} grows faster than the number of units"
