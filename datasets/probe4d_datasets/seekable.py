"""What a file of known length needs to be read and seeked, but for its bytes."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Any

__all__ = ["SeekableBytes"]


class SeekableBytes(io.RawIOBase):
    """A file to be read: a subclass says what stands where."""

    def __init__(self, length: int) -> None:
        self._length, self._at = length, 0

    @abstractmethod
    def bytes_at(self, position: int, most: int) -> bytes:
        """Return from 1 to `most` bytes from a position within the file, or none where what it reads was cut off."""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be seeked."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, beyond the end too, and return it.

        Raises:
            OSError: it is before the start.
        """
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise OSError(f"expected a position of at least 0, got {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as one read goes, and return how far; 0 at the end."""
        wanted = min(len(buffer), max(0, self._length - self._at))
        content = self.bytes_at(self._at, wanted) if wanted else b""
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
