"""Catches files that are written outside the folders where writing is allowed."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["no_writes", "watch_writes"]

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate"}

_watchers: list[list[str]] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    """Note the path of anything that writes. An audit hook cannot be removed: it is idle without watchers."""
    if not _watchers:
        return
    if event == "open":
        path, mode, flags = args
        # Python's own open() says a mode; os.open() says flags alone.
        writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else flags & WRITE_FLAGS
        if not writes:
            return
    elif event not in CHANGES:
        return
    else:
        path = args[0]
    if isinstance(path, str | bytes | os.PathLike):
        absolute = os.path.abspath(os.fsdecode(path))
        for watcher in _watchers:
            watcher.append(absolute)


_hooked: list[bool] = []


@contextlib.contextmanager
def watch_writes() -> Iterator[list[str]]:
    """Yield the list of absolute paths that this process writes to meanwhile, as it grows."""
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked.append(True)
    seen: list[str] = []
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)


@contextlib.contextmanager
def no_writes() -> Iterator[list[str]]:
    """Yield a list that holds, at the end, what was written outside the cache and the temporary folder.

    The cache, the temporary files and the working folder are fresh ones meanwhile. Byte code and
    devices are nobody's output. Writes of native code are seen where they land in the working folder.
    """
    outside: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch, name) for name in ("cache", "tmp", "work")}
        for folder in folders.values():
            folder.mkdir()
        before = {name: os.environ.get(name) for name in ("PROBE4D_CACHE_DIR", "TMPDIR")}
        os.environ.update(PROBE4D_CACHE_DIR=str(folders["cache"]), TMPDIR=str(folders["tmp"]))
        tempdir, tempfile.tempdir = tempfile.tempdir, str(folders["tmp"])
        try:
            with contextlib.chdir(folders["work"]), watch_writes() as seen:
                yield outside
            left = [str(path) for path in folders["work"].iterdir()]
        finally:
            tempfile.tempdir = tempdir
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        allowed = (str(folders["cache"]), str(folders["tmp"]), "/dev/", "/proc/")
        outside += [path for path in dict.fromkeys([*seen, *left]) if not path.startswith(allowed) and not _code(path)]


def _code(path: str) -> bool:
    return "__pycache__" in Path(path).parts
