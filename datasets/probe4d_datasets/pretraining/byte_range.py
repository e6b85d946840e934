"""A part of a file as a file: `byterange://<first byte>-<length>::<URL>`, a filesystem of fsspec's."""

from __future__ import annotations

import io
import re
from typing import Any, BinaryIO

import fsspec
from fsspec.spec import AbstractFileSystem

from probe4d_datasets.seekable import SeekableBytes

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


class _Part(SeekableBytes):
    """Bytes `offset` to `offset + length` of an open file, which is closed with it."""

    def __init__(self, file: Any, offset: int, length: int) -> None:
        super().__init__(length)
        self._file, self._offset = file, offset

    def bytes_at(self, position: int, most: int) -> bytes:
        self._file.seek(self._offset + position)
        content: bytes = self._file.read(most)
        return content

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


fsspec.register_implementation(PROTOCOL, ByteRange, clobber=True)
