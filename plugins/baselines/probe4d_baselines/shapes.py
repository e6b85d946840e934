"""What the shapes of a file's arrays say of the model; only headers are read, and the V-JEPA table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isqrt
from typing import Any, TypeAlias

import numpy as np

from probe4d.errors import DataError
from probe4d_baselines.layouts import Found
from probe4d_vit.checkpoints import Checkpoint
from probe4d_vit.positions import sincos

Grid: TypeAlias = tuple[int, int, int]


def fields_of(checkpoint: Checkpoint, found: Found) -> dict[str, Any]:
    """Return the fields of `VitConfig` that the arrays tell; `heads` only where they stand apart."""
    file = _File(checkpoint, found)
    fields = _embedding(file)
    if found.layout.may_lack_norm:
        fields["final_norm"] = file.has("norm/scale")
    fields["depth"] = file.depth("blocks/norm1/scale")
    if found.layout.entries.get("temporal/blocks/norm1/scale"):
        fields["temporal_depth"] = file.depth("temporal/blocks/norm1/scale")
    key, kind = file.place("blocks/up/kernel")
    shape = file.shape(key)
    fields["mlp"] = {"linear": shape[0], "half": shape[0] // 2}.get(kind.partition(":")[0], shape[-1])
    if file.has("blocks/gate/kernel"):
        fields["activation"] = "swiglu"
    key, kind = file.place("blocks/q/kernel")
    if kind == "same":  # (d, heads, size), stacked or not
        fields["heads"] = file.shape(key)[-2]
    if "registers" in found.layout.entries:
        fields["registers"] = file.shape(file.place("registers")[0])[1] if file.has("registers") else 0
    return fields


def table_grid(checkpoint: Checkpoint, found: Found, *, cls: bool, position: str) -> Grid | None:
    """Return the grid of the stored position table, or None where there is none or its size says too little.

    Frames' number is 1 for a table of one frame; a factorized encoder's is that of its table over time.
    """
    file = _File(checkpoint, found)
    if position not in ("learned", "sincos") or not file.has("position"):
        return None
    key, _ = file.place("position")
    shape = file.shape(key)
    count = shape[-2] - int(cls)
    if position == "sincos":
        return _grid_of_sincos(checkpoint.read(key).reshape(count, -1))
    side = isqrt(count)
    if side * side != count:
        return None
    frames = file.shape(file.place("temporal/position")[0])[-2] if file.has("temporal/position") else 1
    return frames, side, side


def _grid_of_sincos(stored: np.ndarray) -> Grid | None:
    """Return the grid, square in space, whose computed table is the stored one."""
    count, width = stored.shape
    for frames in (number for number in range(1, count + 1) if count % number == 0):
        side = isqrt(count // frames)
        if side * side * frames != count:
            continue
        # The last token alone tells grids of one size apart.
        last = sincos((1, 1, 1), width, uniform_power=True, start=(frames - 1, side - 1, side - 1))
        if np.allclose(last.reshape(-1), np.asarray(stored[-1], np.float32), atol=1e-4):
            return frames, side, side
    return None


class _File:
    """A checkpoint seen through its layout."""

    def __init__(self, checkpoint: Checkpoint, found: Found) -> None:
        self._checkpoint, self._found = checkpoint, found
        self._keys = set(checkpoint.keys())

    def place(self, path: str) -> tuple[str, str]:
        """Return the key of a parameter (of block 0) and how it is converted; the first place if there is none."""
        places = [(self._found.prefix + key, kind) for key, kind in self._found.layout.entries[path]]
        return next(((key, kind) for key, kind in places if key.format(i=0) in self._keys), places[0])

    def has(self, path: str) -> bool:
        """Return whether the file has a parameter."""
        return path in self._found.layout.entries and self.place(path)[0].format(i=0) in self._keys

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of an array, of block 0 where each has its own."""
        key = key.format(i=0)
        if key not in self._keys:
            raise DataError(f"{self._checkpoint.path}: expected the key {key!r}, got none. Is it of this family?")
        return self._checkpoint.shape(key)

    def depth(self, path: str) -> int:
        """Return the number of blocks."""
        key, _ = self.place(path)
        if "{i}" not in key:
            return self.shape(key)[0]
        return _consecutive(re.escape(key).replace(r"\{i\}", r"(\d+)"), self._keys)


def _consecutive(pattern: str, keys: Iterable[str]) -> int:
    numbers = {int(match[1]) for key in keys if (match := re.fullmatch(pattern, key))}
    return next(number for number in range(len(numbers) + 1) if number not in numbers)


def _embedding(file: _File) -> dict[str, Any]:
    key, kind = file.place("embed/kernel")
    shape = file.shape(key)
    if kind == "conv":  # (d, 3, [t,] h, w)
        return {"width": shape[0], "patch": shape[2:] if len(shape) == 5 else (1, *shape[2:])}
    if len(shape) == 4:  # (h, w, 3, d)
        return {"width": shape[-1], "patch": (1, *shape[:2])}
    side = isqrt(shape[0] // 3)
    return {"width": shape[-1], "patch": (1, side, side)}
