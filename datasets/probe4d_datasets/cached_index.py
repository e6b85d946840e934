"""What one pass over a large file has found, kept in the user's cache as JSON with its checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from probe4d.atomic import write_bytes
from probe4d.errors import Probe4dError
from probe4d.paths import cache_dir

__all__ = ["cached_index", "keep"]


def cached_index(schema: str, state: str, make: Callable[[], Any]) -> Any:
    """Return the JSON value that was kept under this schema and state, else make and keep it.

    Args:
        schema: what the value is, with its version, as `probe4d/tar-index/1`.
        state: what changes whenever the value would: the file's place, size and time.
        make: returns the value, of plain JSON types.
    """
    folder = schema.split("/")[1]
    address = hashlib.sha256(f"{schema}\n{state}".encode()).hexdigest()
    path = cache_dir() / folder / address[:2] / f"{address}.json"
    try:
        head, body = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        head = body = ""
    if head != _head(schema, body):
        body = json.dumps(make(), separators=(",", ":"))
        keep(path, f"{_head(schema, body)}\n{body}\n".encode())
    return json.loads(body)


def keep(path: Path, content: bytes) -> None:
    """Write a file of the user's cache.

    Raises:
        Probe4dError: it cannot be written. That is no fault of the data, so it does not cost a sample.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise Probe4dError(
            f"{path}: expected to keep an index there, got {error.strerror or error}. "
            "Set PROBE4D_CACHE_DIR to a folder that can be written."
        ) from error


def _head(schema: str, body: str) -> str:
    return f"{schema} {hashlib.sha256(body.encode()).hexdigest()}"
