"""Files written whole or not at all: a temporary one beside, then a rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["replacing", "replacing_folder", "sha256_of", "write_bytes", "write_json", "write_text"]


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a temporary path beside the file, which becomes the file when the block ends without an error.

    A reader sees the old content or the new, never a part. The folder is made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}.tmp")
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
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{threading.get_ident()}.tmp")
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


def sha256_of(file: Path) -> str:
    """Return the hex digest of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
