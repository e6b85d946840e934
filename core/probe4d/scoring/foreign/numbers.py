"""Text files that are tables of numbers: one row a line, separated by commas or spaces."""

from __future__ import annotations

import numpy as np

from probe4d.contracts import Array
from probe4d.scoring.files import read_text
from probe4d.scoring.source import Limits, fail

__all__ = ["read_table"]


def read_table(path: str, columns: tuple[int, ...], limits: Limits, separator: str | None = None) -> Array:
    """Return the numbers `(rows, columns)` of a text file; lines that are empty or begin with # do not count.

    Args:
        columns: how many a row may have; every row of a file has the same number.

    Raises:
        DataError: a line is no such row; names the line.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(read_text(path, limits.text_bytes).splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        cells = [cell.strip() for cell in text.rstrip(",").split(separator)] if separator else text.split()
        wanted = (len(rows[0]),) if rows else columns
        if len(cells) not in wanted:
            allowed = " or ".join(map(str, wanted))
            fail(f"{path}: line {number}", f"{allowed} numbers", f"{len(cells)}: {text[:60]!r}")
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            fail(f"{path}: line {number}", "numbers", f"{text[:60]!r}")
    if not rows:
        fail(path, "at least one line of numbers", "none")
    table = np.array(rows)
    if not np.isfinite(table).all():
        fail(path, "finite numbers", f"NaN or infinity in row {int(np.argwhere(~np.isfinite(table))[0][0]) + 1}")
    return table
