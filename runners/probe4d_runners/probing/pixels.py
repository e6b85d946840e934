"""Batches of clips and their targets, cut and augmented on the fly: encoded, or trained on with the backbone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from attrs import define, field, frozen

from probe4d.contracts import Array, Arrays, Sample
from probe4d.errors import DataError
from probe4d.sampling import sample_of
from probe4d.specs import VideoInput
from probe4d.store.batches import RowOrder
from probe4d_datasets.coverage import Coverage
from probe4d_runners.clip_source import ClipSource
from probe4d_runners.encoding import fit_input
from probe4d_runners.targets import stack_targets

__all__ = ["PixelBatch", "PixelStream", "Place"]


@frozen(kw_only=True)
class Place:
    """How far a stream of random batches has come.

    Attributes:
        drawn: rows drawn so far, broken ones counted.
        left_out: `(id, reason)` of the clips that were found broken by then.
    """

    drawn: int = 0
    left_out: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class PixelBatch:
    """Clips at the backbone's size.

    Attributes:
        videos: `(t, h, w, 3)` uint8 each.
        targets: `(b, …)` by field.
        place: after this batch; where the next one starts.
    """

    rows: Array
    videos: list[Array]
    targets: Arrays
    place: Place


@define(kw_only=True)
class PixelStream:
    """The clips of a split; a row is a clip. Broken ones cost themselves.

    The first epoch sees each clip in the view that a cache of one view holds; every further epoch in
    the next view.

    Attributes:
        input: what the backbone takes.
        coverage: which clips were left out so far.
    """

    source: ClipSource
    input: VideoInput
    kind: str
    target_settings: Mapping[str, Any]
    coverage: Coverage
    names: tuple[str, ...] = field(repr=False)

    @classmethod
    def open(cls, stated: Mapping[str, Any], wanted: VideoInput, max_broken: float) -> PixelStream:
        """Return the split that `planning.units` describes.

        Args:
            stated: `clips` and `samples` (see `ClipSource.open`), `kind` and `target_settings`.
            wanted: the size that clips are brought to.
            max_broken: fraction of the clips that may be broken before it is an error.
        """
        source = ClipSource.open(**stated["clips"], samples=stated["samples"])
        return cls(
            source=source,
            input=wanted,
            kind=stated["kind"],
            target_settings=stated["target_settings"],
            coverage=Coverage(total=len(source.places), max_broken=max_broken),
            names=tuple(source.places),
        )

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

    def random(self, rows: Array, size: int, seed: int, start: Place | None = None) -> Iterator[PixelBatch]:
        """Yield random batches for ever, from a place on as if it had never stopped there."""
        at = start or Place()
        if start is not None:
            self.coverage = attrs.evolve(self.coverage, left_out=at.left_out)
        order = RowOrder(rows, size, seed)
        epoch, inside = divmod(at.drawn, len(rows))
        first = ((row, epoch) for row in order.permutation(epoch)[inside:].tolist())
        rest = ((row, number) for number in itertools.count(epoch + 1) for row in order.permutation(number).tolist())
        drawn = ((row, self.source.views[0] + number) for row, number in itertools.chain(first, rest))
        good = self._good(enumerate(drawn, at.drawn + 1))
        while True:
            yield self._stacked(list(itertools.islice(good, size)))

    def ordered(self, rows: Array, size: int) -> Iterator[PixelBatch]:
        """Yield the rows in order; the last batch is filled up with its last row, which `rows` does not name."""
        good = self._good(enumerate(((row, self.source.views[0]) for row in rows.tolist()), 1))
        while batch := list(itertools.islice(good, size)):
            found = self._stacked(batch + batch[-1:] * (size - len(batch)))
            yield attrs.evolve(found, rows=found.rows[: len(batch)])

    def _good(self, asked: Iterator[tuple[int, tuple[int, int]]]) -> Iterator[tuple[int, int, Sample, Arrays]]:
        """Yield number, row, clip and targets of what can be read; the rest is left out and asked for no more."""
        for number, (row, view) in asked:
            name = self.names[row]
            if name in self.left_out:
                continue
            try:
                clip = self.source.clip(name, view)
                targets = stack_targets(self.kind, [clip], self.target_settings)
                video = fit_input(clip.video, self.input)
                yield number, row, attrs.evolve(clip, video=video, targets={}), targets
            except DataError as error:
                self.coverage = self.coverage.without(name, str(error))
                if len(self.left_out) == len(self.names):
                    raise DataError(
                        f"{self.names[0]} …: expected a clip that can be read, got none: {error}"
                    ) from error

    def _stacked(self, batch: list[tuple[int, int, Sample, Arrays]]) -> PixelBatch:
        numbers, rows, clips, targets = zip(*batch, strict=True)
        fields = {name: np.concatenate([one[name] for one in targets]) for name in targets[0]}
        return PixelBatch(
            rows=np.array(rows),
            videos=[clip.video for clip in clips],
            targets=fields,
            place=Place(drawn=numbers[-1], left_out=self.coverage.left_out),
        )
