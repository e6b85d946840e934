"""Patch colours as features: what a readout can do with no backbone at all. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from probe4d.errors import UsageError

__all__ = ["Array", "Pixels", "check_cells", "check_layers", "check_video", "load", "patch_means", "placed_colours"]

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

BANDS = 4  # of a patch's place: from half a turn over the frame to four


class Pixels:
    """Mean colours of the cells of each patch, frame by frame, in [-1, 1], and the patch's place."""

    def __init__(self, patch: int = 16, cells: int = 4) -> None:
        check_cells("pixels", patch, cells)
        self.patch, self.cells = patch, cells

    def encode(self, video: Array, layers: Sequence[float]) -> tuple[Array, ...]:
        """Return `(b, t, h/patch · w/patch, 3 · cells² + 16)` float32, the same for each layer.

        Args:
            video: `(b, t, h, w, 3)` in [0, 1].
            layers: 1 or a share of the depth; there is one.
        """
        check_layers(layers)
        video = check_video(video, self.patch)
        features = placed_colours(video, self.patch, self.cells)
        return tuple(features for _ in layers)


def check_cells(where: str, patch: int, cells: int) -> None:
    """Raise UsageError unless cells divide the patch."""
    if patch < 1 or cells < 1 or patch % cells:
        raise UsageError(f"{where}: expected a patch that divides into cells, got patch={patch}, cells={cells}.")


def check_layers(layers: Sequence[float]) -> None:
    """Raise UsageError unless each layer is 1 or a share of the depth."""
    for layer in layers:
        if isinstance(layer, bool) or not 0 < layer <= 1:
            raise UsageError(f"layer: expected 1 block or a share of the depth in (0, 1], got {layer!r}.")


def check_video(video: Array, patch: int) -> Array:
    """Return a video `(b, t, h, w, 3)` as float32; raise UsageError unless patches tile its frames."""
    video = np.asarray(video, np.float32)
    if video.ndim != 5 or video.shape[-1] != 3 or any(size % patch for size in video.shape[2:4]):
        raise UsageError(f"video: expected shape (b, t, h, w, 3), h and w multiples of {patch}, got {video.shape}.")
    return video


def placed_colours(video: Array, patch: int, cells: int) -> Array:
    """Return `(b, t, k, 3 · cells² + 16)`: the mean colour in [-1, 1] of each cell of each patch, and its place."""
    colours = patch_means(video, patch, cells) * 2 - 1
    places = patch_positions(video.shape[2] // patch, video.shape[3] // patch)
    return np.concatenate([colours, np.broadcast_to(places, (*colours.shape[:3], places.shape[-1]))], axis=-1)


def patch_means(maps: Array, patch: int, cells: int) -> Array:
    """Return `(b, t, k, c · cells²)`: the mean of each cell of each patch of maps `(b, t, h, w, c)`."""
    b, t, h, w, c = maps.shape
    rows, columns, cell = h // patch, w // patch, patch // cells
    split = maps.reshape(b, t, rows, cells, cell, columns, cells, cell, c)
    means: Array = split.mean(axis=(4, 7), dtype=np.float32)  # (b, t, rows, cells, columns, cells, c)
    return means.transpose(0, 1, 2, 4, 3, 5, 6).reshape(b, t, rows * columns, -1)


def patch_positions(rows: int, columns: int) -> Array:
    """Return `(rows · columns, 16)` float32: sines and cosines of where each patch's centre is in the frame.

    A readout that is asked about a place could not find it otherwise: attention knows no order of tokens.
    """
    y, x = ((np.arange(count, dtype=np.float32) + 0.5) / count for count in (rows, columns))
    centres = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    angles = (centres[:, :, None] * (np.pi * 2.0 ** np.arange(BANDS))).reshape(len(centres), -1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1).astype(np.float32)


def load(weights: str | None = None, seed: int = 0, size: int = 224, patch: int = 16, cells: int = 4) -> Pixels:
    """Return the backbone; `seed` makes no difference to it, and `size` is that of the frames that it will get.

    Raises:
        UsageError: it has no weights.
    """
    del seed, size
    if weights is not None:
        raise UsageError(f"pixels: expected no weights, got {weights!r}. It learns nothing.")
    return Pixels(patch, cells)
