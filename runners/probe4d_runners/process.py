"""One worker process as its owner sees it: a pipe to send units through, and an end that leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection, Pipe
from typing import Any

from probe4d.contracts import Unit

__all__ = ["WorkerProcess"]

GRACE_SECONDS = 2.0
# Read by the C library before a process starts: huge pages for the large temporaries of a jax step, and copies
# of cached features that do not push everything else out of the processor's cache. Measured in docs/feature-cache.md.
GLIBC_TUNABLES = "glibc.malloc.hugetlb=1:glibc.cpu.x86_non_temporal_threshold=1048576"


class WorkerProcess:
    """A running worker.

    It is a fresh interpreter, not a fork (threads of jax or torch do not survive one) and not a
    `multiprocessing` child (which would import the caller's script again). It leads a session of
    its own: Ctrl-C reaches the owner alone, and the end of the session takes what a unit started.

    Args:
        output: file descriptor that takes what it writes; this process's own stdout and stderr without.
        folder: that it works in; this process's without.
        environment: variables that it gets besides those of this process, or is not to get (None).
    """

    def __init__(
        self,
        output: int | None = None,
        folder: str | None = None,
        environment: Mapping[str, str | None] | None = None,
    ) -> None:
        self.connection, theirs = Pipe()
        path = [*dict.fromkeys(entry or os.getcwd() for entry in sys.path)]
        variables = {
            "GLIBC_TUNABLES": GLIBC_TUNABLES,
            **os.environ,
            **(environment or {}),
            "PYTHONPATH": os.pathsep.join(path),
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "probe4d_runners.worker", str(theirs.fileno())],
                env={name: value for name, value in variables.items() if value is not None},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                start_new_session=True,
            )
        finally:
            theirs.close()

    def send(self, unit: Unit) -> None:
        """Hand the unit over. A worker that has just died is noticed by `receive`."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send((unit.target, dict(unit.arguments)))

    def receive(self) -> dict[str, Any] | None:
        """Return `status` with `value` or `error`, or None if the worker died."""
        try:
            answer: dict[str, Any] = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return None
        return answer

    def died(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None and not self.connection.poll()

    def epitaph(self) -> str:
        """Return how the process ended."""
        try:
            code = self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return "its worker closed the pipe"
        if code < 0:
            return f"its worker was killed by {signal.Signals(-code).name}"
        return f"its worker ended with code {code}"

    def kill(self) -> None:
        """Kill the process and all that it started; whoever waits for its answer learns that it died."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """End the process and all that it started. Idempotent."""
        self.connection.close()  # an idle worker ends by itself
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)


def adopt(descriptor: int) -> Connection:
    """Return the connection of an inherited descriptor, kept from the processes that units start."""
    os.set_inheritable(descriptor, False)
    return Connection(descriptor)
