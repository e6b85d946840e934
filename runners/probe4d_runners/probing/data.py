"""The clips of a sweep, features and targets of the same rows, as batches: from stored sets, or streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import define

from probe4d.contracts import Array, Arrays, Layer
from probe4d.errors import DataError
from probe4d.sampling import sample_of
from probe4d.specs import ClipSampling
from probe4d.store import FeatureAddress, FeatureStore
from probe4d_runners.probing.pixels import PixelStream
from probe4d_runners.probing.streams import Streamed, open_stream
from probe4d_runners.protocols import FrozenProtocol

__all__ = ["Clips", "Split", "open_clips", "open_split", "open_targets", "split_holdout"]

HELD_BYTES = 1 << 30  # targets up to this size are read once and kept


@define
class Clips:
    """Features and targets of a split, row by row the same clips.

    Attributes:
        rows: those that both sets hold; the rest was left out of one or the other.
        left_out: samples that are missing, and why.
    """

    features: FeatureStore
    targets: FeatureStore
    rows: Array
    left_out: dict[str, str]
    _held: dict[str, Array]

    def ids(self, rows: Array) -> list[str]:
        """Return the sample ids of rows; views after the first carry their number."""
        views = self.features.views
        names = self.features.ids
        return [names[row // views] + (f"#{row % views}" if row % views else "") for row in rows.tolist()]

    def samples(self, rows: Array) -> list[str]:
        """Return the sample that each row is of."""
        sampling = ClipSampling(**self.features.description.address.clip)
        names = self.features.ids
        return [sample_of(names[row // self.features.views], sampling) for row in rows.tolist()]

    def extract_seconds(self) -> float | None:
        """Return how long the shards of the features took to make."""
        store = self.features
        return sum(store.done_receipt(shard).seconds for shard in range(store.num_shards))

    def targets_of(self, rows: Array) -> Arrays:
        """Return the targets `(n, …)` of rows."""
        if self._held:
            return {name: value[rows] for name, value in self._held.items()}
        return {name: self.targets.read_target(rows, name) for name in self.targets.fields}

    def training(
        self, protocol: FrozenProtocol, layers: tuple[Layer, ...], rows: Array
    ) -> Iterator[tuple[Array, Arrays]]:
        """Yield features `(layers, b, t, k, c)` and targets of random batches, for ever."""
        loader = self.features.loader(protocol.batch_size, seed=protocol.seed, rows=rows, layers=layers, fields=())
        for batch in loader:
            yield _stacked(batch.features), self.targets_of(batch.rows)

    def in_order(self, size: int, layers: tuple[Layer, ...], rows: Array) -> Iterator[tuple[Array, Array, Arrays]]:
        """Yield rows, features and targets, in order; the last batch is filled up with its last row."""
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        filled = [np.concatenate([part, np.repeat(part[-1:], size - len(part))]) for part in parts]
        for part, batch in zip(parts, self.features.batches(filled, layers=layers, fields=()), strict=True):
            yield part, _stacked(batch.features), self.targets_of(batch.rows)


Split = Clips | Streamed


def open_split(sets: Mapping[str, Mapping[str, Any]], split: str, max_broken: float) -> Split:
    """Return `train` or `evaluate` of a probe unit's sets, stored or streamed.

    Raises:
        DataError: too many clips are missing.
    """
    if "stream" in sets[split]:
        return open_stream(sets[split]["stream"], max_broken)
    return open_clips(sets[split], sets[f"{split}_targets"], max_broken)


def open_targets(stored: Mapping[str, Any]) -> Clips:
    """Return the targets of a set, to be read without features.

    Raises:
        DataError: it holds none.
    """
    opened = _open(stored)
    return _held(opened, opened)


def open_clips(features: Mapping[str, Any], targets: Mapping[str, Any], max_broken: float = 1.0) -> Clips:
    """Return the clips of two sets, each `{url, address}`.

    Raises:
        DataError: no sample is in both, or more than `max_broken` of them are missing from one.
    """
    opened, labels = (_open(one) for one in (features, targets))
    if (opened.ids, opened.views) != (labels.ids, labels.views):
        raise DataError(f"{opened.url}: expected the samples and views of {labels.url}, got others.")
    clips = _held(opened, labels)
    left_out = clips.left_out
    if len(left_out) > max_broken * len(opened.ids):
        some = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3])
        whole = f"{len(opened.ids) - len(left_out)} of {len(opened.ids)}"
        raise DataError(
            f"{opened.url}: expected features and targets of all samples but {max_broken:.0%}, got {whole}. {some}"
        )
    return clips


def _held(features: FeatureStore, targets: FeatureStore) -> Clips:
    """Return the clips that both sets hold, their targets read where they are few."""
    rows = np.flatnonzero(features.valid() & targets.valid())
    stores = {store.url: store for store in (targets, features)}.values()
    left_out = {item.id: item.reason for store in stores for item in store.left_out()}
    if not len(rows):
        some = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3])
        raise DataError(f"{features.url}: expected clips with features and targets, got none. {some}")
    held = {}
    if targets.description.nbytes <= HELD_BYTES:
        every = np.arange(targets.num_rows)
        held = {name: targets.read_target(every, name) for name in targets.fields}
    return Clips(features, targets, rows, left_out, held)


def _open(stored: Mapping[str, Any]) -> FeatureStore:
    return FeatureStore.open(stored["url"], FeatureAddress.from_json(stored["address"], stored["url"]))


def split_holdout(clips: Split | PixelStream, fraction: float, seed: int) -> tuple[Array, Array]:
    """Return training rows and held-out rows; all clips and views of a sample are on one side.

    Raises:
        DataError: there are too few samples to hold one out.
    """
    rows = clips.rows
    names, of_rows = np.unique(np.array(clips.samples(rows)), return_inverse=True)
    samples = np.arange(len(names))
    held = max(1, round(len(samples) * fraction))
    if held >= len(samples):
        raise DataError(f"holdout: expected samples to train on beside {held} held out, got {len(samples)} in all.")
    chosen = np.random.Generator(np.random.PCG64([seed, 7])).permutation(samples)[:held]
    out = np.isin(of_rows, chosen)
    return rows[~out], rows[out]


def _stacked(features: Mapping[str, Array]) -> Array:
    parts = list(features.values())
    return parts[0][None] if len(parts) == 1 else np.stack(parts)
