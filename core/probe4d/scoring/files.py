"""Files and folders, local or behind an fsspec URL: opening, reading at an offset, digests."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

from probe4d.errors import DataError, MissingExtraError

__all__ = ["Bytes", "digest_file", "digest_folder", "digest_named", "is_url", "open_binary", "read_text"]

BLOCK = 1 << 20


def is_url(path: str) -> bool:
    """Say whether a path is a URL for fsspec."""
    return "://" in path or "::" in path


def open_binary(path: str) -> BinaryIO:
    """Return a file opened for reading.

    Raises:
        DataError: there is no such file, or it cannot be read.
        MissingExtraError: it is a URL and fsspec is not installed.
    """
    try:
        if is_url(path):
            return cast(BinaryIO, fsspec_module(path).open(path, "rb").open())
        return open(path, "rb")
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a file, got nothing: it does not exist. Check the path.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a readable file, got an error: {error}.") from error


def fsspec_module(path: str) -> Any:
    """Import and return fsspec."""
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"{path}: a URL needs fsspec. Run: pip install 'probe4d[zarr]'") from error
    return fsspec


class Bytes:
    """A file read at offsets, and only within its length."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = open_binary(path)
        try:
            self.size = self._file.seek(0, io.SEEK_END)
        except OSError as error:
            self._file.close()
            raise DataError(f"{path}: expected a file that can be read at any place, got {error}.") from error
        try:
            # A local file is read by `pread`, one system call per member of an archive.
            self._descriptor = self._file.fileno() if not is_url(path) and hasattr(os, "pread") else -1
        except OSError:
            self._descriptor = -1

    @property
    def file(self) -> BinaryIO:
        """The open file, for what wants one."""
        return self._file

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer where the file ends."""
        if offset < 0:
            raise DataError(f"{self.path}: expected a whole file, got one that refers to places before its start.")
        size = max(0, min(size, self.size - offset))
        if self._descriptor < 0:
            self._file.seek(offset)
            return self._file.read(size)
        chunks = []
        while size > 0 and (chunk := os.pread(self._descriptor, min(size, 1 << 30), offset)):
            chunks.append(chunk)
            offset += len(chunk)
            size -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def digest(self) -> str:
        """Return the sha256 of the file, in hex."""
        total = hashlib.sha256()
        for offset in range(0, self.size, BLOCK):
            total.update(self.read(offset, BLOCK))
        return total.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def digest_file(path: str) -> str:
    """Return the sha256 of a file, in hex."""
    total = hashlib.sha256()
    with open_binary(path) as file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def digest_folder(path: str) -> str:
    """Return the sha256 over lines `<relative name> <sha256 of the file>`, sorted by name."""
    if is_url(path):
        filesystem, root = fsspec_module(path).core.url_to_fs(path)
        found = {name[len(root) :].strip("/"): f"{name}" for name in filesystem.find(root)}
        digests = {name: _digest_handle(filesystem.open(full, "rb")) for name, full in found.items()}
    else:
        files = [file for file in Path(path).rglob("*") if file.is_file()]
        digests = {file.relative_to(path).as_posix(): digest_file(str(file)) for file in files}
    return digest_named(digests)


def digest_named(digests: dict[str, str]) -> str:
    """Return the sha256 over lines `<name> <digest>`, sorted by name."""
    total = hashlib.sha256()
    for name in sorted(digests):
        total.update(f"{name} {digests[name]}\n".encode())
    return total.hexdigest()


def _digest_handle(file: Any) -> str:
    total = hashlib.sha256()
    with file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def read_text(path: str, max_bytes: int) -> str:
    """Return the text of a whole small file.

    Raises:
        DataError: it is longer than `max_bytes` or not UTF-8.
    """
    with open_binary(path) as file:
        try:
            raw = file.read(max_bytes + 1)
        except OSError as error:
            raise DataError(f"{path}: expected a readable file, got an error: {error}.") from error
    if len(raw) > max_bytes:
        raise DataError(f"{path}: expected at most {max_bytes:,} bytes of text, got more. Split the file.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, got other bytes at {error.start}. Is it this format?") from error
