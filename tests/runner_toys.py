"""Units for tests of runners: each try is noted in a folder, then they do as they are told."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

from probe4d.contracts import Unit

# Bounds of what never comes to an end when all is well: a busy machine may be slow.
HANG_SECONDS = 600
PATIENCE = 120


def toy_unit(folder, name, then="return", needs=(), **more):
    """Return a unit that carries out `count`."""
    arguments = {"folder": str(folder), "name": name, "then": then}
    return Unit(id=name, target="runner_toys:count", arguments=arguments, needs=needs, **more)


def count(folder, name, then="return"):
    """Note each try with the process, then do as told; the number of the try is the value."""
    tries = len(list(pathlib.Path(folder).glob(f"{name}.*"))) + 1
    pathlib.Path(folder, f"{name}.{tries}").write_text(f"{os.getpid()} {os.getppid()}")
    what = then.removesuffix(" once")
    if then.endswith(" once") and tries > 1:
        return tries
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what in ("kill the owner", "stop the owner"):
        os.kill(os.getppid(), signal.SIGKILL if what == "kill the owner" else signal.SIGSTOP)
        time.sleep(HANG_SECONDS)
    if what == "hang":
        time.sleep(HANG_SECONDS)
    if what == "raise":
        raise KeyError(name)
    if what == "exit":
        sys.exit(3)
    if what == "leave a child":
        child = subprocess.Popen(["sleep", str(HANG_SECONDS)])
        pathlib.Path(folder, "child").write_text(str(child.pid))
        time.sleep(HANG_SECONDS)
    if what == "print":
        print("words that nobody asked for")
        print("and a warning", file=sys.stderr)
    if what == "large":
        return "x" * 2_000_000
    return {"object": object()} if what == "no json" else tries


def pids(file):
    """Return the process that noted itself in a file, and its owner, once it has."""
    ends = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < ends, f"nothing in {file}"
        time.sleep(0.02)
    return [int(word) for word in file.read_text().split()]


def alive(pid):
    """Return whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def gone_soon(pid, seconds=PATIENCE):
    """Wait for the end of a process, and return whether it came."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and alive(pid):
        time.sleep(0.02)
    return not alive(pid)
