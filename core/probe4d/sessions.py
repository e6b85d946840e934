"""What each command that works on a run is doing, in a file of its own: `<run>/sessions/<session>.json`.

Several may work on one run at once, on several machines, and none of them writes what another one writes. A
thread renews the file, so that its age tells whether the session lives.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from probe4d.atomic import is_alive, write_json
from probe4d.contracts import Outcome
from probe4d.records import RunFolder

__all__ = ["BEAT_SECONDS", "SILENT_SECONDS", "FoundSession", "Session", "sessions_of"]

SCHEMA = "probe4d/session/1"
LOOK_SECONDS = 1.0  # how often what changed is written
BEAT_SECONDS = 10.0  # how often the file is renewed when nothing changed
PHASES = {"probe": "train", "finetune": "train"}  # by the first word of a unit's id; others are their own
SILENT_SECONDS = 60.0  # a file that is older tells of a session that is no more, or hangs


class Session:
    """This process's work on a run; a context manager.

    Args:
        part: as `2/5`, where it is one.
        runner: name of the runner's class.
        units: how many it has before it.
    """

    def __init__(self, run: RunFolder, *, part: str | None, runner: str, units: int) -> None:
        name = f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        self.file = run.path / "sessions" / f"{name}.json"
        self._facts = {"part": part, "runner": runner, "units": units, "host": socket.gethostname(), "pid": os.getpid()}
        self._started, self._began = time.time(), time.monotonic()
        self._running: dict[str, float] = {}
        self._done: dict[str, dict[str, float]] = {}
        self._failed: list[dict[str, str | None]] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._changed = True
        self._thread = threading.Thread(target=self._renew, name="probe4d-session", daemon=True)

    def __enter__(self) -> Session:
        self._write("running")
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._over.set()
        self._thread.join()
        with self._lock:
            self._running.clear()
        self._write("ended" if kind is None else "interrupted")

    def start(self, unit: str) -> None:
        """Note a unit that starts."""
        with self._lock:
            self._running[unit] = time.monotonic()
            self._changed = True

    def end(self, outcome: Outcome) -> None:
        """Note what became of a unit."""
        with self._lock:
            self._running.pop(outcome.unit, None)
            if outcome.status == "ok":
                name = outcome.unit.partition("-")[0]
                phase = self._done.setdefault(PHASES.get(name, name), {"units": 0, "seconds": 0.0})
                phase["units"] += 1
                phase["seconds"] += outcome.seconds
            else:
                self._failed.append({"unit": outcome.unit, "status": outcome.status, "error": outcome.error})
            self._changed = True

    def _renew(self) -> None:
        last = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            if self._changed or time.monotonic() - last >= BEAT_SECONDS:
                last = time.monotonic()
                with suppress(OSError):  # a full disk is said by what has to be written, not by this
                    self._write("running")

    def _write(self, status: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._changed = False
            content = {
                "schema": SCHEMA,
                **self._facts,
                "status": status,
                "started": self._started,
                "elapsed": now - self._began,
                "running": {unit: now - began for unit, began in self._running.items()},
                "done": {phase: dict(facts) for phase, facts in self._done.items()},
                "failed": list(self._failed),
            }
        write_json(self.file, content)


@frozen(kw_only=True)
class FoundSession:
    """A session as its file tells of it.

    Attributes:
        age: seconds since the file was renewed, by its time and this machine's clock; never negative.
    """

    name: str
    content: Mapping[str, Any]
    age: float

    @property
    def lives(self) -> bool:
        """Whether it is at work, as far as can be told: it says so, was renewed lately, and its process is there."""
        facts = self.content
        if facts["status"] != "running" or self.age > SILENT_SECONDS:
            return False
        return facts["host"] != socket.gethostname() or is_alive(int(facts["pid"]))


def sessions_of(run: RunFolder) -> list[FoundSession]:
    """Return the sessions that worked on a run, the first first."""
    found = list(_read(sorted((run.path / "sessions").glob("*.json"))))
    return sorted(found, key=lambda session: float(session.content["started"]))


def _read(files: list[Path]) -> Iterator[FoundSession]:
    for file in files:
        with suppress(FileNotFoundError):
            content = json.loads(file.read_text(encoding="utf-8"))
            yield FoundSession(name=file.stem, content=content, age=max(0.0, time.time() - file.stat().st_mtime))
