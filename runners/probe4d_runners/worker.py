"""`python -m probe4d_runners.worker FD`: carry out units until the other end of the pipe goes away."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from probe4d.registry import load_target
from probe4d_runners.process import adopt

__all__ = ["carry_out", "serve"]

# What a batch system sends to every process of a job that it ends or preempts.
TO_THE_OWNER = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def carry_out(target: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the unit's value as `ok`, or as `failed` the error with its traceback."""
    try:
        value = load_target(target)(**arguments)
        # What is not JSON would differ between a fresh run and one resumed from its record.
        return {"status": "ok", "value": json.loads(json.dumps(value))}
    except BaseException as error:  # noqa: BLE001 - a unit may raise anything, SystemExit included
        return {"status": "failed", "error": "".join(traceback.format_exception(error)).strip()}


def serve(connection: Connection) -> None:
    """Answer each unit that comes; return when the owner closes the pipe."""
    units: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, units), daemon=True).start()
    while True:
        answer = carry_out(*units.get())
        sys.stdout.flush()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send(answer)


def _listen(connection: Connection, units: queue.SimpleQueue[tuple[str, dict[str, Any]]]) -> None:
    """Queue what comes. The owner's end, even by SIGKILL, ends this process in the midst of a unit."""
    with contextlib.suppress(EOFError, ConnectionResetError):
        while True:
            units.put(connection.recv())
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # the worker leads its group: whatever its units started goes too
    os._exit(1)


def leave_signals_to_the_owner() -> None:
    """Outlive the signals that the owner gets too: it decides what becomes of the unit, and its end ends this.

    A worker that died of one would count as lost, and its unit as tried. They are not ignored, which the programs that
    a unit starts would inherit.
    """
    for sign in TO_THE_OWNER:
        signal.signal(sign, lambda *_: None)


if __name__ == "__main__":
    leave_signals_to_the_owner()
    serve(adopt(int(sys.argv[1])))
