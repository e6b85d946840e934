"""A part of a file as a file: `byterange://<first byte>-<length>::<URL>`, a filesystem of fsspec's."""

from __future__ import annotations

import io
import re
from typing import Any, BinaryIO

import fsspec
from fsspec.spec import AbstractFileSystem

__all__ = ["PROTOCOL", "ByteRange", "byte_range"]

PROTOCOL = "byterange"
PART = re.compile(r"(\d{1,18})-(\d{1,18})")


def byte_range(url: str, offset: int, length: int) -> str:
    """Return the URL of a part of what a URL names."""
    return f"{PROTOCOL}://{offset}-{length}::{url}"


class ByteRange(AbstractFileSystem):
    """The parts of one file.

    Args:
        fo: path of the file in its filesystem.
    """

    protocol = PROTOCOL
    root_marker = ""

    def __init__(
        self, fo: str = "", target_protocol: str | None = None, target_options: Any = None, **options: Any
    ) -> None:
        super().__init__(self, **options)
        self.fo = fo
        self._fs = fsspec.filesystem(target_protocol or "file", **(target_options or {}))

    def ukey(self, path: str) -> str:
        """Return a key that changes when the file does."""
        return f"{path} {self._fs.ukey(self.fo)}"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return the length of a part."""
        return {"name": path, "size": _bounds(path)[1], "type": "file"}

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        if mode != "rb":
            raise OSError(f"{path}: a part of a file is only read")
        return io.BufferedReader(_Part(self._fs.open(self.fo, "rb"), *_bounds(path)))


def _bounds(path: str) -> tuple[int, int]:
    found = PART.fullmatch(path)
    if found is None:
        raise FileNotFoundError(f"expected <first byte>-<length>, got {path!r}")
    return int(found[1]), int(found[2])


class _Part(io.RawIOBase):
    """Bytes `offset` to `offset + length` of an open file, which is closed with it."""

    def __init__(self, file: Any, offset: int, length: int) -> None:
        self._file, self._offset, self._length, self._at = file, offset, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise OSError(f"expected a position of at least 0, got {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._length - self._at))
        self._file.seek(self._offset + self._at)
        content = self._file.read(wanted)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


fsspec.register_implementation(PROTOCOL, ByteRange, clobber=True)
