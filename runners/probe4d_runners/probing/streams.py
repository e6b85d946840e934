"""Clips of a split on the fly: cut, augmented and encoded once per step for the whole sweep; nothing is stored."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import define, field, frozen

from probe4d.contracts import Array, Arrays, Layer, Sample
from probe4d.errors import DataError
from probe4d.sampling import sample_of
from probe4d.store.batches import RowOrder, made_ahead
from probe4d.store.dtypes import as_dtype
from probe4d_datasets.coverage import Coverage
from probe4d_runners.clip_source import ClipSource
from probe4d_runners.encoding import Encoder
from probe4d_runners.protocols import FrozenProtocol
from probe4d_runners.targets import stack_targets

__all__ = ["Streamed", "open_stream"]


@frozen(kw_only=True)
class _Stacked:
    """A batch before it is encoded: pixels at the backbone's size, and targets `(b, …)`."""

    rows: Array
    videos: list[Array]
    targets: Arrays


@define(kw_only=True)
class Streamed:
    """A split whose features are computed when they are asked for; a row is a clip.

    The first epoch sees each clip in the view that a cache of one view holds; every further epoch in
    the next view. Features have the type that a cache would hold, and come from calls of the same shape.

    Attributes:
        coverage: which clips were left out so far; they cost themselves.
    """

    source: ClipSource
    encoder: Encoder
    kind: str
    target_settings: Mapping[str, Any]
    dtype: str
    coverage: Coverage
    names: tuple[str, ...] = field(repr=False)

    @property
    def rows(self) -> Array:
        """The clips that are not known to be broken."""
        broken = self.left_out
        return np.array([row for row, name in enumerate(self.names) if name not in broken], np.int64)

    @property
    def left_out(self) -> dict[str, str]:
        """Clips that could not be read, and why."""
        return dict(self.coverage.left_out)

    def ids(self, rows: Array) -> list[str]:
        """Return the clip ids of rows."""
        return [self.names[row] for row in rows.tolist()]

    def samples(self, rows: Array) -> list[str]:
        """Return the sample that each row is of."""
        return [sample_of(name, self.source.sampling) for name in self.ids(rows)]

    def extract_seconds(self) -> None:
        """Return None: features were made while training."""

    def training(
        self, protocol: FrozenProtocol, layers: tuple[Layer, ...], rows: Array
    ) -> Iterator[tuple[Array, Arrays]]:
        """Yield features `(layers, b, t, k, c)` and targets of random batches, for ever."""
        for batch in made_ahead(self._random(rows, protocol.batch_size, protocol.seed)):
            yield self._encoded(batch.videos, layers), batch.targets

    def in_order(self, size: int, layers: tuple[Layer, ...], rows: Array) -> Iterator[tuple[Array, Array, Arrays]]:
        """Yield rows, features and targets, in order; the last batch is filled up with its last row."""
        for batch in made_ahead(self._ordered(rows, size)):
            yield batch.rows, self._encoded(batch.videos, layers), batch.targets

    def _random(self, rows: Array, size: int, seed: int) -> Iterator[_Stacked]:
        order = RowOrder(rows, size, seed)
        drawn = ((row, epoch) for epoch in itertools.count() for row in order.permutation(epoch).tolist())
        good = self._good((row, self.source.views[0] + epoch) for row, epoch in drawn)
        while True:
            yield self._stacked(list(itertools.islice(good, size)))

    def _ordered(self, rows: Array, size: int) -> Iterator[_Stacked]:
        good = self._good((row, self.source.views[0]) for row in rows.tolist())
        while batch := list(itertools.islice(good, size)):
            found = self._stacked(batch + batch[-1:] * (size - len(batch)))
            yield _Stacked(rows=found.rows[: len(batch)], videos=found.videos, targets=found.targets)

    def _good(self, asked: Iterator[tuple[int, int]]) -> Iterator[tuple[int, Sample, Arrays]]:
        """Yield row, clip and targets of what can be read; the rest is left out and asked for no more."""
        for row, view in asked:
            name = self.names[row]
            if name in self.left_out:
                continue
            try:
                clip = self.source.clip(name, view)
                targets = stack_targets(self.kind, [clip], self.target_settings)
                yield row, self.encoder.check([clip])[0], targets
            except DataError as error:
                self.coverage = self.coverage.without(name, str(error))
                if len(self.left_out) == len(self.names):
                    raise DataError(
                        f"{self.names[0]} …: expected a clip that can be read, got none: {error}"
                    ) from error

    def _stacked(self, batch: list[tuple[int, Sample, Arrays]]) -> _Stacked:
        rows, clips, targets = zip(*batch, strict=True)
        fields = {name: np.concatenate([one[name] for one in targets]) for name in targets[0]}
        return _Stacked(rows=np.array(rows), videos=[clip.video for clip in clips], targets=fields)

    def _encoded(self, videos: list[Array], layers: tuple[Layer, ...]) -> Array:
        by_layer = dict(zip(self.encoder.layers, self.encoder.encode(videos), strict=True))
        return np.stack([by_layer[layer].astype(as_dtype(self.dtype)) for layer in layers])


def open_stream(stated: Mapping[str, Any], max_broken: float) -> Streamed:
    """Return the split that `planning.units` describes.

    Args:
        stated: `clips` and `samples` (see `ClipSource.open`), `features` (arguments of `Encoder`), `dtype`,
            `kind` and `target_settings`.
        max_broken: fraction of the clips that may be broken before it is an error.
    """
    source = ClipSource.open(**stated["clips"], samples=stated["samples"])
    return Streamed(
        source=source,
        encoder=Encoder(**stated["features"]),
        kind=stated["kind"],
        target_settings=stated["target_settings"],
        dtype=stated["dtype"],
        coverage=Coverage(total=len(source.places), max_broken=max_broken),
        names=tuple(source.places),
    )
