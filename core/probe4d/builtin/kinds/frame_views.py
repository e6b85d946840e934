"""Canonical arrays of a sample too large to hold: views that read a block of frames when they are sliced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from probe4d.contracts import Array

__all__ = ["frame_views"]

Sides: TypeAlias = tuple[dict[str, Any], dict[str, Any]]


def frame_views(read: Callable[[slice], Sides], shape: tuple[int, ...], rows: int) -> Sides:
    """Return predictions and targets whose arrays share the one block of `rows` frames that was read last.

    Args:
        read: returns both sides of the frames of a slice.
        shape: `(t, …)` of every array.
    """
    blocks = _Blocks(read, shape[0], rows)
    empty = read(slice(0, 0))  # says which arrays there are, and their dtypes
    predictions, targets = (
        {name: _View(blocks, side, name, shape, value.dtype) for name, value in empty[side].items()} for side in (0, 1)
    )
    return predictions, targets


class _Blocks:
    def __init__(self, read: Callable[[slice], Sides], frames: int, rows: int) -> None:
        self._read = read
        self._frames = frames
        self.rows = rows
        self._held: tuple[int, Sides] | None = None

    def block(self, index: int) -> Sides:
        """Return the frames from `index * rows`."""
        if self._held is None or self._held[0] != index:
            self._held = None  # let go of it before the next is read
            start = index * self.rows
            self._held = (index, self._read(slice(start, min(self._frames, start + self.rows))))
        return self._held[1]


class _View:
    def __init__(self, blocks: _Blocks, side: int, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._blocks = blocks
        self._side = side
        self._name = name
        self.shape = shape
        self.ndim = len(shape)
        self.dtype = dtype

    def __getitem__(self, frames: slice) -> Array:
        start, stop, _ = frames.indices(self.shape[0])
        rows = self._blocks.rows
        parts: list[Array] = [
            self._blocks.block(index)[self._side][self._name][max(0, start - index * rows) : stop - index * rows]
            for index in range(start // rows, -(-stop // rows))
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[0 : self.shape[0]], dtype=dtype)
