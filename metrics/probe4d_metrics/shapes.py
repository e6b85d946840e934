"""Checks of array shapes at the public doors: one line, with the name of the array and of each axis."""

from __future__ import annotations

from typing import Any

__all__ = ["check_shapes"]


def check_shapes(**arrays: tuple[Any, str]) -> dict[str, int]:
    """Return the size of every named axis, where each array has the shape that is said of it.

    Args:
        **arrays: the name of an array, with the array (anything with a `shape`) and its axes in
            words: `"b n t 2"`. A number is a fixed size; the same name is the same size everywhere.

    Raises:
        ValueError: an array has another rank or size.

    >>> import numpy as np
    >>> check_shapes(tracks=(np.zeros((5, 16, 2)), "n t 2"), visible=(np.zeros((5, 16)), "n t"))
    {'n': 5, 't': 16}
    >>> check_shapes(tracks=(np.zeros((5, 16, 2)), "n t 2"), visible=(np.zeros((5, 15)), "n t"))
    Traceback (most recent call last):
    ValueError: visible: expected shape (n=5, t=16), got (5, 15).
    """
    sizes: dict[str, int] = {}
    for name, (array, words) in arrays.items():
        axes, shape = words.split(), tuple(array.shape)
        known = dict(sizes)
        for axis, size in zip(axes, shape, strict=False):
            known.setdefault(axis, int(axis) if axis.isdigit() else size)
        if len(axes) != len(shape) or any(known[axis] != size for axis, size in zip(axes, shape, strict=True)):
            wanted = ", ".join(f"{axis}={sizes[axis]}" if axis in sizes else axis for axis in axes)
            raise ValueError(f"{name}: expected shape ({wanted}), got {shape}.")
        sizes = {axis: size for axis, size in known.items() if not axis.isdigit()}
    return sizes
