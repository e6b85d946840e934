"""Arrays that are read where they are sliced, for samples that need not fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from probe4d.contracts import Array
from probe4d.scoring.source import Limits, check_array_size

__all__ = ["LazyArray", "is_lazy"]


class LazyArray:
    """An array behind `read(start, stop)` along its first axis.

    `np.asarray` reads it whole, within the limit.

    Attributes:
        step: rows that are stored together, so that slices are best multiples of it.
    """

    def __init__(
        self,
        where: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        read: Callable[[int, int], Array],
        limits: Limits,
        step: int = 1,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self._where = where
        self._read = read
        self._limits = limits
        self.step = step

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes when read."""
        total = self.dtype.itemsize
        for size in self.shape:
            total *= size
        return total

    def __getitem__(self, rows: slice) -> Array:
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            raise IndexError(f"{self._where}: a lazy array is read by slices of step 1")
        return self._read(start, stop)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        check_array_size(self._where, self.shape, self.dtype.itemsize, self._limits)
        value = self[0 : self.shape[0]]
        return value if dtype is None else value.astype(dtype, copy=False)


def is_lazy(value: object) -> bool:
    """Say whether an array is read where it is sliced."""
    return isinstance(value, LazyArray)
