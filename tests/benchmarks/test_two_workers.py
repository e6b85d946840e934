"""How much faster two local workers extract features than one, each with one thread."""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path

import pytest

from probe4d import suites
from probe4d.planning import make_plan, units
from probe4d.records import RunFolder
from probe4d_runners.local import LocalRunner

pytest.importorskip("jax", reason="needs jax: the backbone runs in it")
pytestmark = pytest.mark.bench

ROUNDS = int(os.environ.get("P4D_BENCH_TURNS", "3"))
SHARDS = 6  # of each worker, one to warm up not counted
ROWS = 8
# What pins a worker to one thread: BLAS and OpenMP, and the pools of jax's CPU client.
THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
SUITE = """
name = "two-workers"
backbones = ["4ds-s-random"]
tasks = ["playroom-labels"]
protocols = ["frozen-quick"]
[clip]
size = [64, 64]
[data.playroom]
size = [64, 64]
[data.playroom.train]
length = {clips}
[data.playroom.val]
length = 8
"""


def clips_a_second(folder: Path, workers: int) -> float:
    """Return the rate at which workers extract, once each of them has a shard behind it."""
    clips = (SHARDS + 1) * workers * ROWS
    plan = make_plan(
        suites.parse(SUITE.format(clips=clips), "two-workers"), RunFolder(folder / "run"), store=str(folder / "store")
    )
    features = [unit for unit in plan.todo if "backbone" in unit.arguments.get("rows", {})]
    shards = features[: (SHARDS + 1) * workers]  # all of the training split, all of the same size
    ended = []
    for outcome in LocalRunner(workers=workers).run(shards):
        assert outcome.status == "ok", outcome.error
        ended.append(time.perf_counter())
    return len(ended[workers:]) * ROWS / (ended[-1] - ended[workers - 1])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_two_workers_extract_1_7_times_as_fast_as_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(units, "ROWS_PER_SHARD", ROWS)
    for name, value in THREADS.items():
        monkeypatch.setenv(name, value)
    rounds = []
    for number in range(ROUNDS):
        one, two = (clips_a_second(tmp_path / f"{number}-{workers}", workers) for workers in (1, 2))
        rounds.append({"one": round(one, 2), "two": round(two, 2), "ratio": round(two / one, 2)})
    ratio = statistics.median(row["ratio"] for row in rounds)
    with capsys.disabled():
        print(f"\nclips a second: {json.dumps(rounds)}; median ratio {ratio}")
    assert ratio >= 1.7
