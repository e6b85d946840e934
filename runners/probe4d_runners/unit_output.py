"""What a worker writes while it carries out one unit after the other."""

from __future__ import annotations

import contextlib
import os
import tempfile

__all__ = ["KEPT_BYTES", "UnitOutput"]

KEPT_BYTES = 32_768  # the end of what a unit writes


class UnitOutput:
    """A file for the output of a worker (`WorkerProcess(output.fileno())`), emptied before each unit."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`

    def fileno(self) -> int:
        """Return the descriptor that the worker writes to."""
        return self._file.fileno()

    def clear(self) -> None:
        """Forget what was written: the next unit begins."""
        os.ftruncate(self.fileno(), 0)
        os.lseek(self.fileno(), 0, os.SEEK_SET)  # the worker's place in it too: it would leave a hole before its words

    def text(self) -> str:
        """Return the end of what was written, and how much came before it."""
        size = os.fstat(self.fileno()).st_size
        start = max(0, size - KEPT_BYTES)
        kept = os.pread(self.fileno(), KEPT_BYTES, start).decode(errors="replace")
        return f"[{start} bytes before]\n{kept}" if start else kept

    def close(self) -> None:
        """Close the file. Idempotent."""
        with contextlib.suppress(OSError):
            self._file.close()
