"""A Dask cluster that somebody else started: a scheduler and workers in processes of their own, on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

END_SECONDS = 60


@frozen
class Cluster:
    """A cluster that runs.

    Attributes:
        scheduler, workers: their processes.
    """

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: Sequence[subprocess.Popen[bytes]]


@contextlib.contextmanager
def started(
    folder: Path, workers: Sequence[Sequence[str]] = ((), ()), environment: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Yield a cluster; its processes work in the folder, at ports that they choose.

    Args:
        workers: what each of them gets on its command line.
    """
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    common = ["--no-dashboard", "--scheduler-file", str(file)]
    lines = [["dask_scheduler", "--host", "127.0.0.1", "--port", "0"]]
    # A worker whose scheduler was killed waits for it to come back, but not for ever.
    lines += [["dask_worker", "--nthreads", "1", "--death-timeout", "60", *options] for options in workers]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{program}", *options, *common],
            cwd=folder,
            env=os.environ if environment is None else environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for program, *options in lines
    ]
    try:
        while not file.exists() or not file.read_text():
            assert processes[0].poll() is None, "the scheduler ended"
            time.sleep(0.05)
        yield Cluster(json.loads(file.read_text())["address"], processes[0], processes[1:])
    finally:
        # Killed, a nanny takes its worker along; asked to end, it first waits for what its worker may still do.
        for process in reversed(processes):
            process.kill()
        for process in processes:
            process.wait(END_SECONDS)
