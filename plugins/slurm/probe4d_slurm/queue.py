"""Whether jobs are over: as Slurm's queue has it, or for jobs on this machine as submitit has it.

submitit itself asks `sacct`. That needs a database of Slurm's which many a small cluster lacks, and it asks every ten
minutes at last: a job that was killed would be waited for that long, or without it for ever. `squeue` is always there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from typing import Any

__all__ = ["ENDS", "LocalQueue", "SlurmQueue"]

ASK_SECONDS = 5.0
ANSWER_SECONDS = 60.0
GONE = "GONE"  # Slurm forgets a job some minutes after its end (MinJobAge)
# Source: JOB STATE CODES of squeue(1). All others may still come to something.
ENDS = frozenset(
    (
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT", GONE),
    )
)


class SlurmQueue:
    """What `squeue` says of jobs; asked for all at once, and not more often than every few seconds."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._asked = float("-inf")

    def look(self, jobs: Iterable[Any]) -> None:
        """Ask for the states of submitit's jobs. While Slurm does not answer, what was known stays."""
        names = sorted({job.job_id for job in jobs})
        if not names or time.monotonic() - self._asked < ASK_SECONDS:
            return
        self._asked = time.monotonic()
        found = _squeue(names)
        if found is not None:
            self._states = {name: found.get(name, GONE) for name in names}

    def state(self, job: Any) -> str:
        """Return the state of a job in Slurm's words."""
        return self._states.get(job.job_id, "UNKNOWN")

    def over(self, job: Any) -> bool:
        """Return whether a job has left its result or its place in the queue."""
        return job.paths.result_pickle.exists() or self.state(job) in ENDS

    def cancel(self, jobs: Iterable[Any]) -> None:
        """Cancel jobs, all at once."""
        if names := [job.job_id for job in jobs]:
            subprocess.run(["scancel", *names], timeout=ANSWER_SECONDS, check=False)


class LocalQueue:
    """Jobs that are processes of this machine: submitit's executor `local`."""

    def look(self, jobs: Iterable[Any]) -> None:
        """Do nothing: a process can be asked at any time."""

    def state(self, job: Any) -> str:
        """Return the state of a job in submitit's words."""
        return str(job.state)

    def over(self, job: Any) -> bool:
        """Return whether the job's process has ended."""
        return bool(job.done())

    def cancel(self, jobs: Iterable[Any]) -> None:
        """End the processes of jobs.

        submitit sends SIGINT, which processes ignore that a script has started in the background.
        """
        for job in jobs:
            if not job.done():
                os.kill(int(job.job_id), signal.SIGTERM)
                job.cancel(check=False)


def _squeue(names: list[str]) -> dict[str, str] | None:
    """Return the states of the jobs that Slurm knows, by id; None where it gives no answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--jobs={','.join(names)}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode and "Invalid job id" not in done.stderr:  # asked for one job alone that it has forgotten
        return None
    found = (line.partition("|") for line in done.stdout.split())
    return {name: state for name, _, state in found}
