"""What stands on a Dask worker: processes that carry out units, kept between them, each with a log of its own."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from probe4d.contracts import Unit
from probe4d.errors import DataError
from probe4d_runners.process import WorkerProcess
from probe4d_runners.unit_output import UnitOutput

__all__ = ["THREADS", "Seats", "carry_out"]

VALUE_BYTES = 1_000_000  # a receipt is small; arrays belong into the store
IDLE_SECONDS = 600.0  # a process that nobody asks for so long ends, with the backbones that it holds
POLL_SECONDS = 1.0
# Results are equal to the last bit for equal numbers of threads, which a nanny sets to 1 unless it is told otherwise.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def carry_out(run: str, unit: Unit) -> dict[str, Any]:
    """Carry out a unit on a seat of this Dask worker: the task that is submitted.

    Returns:
        `status` `ok` with a JSON `value`, `failed` with an `error`, or `lost` with an `error` where its process
        ended or took too long; `worker` and `log`.
    """
    worker = get_worker()
    seats: Seats = worker.plugins[run]
    where = f"{socket.gethostname()} {worker.address}"
    worker.log_event(run, {"unit": unit.id, "worker": worker.address})
    return {"worker": where, **seats.carry_out(unit)}


class Seats(WorkerPlugin):
    """The processes of one run on one worker: as many as units run there at once.

    A unit runs in a process beside the Dask worker, not in a thread of it: what crashes, hangs or holds Python's lock
    then costs itself, its time can be limited, and the worker goes on answering its scheduler. The process stays, and
    with it the backbones that it has loaded.

    Args:
        run: names the plugin; two runs on a cluster do not share seats.
        timeout: seconds that one try of a unit may take.
        folder: where the run was started; its relative paths mean the same here.
        threads: numbers of threads that hold where the run was started.
    """

    def __init__(self, run: str, timeout: float | None, folder: str, threads: Mapping[str, str | None]) -> None:
        self.name = run
        self.timeout, self.folder, self.threads = timeout, folder, dict(threads)

    def setup(self, worker: Worker) -> None:
        """Check that the run's folder is here.

        Raises:
            DataError: it is not; the machines share no disk.
        """
        if not Path(self.folder).is_dir():
            raise DataError(
                f"{worker.address} on {socket.gethostname()}: expected the folder {self.folder}, in which the run was "
                "started, got none. Start it in a folder that all machines share."
            )
        self._lock = threading.Lock()
        self._idle: list[_Seat] = []
        self._busy: set[_Seat] = set()
        self._closed = threading.Event()
        threading.Thread(target=self._dismiss, name="probe4d-seats", daemon=True).start()

    def teardown(self, worker: Worker) -> None:
        """End all processes, also in the midst of a unit."""
        self._closed.set()
        with self._lock:
            idle, self._idle = self._idle, []
            for seat in self._busy:
                seat.process.kill()
        for seat in idle:
            seat.end()

    def carry_out(self, unit: Unit) -> dict[str, Any]:
        """Return what became of the unit; the process goes back to its place, or is ended."""
        seat = self._take()
        answer = None
        try:
            answer = seat.carry_out(unit, self.timeout)
        finally:
            with self._lock:
                self._busy.discard(seat)
                kept = answer is not None and answer["status"] != "lost" and not self._closed.is_set()
                if kept:
                    self._idle.append(seat)
            if not kept:
                seat.end()
        return answer

    def _take(self) -> _Seat:
        with self._lock:
            seat = self._idle.pop() if self._idle else _Seat(self.folder, self.threads)
            self._busy.add(seat)
            if self._closed.is_set():
                seat.process.kill()
        return seat

    def _dismiss(self) -> None:
        """End what is not asked for: the run that was may have been killed without a word."""
        while not self._closed.wait(IDLE_SECONDS / 10):
            with self._lock:
                old = [seat for seat in self._idle if time.monotonic() - seat.since > IDLE_SECONDS]
                self._idle = [seat for seat in self._idle if seat not in old]
            for seat in old:
                seat.end()


class _Seat:
    """A process with what it writes."""

    def __init__(self, folder: str, threads: Mapping[str, str | None]) -> None:
        self._output = UnitOutput()
        self.process = WorkerProcess(self._output.fileno(), folder, threads)
        self.since = time.monotonic()

    def carry_out(self, unit: Unit, timeout: float | None) -> dict[str, Any]:
        """Return what became of a unit, as `carry_out` of the module does."""
        self._output.clear()
        self.process.send(unit)
        answer = self._answer(math.inf if timeout is None else time.monotonic() + timeout)
        if answer is None:
            lost = self.process.epitaph()
            answer = {"status": "lost", "error": lost}
        elif answer["status"] == "late":
            answer = {"status": "lost", "error": f"it took longer than {timeout:g} s"}
        elif answer["status"] == "ok" and (size := len(json.dumps(answer["value"]))) > VALUE_BYTES:
            answer = {
                "status": "failed",
                "error": f"unit {unit.id}: expected a receipt of at most {VALUE_BYTES} bytes, got a value of {size}. "
                "Write arrays to the store or a file.",
            }
        self.since = time.monotonic()
        return {**answer, "log": self._output.text()}

    def _answer(self, ends: float) -> dict[str, Any] | None:
        """Wait for the answer; None where the process died, `late` where time ran out."""
        while (left := ends - time.monotonic()) > 0:
            if self.process.connection.poll(min(POLL_SECONDS, left)):
                return self.process.receive()
            if self.process.died():
                return None
        return {"status": "late"}

    def end(self) -> None:
        """End the process."""
        self.process.end()
        self._output.close()
