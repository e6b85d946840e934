"""Clips of a split on the fly: cut, augmented and encoded once per step for the whole sweep; nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import frozen

from probe4d.contracts import Array, Arrays, Layer
from probe4d.store.batches import made_ahead
from probe4d.store.dtypes import as_dtype
from probe4d_runners.encoding import Encoder
from probe4d_runners.probing.pixels import PixelStream
from probe4d_runners.protocols import FrozenProtocol

__all__ = ["Streamed", "open_stream"]


@frozen(kw_only=True)
class Streamed:
    """A split whose features are computed when they are asked for; a row is a clip.

    Features have the type that a cache would hold, and come from calls of the same shape.
    """

    pixels: PixelStream
    encoder: Encoder
    dtype: str

    @property
    def rows(self) -> Array:
        """The clips that are not known to be broken."""
        return self.pixels.rows

    @property
    def left_out(self) -> dict[str, str]:
        """Clips that could not be read, and why."""
        return self.pixels.left_out

    def ids(self, rows: Array) -> list[str]:
        """Return the clip ids of rows."""
        return self.pixels.ids(rows)

    def samples(self, rows: Array) -> list[str]:
        """Return the sample that each row is of."""
        return self.pixels.samples(rows)

    def extract_seconds(self) -> None:
        """Return None: features were made while training."""

    def training(
        self, protocol: FrozenProtocol, layers: tuple[Layer, ...], rows: Array
    ) -> Iterator[tuple[Array, Arrays]]:
        """Yield features `(layers, b, t, k, c)` and targets of random batches, for ever."""
        for batch in made_ahead(self.pixels.random(rows, protocol.batch_size, protocol.seed)):
            yield self._encoded(batch.videos, layers), batch.targets

    def in_order(self, size: int, layers: tuple[Layer, ...], rows: Array) -> Iterator[tuple[Array, Array, Arrays]]:
        """Yield rows, features and targets, in order; the last batch is filled up with its last row."""
        for batch in made_ahead(self.pixels.ordered(rows, size)):
            yield batch.rows, self._encoded(batch.videos, layers), batch.targets

    def _encoded(self, videos: list[Array], layers: tuple[Layer, ...]) -> Array:
        by_layer = dict(zip(self.encoder.layers, self.encoder.encode(videos), strict=True))
        return np.stack([by_layer[layer].astype(as_dtype(self.dtype)) for layer in layers])


def open_stream(stated: Mapping[str, Any], max_broken: float) -> Streamed:
    """Return the split that `planning.units` describes.

    Args:
        stated: what `PixelStream.open` takes, `features` (arguments of `Encoder`), and `dtype`.
        max_broken: fraction of the clips that may be broken before it is an error.
    """
    encoder = Encoder(**stated["features"])
    pixels = PixelStream.open(stated, encoder.spec.input, max_broken)
    return Streamed(pixels=pixels, encoder=encoder, dtype=stated["dtype"])
