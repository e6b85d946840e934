"""Files written whole or not at all: a temporary one beside, then a rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "create_json",
    "is_alive",
    "link_new",
    "replacing",
    "replacing_folder",
    "sha256_of",
    "sweep_left",
    "write_bytes",
    "write_json",
    "write_text",
]

NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a temporary path beside the file, which becomes the file when the block ends without an error.

    A reader sees the old content or the new, never a part. The folder is made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(file)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield the path of a folder beside, to be made, which becomes the folder when the block ends without an error.

    A folder that is there is removed first: a reader may find none, but never a part of one.
    """
    temporary = _beside(folder)
    try:
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(file: Path, content: bytes) -> None:
    """Write the file, making its folder."""
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def write_text(file: Path, content: str) -> None:
    """Write text as UTF-8."""
    write_bytes(file, content.encode("utf-8"))


def write_json(file: Path, content: Any) -> None:
    """Write JSON, indented, keys as they stand, NaN refused."""
    write_text(file, json.dumps(content, indent=2, allow_nan=False) + "\n")


def create_json(file: Path, content: Any) -> bool:
    """Write JSON unless the file exists; of several writers at once, one does. Say whether it was this one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(file)
    try:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        link_new(temporary, file)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def link_new(temporary: Path, target: Path) -> None:
    """Give a file its name unless the name is taken; a rename where there are no hard links.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        temporary.replace(target)


def sweep_left(folder: Path) -> list[Path]:
    """Delete what writers of this machine that are no more left half-written under a folder; return it."""
    swept = []
    for file in folder.rglob(".*.tmp"):
        *_, host, owner = ["", *file.name.removesuffix(".tmp").rsplit("@", 2)]
        process = owner.partition(".")[0]
        if host == _host() and process.isdigit() and not is_alive(int(process)):
            with contextlib.suppress(OSError):  # another run sweeps too, or it is not ours to delete
                shutil.rmtree(file) if file.is_dir() else file.unlink()
                swept.append(file)
    return swept


def is_alive(process: int) -> bool:
    """Say whether a process of this machine lives."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, as somebody else's
        return True
    return True


def _beside(path: Path) -> Path:
    """Return a temporary name in the same folder, which says whose it is."""
    return path.with_name(f".{path.name}@{_host()}@{os.getpid()}.{threading.get_ident()}.tmp")


def _host() -> str:
    """Return this machine's name, cut so that names of files stay within 255 bytes."""
    return socket.gethostname()[:24]


def sha256_of(file: Path) -> str:
    """Return the hex digest of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
