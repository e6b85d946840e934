"""Batches by number: which videos they hold, and their pixels in one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from probe4d.errors import DataError
from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.draws import draws, permutation, substitute
from probe4d_datasets.pretraining.health import Skip
from probe4d_datasets.pretraining.sources import ClipSource, SkippedVideo

__all__ = ["Batches"]

ENDLESS = 1 << 53  # batches; Grain wants a length
ATTEMPTS = 100  # videos tried for one example before giving up


@frozen(eq=False)
class Batches:
    """This process's part of each batch from position `start` of the examples on.

    The examples are one endless line: epoch after epoch, each in an order of its own. Which example
    stands where depends on nothing but the seed and the list of videos, so neither the number of
    processes nor that of workers changes a batch, and a batch may reach over the end of an epoch.

    Attributes:
        share: positions of the global batch that are read here.
    """

    source: ClipSource
    data: ClipData
    share: range
    start: int = 0

    def __len__(self) -> int:
        if self.data.epochs is None:
            return ENDLESS
        return max(0, self.data.epochs * len(self.source) - self.start) // self.data.batch_size

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return `video` `(b, t, h, w, 3)` uint8, `ids` and `skips` of a batch."""
        first = self.start + number * self.data.batch_size
        video = np.empty((len(self.share), self.data.frames, *self.data.size, 3), np.uint8)
        ids: list[str] = []
        skips: list[Skip] = []
        for row, place in enumerate(self.share):
            epoch, within = divmod(first + place, len(self.source))
            ids.append(self._example(epoch, within, video[row], skips))
        return {"video": video, "ids": ids, "skips": skips}

    def _example(self, epoch: int, within: int, out: np.ndarray, skips: list[Skip]) -> str:
        """Write the example into `out` and return its id; a broken video is noted and another one taken."""
        seed, count = self.data.seed, len(self.source)
        index = int(permutation(seed, epoch, count)[within])
        for attempt in range(ATTEMPTS):
            if attempt:
                index = substitute(seed, epoch, within, attempt, count)
            name = self.source.name(index)
            try:
                self.source.cut_clip(index, draws(seed, epoch, index, attempt), out)
            except SkippedVideo as error:
                skips.append((name, error.reason, str(error)))
            else:
                return name
        raise DataError(
            f"videos: expected a clip from one of {ATTEMPTS} videos, got none; the last: {skips[-1][2]} Replace them."
        )
