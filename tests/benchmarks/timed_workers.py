"""Processes that run what a benchmark tells them to, in turns on the same cores, and say how long it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from statistics import median

CORES = min(int(os.environ.get("P4D_BENCH_CORES", "2")), len(os.sched_getaffinity(0)))
TURNS = int(os.environ.get("P4D_BENCH_TURNS", "5"))
TORCH_PYTHON = os.environ.get("P4D_BENCH_PYTHON", sys.executable)

CLOCK = """
import os, sys, time, json
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
clock = time.process_time if CORES == 1 else time.perf_counter
def serve(runs):
    for run in runs.values():
        run(); run()
    print(json.dumps(sorted(runs)), flush=True)
    for line in sys.stdin:
        if line.strip() == "peak":
            import resource
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, flush=True)
            continue
        run = runs[line.strip()]
        run()  # not counted: caches are another's, and a kernel may have taken pages that lay idle
        start = clock(); run(); print(clock() - start, flush=True)
"""


class Worker:
    """A process that runs one of its functions when told to, and says how long it took."""

    def __init__(self, code: str, python: str = sys.executable, **names) -> None:
        head = "".join(f"{name} = {value!r}\n" for name, value in {"CORES": CORES, **names}.items())
        env = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "JAX_PLATFORMS": "cpu"}
        self.process = subprocess.Popen(
            [python, "-c", head + CLOCK + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        line = self.process.stdout.readline()
        assert line, "the worker died; its error is above"
        self.runs = json.loads(line)

    def seconds(self, run: str) -> float:
        self.process.stdin.write(f"{run}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def interleaved(*workers: Worker) -> dict[str, float]:
    """Return the median seconds of each run of each worker, measured in turns."""
    runs = [(worker, run) for worker in workers for run in worker.runs]
    times = {run: [] for _, run in runs}
    for _ in range(TURNS):
        for worker, run in runs:
            times[run].append(worker.seconds(run))
    return {run: median(values) for run, values in times.items()}


def require_ratio(ratio: float, wanted: float, share: float) -> None:
    """Assert that we are so many times as fast as torch; who misses it is told what this machine has to give.

    Args:
        share: of the rate of one large product that we run at: that rate itself would be `ratio / share` times as fast.
    """
    assert ratio >= wanted, (
        f"expected {wanted} times as fast as torch, got {ratio:.2f} at {share:.0%} of one large product's rate, "
        f"which itself would be {ratio / share:.2f}"
    )


def has_torch() -> bool:
    probe = [TORCH_PYTHON, "-c", "import torch, transformers"]
    return subprocess.run(probe, capture_output=True).returncode == 0
