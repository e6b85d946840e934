"""Patch colours as features: what a readout can do with no backbone at all. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from probe4d.errors import UsageError

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


class Pixels:
    """Mean colours of the cells of each patch, frame by frame, in [-1, 1]."""

    def __init__(self, patch: int = 16, cells: int = 4) -> None:
        if patch < 1 or cells < 1 or patch % cells:
            raise UsageError(f"pixels: expected a patch that divides into cells, got patch={patch}, cells={cells}.")
        self.patch, self.cells = patch, cells

    def encode(self, video: Array, layers: Sequence[float]) -> tuple[Array, ...]:
        """Return `(b, t, h/patch · w/patch, 3 · cells²)` float32, the same for each layer.

        Args:
            video: `(b, t, h, w, 3)` in [0, 1].
            layers: 1 or a share of the depth; there is one.
        """
        for layer in layers:
            if isinstance(layer, bool) or not 0 < layer <= 1:
                raise UsageError(f"layer: expected 1 block or a share of the depth in (0, 1], got {layer!r}.")
        video = np.asarray(video, np.float32)
        if video.ndim != 5 or video.shape[-1] != 3 or any(size % self.patch for size in video.shape[2:4]):
            raise UsageError(
                f"video: expected shape (b, t, h, w, 3), h and w multiples of {self.patch}, got {video.shape}."
            )
        b, t, h, w, c = video.shape
        rows, columns, cell = h // self.patch, w // self.patch, self.patch // self.cells
        split = video.reshape(b, t, rows, self.cells, cell, columns, self.cells, cell, c)
        colours = split.mean(axis=(4, 7), dtype=np.float32)  # (b, t, rows, cells, columns, cells, 3)
        features = colours.transpose(0, 1, 2, 4, 3, 5, 6).reshape(b, t, rows * columns, -1) * 2 - 1
        return tuple(features for _ in layers)


def load(weights: str | None = None, seed: int = 0, patch: int = 16, cells: int = 4) -> Pixels:
    """Return the backbone; `seed` makes no difference to it.

    Raises:
        UsageError: it has no weights.
    """
    del seed
    if weights is not None:
        raise UsageError(f"pixels: expected no weights, got {weights!r}. It learns nothing.")
    return Pixels(patch, cells)
