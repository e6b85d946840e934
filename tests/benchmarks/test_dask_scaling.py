"""Our own time for 10,000 units over 1,000,000 samples on a Dask cluster whose workers do nothing with them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from probe4d.planning import units
from probe4d.running import run_plan

pytest.importorskip("distributed", reason="needs distributed: pip install 'probe4d[dask]'")
pytest.importorskip("jax", reason="needs jax: the readouts' plugin requires it")
pytestmark = pytest.mark.bench

from benchmarks.simulated_plans import LIMIT, SAMPLES_PER_SHARD, SIZES, simulated_plan  # noqa: E402
from loopback_dask import started  # noqa: E402
from probe4d_dask import carrying  # noqa: E402
from probe4d_dask.runner import DaskRunner  # noqa: E402


def measured(folder: Path, count: int, address: str) -> tuple[int, float, float]:
    """Return the number of units, and processor seconds and seconds by the clock to submit and collect them."""
    plan = simulated_plan(folder, count)
    began, started = time.process_time(), time.perf_counter()
    result = run_plan(plan, DaskRunner(scheduler=address))
    ended = time.process_time(), time.perf_counter()
    assert result.status == "success"
    return len(plan.units), ended[0] - began, ended[1] - started


def test_a_unit_on_dask_costs_less_than_a_millisecond_of_our_own(tmp_path, monkeypatch, capsys):
    def nothing(run, unit):  # a function within a function goes to the workers by its code
        from distributed import get_worker

        worker = get_worker()
        worker.log_event(run, {"unit": unit.id, "worker": worker.address})
        return {"status": "ok", "value": None, "worker": worker.address, "log": ""}

    monkeypatch.setattr(carrying, "carry_out", nothing)
    monkeypatch.setattr(units, "ROWS_PER_SHARD", SAMPLES_PER_SHARD)
    with started(tmp_path) as cluster:
        measured(tmp_path / "warm", 100, cluster.address)
        table = [measured(tmp_path / str(size), size, cluster.address) for size in SIZES]
    with capsys.disabled():
        print("\nmicroseconds a unit: of our process, by the clock")
        for count, own, clock in table:
            print(json.dumps({"units": count, "own": round(own / count * 1e6), "clock": round(clock / count * 1e6)}))
    (small, own_small, _), (large, own_large, _) = table[0], table[-1]
    assert 9_900 <= large <= 10_100
    assert own_large / large < LIMIT
    assert own_large / large < 2 * own_small / small, "it grows faster than the number of units"
