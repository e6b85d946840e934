"""Patch colours as features: what a readout can do with no backbone at all. numpy only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np

from probe4d.errors import UsageError
from probe4d_fourds.floors import PIXELS, Sizes

__all__ = ["Array", "Floor", "Pixels", "patch_means", "placed_colours"]

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

BANDS = 4  # of a patch's place: from half a turn over the frame to four


class Floor(ABC):
    """A backbone that learns nothing: features of each patch of each frame, which are the same for each layer.

    Args:
        weights: None; it has none.
        seed, size: make no difference; `size` is that of the frames that it will get.
        patch, cells: pixels along a patch, and cells; see `floors.Sizes` for what they are where they are not given.

    Raises:
        UsageError: weights are given, or cells do not divide the patch.
    """

    name: ClassVar[str]
    sizes: ClassVar[Sizes]

    def __init__(
        self,
        weights: str | None = None,
        seed: int = 0,
        size: int | None = None,
        patch: int | None = None,
        cells: int | None = None,
    ) -> None:
        del seed, size
        if weights is not None:
            raise UsageError(f"{self.name}: expected no weights, got {weights!r}. It learns nothing.")
        self.patch = self.sizes.patch if patch is None else patch
        self.cells = self.sizes.cells if cells is None else cells
        if self.patch < 1 or self.cells < 1 or self.patch % self.cells:
            raise UsageError(
                f"{self.name}: expected a patch that divides into cells, got patch={self.patch}, cells={self.cells}."
            )

    @abstractmethod
    def features(self, video: Array) -> Array:
        """Return `(b, t, h/patch · w/patch, c)` float32 of a video `(b, t, h, w, 3)` float32 in [0, 1]."""

    def encode(self, video: Array, layers: Sequence[float]) -> tuple[Array, ...]:
        """Return the features for each layer.

        Args:
            video: `(b, t, h, w, 3)` in [0, 1].
            layers: 1 or a share of the depth; there is one.
        """
        check_layers(layers)
        features = self.features(check_video(video, self.patch))
        return tuple(features for _ in layers)


class Pixels(Floor):
    """Mean colours of the cells of each patch, frame by frame, in [-1, 1], and the patch's place."""

    name = "pixels"
    sizes = PIXELS

    def features(self, video: Array) -> Array:
        """Return `(b, t, k, 3 · cells² + 16)`."""
        return placed_colours(video, self.patch, self.cells)


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
