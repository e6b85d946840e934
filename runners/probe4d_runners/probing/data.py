"""The stored sets of a sweep: features and targets of the same rows, as batches."""

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
from probe4d_runners.protocols import FrozenProtocol

__all__ = ["Clips", "open_clips", "split_holdout"]

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


def open_clips(features: Mapping[str, Any], targets: Mapping[str, Any], max_broken: float = 1.0) -> Clips:
    """Return the clips of two sets, each `{url, address}`.

    Raises:
        DataError: no sample is in both, or more than `max_broken` of them are missing from one.
    """
    opened, labels = (_open(one) for one in (features, targets))
    if (opened.ids, opened.views) != (labels.ids, labels.views):
        raise DataError(f"{opened.url}: expected the samples and views of {labels.url}, got others.")
    rows = np.flatnonzero(opened.valid() & labels.valid())
    left_out = {item.id: item.reason for store in (labels, opened) for item in store.left_out()}
    if not len(rows) or len(left_out) > max_broken * len(opened.ids):
        some = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3])
        whole = f"{len(opened.ids) - len(left_out)} of {len(opened.ids)}"
        raise DataError(
            f"{opened.url}: expected features and targets of all samples but {max_broken:.0%}, got {whole}. {some}"
        )
    held = {}
    if labels.description.nbytes <= HELD_BYTES:
        every = np.arange(labels.num_rows)
        held = {name: labels.read_target(every, name) for name in labels.fields}
    return Clips(opened, labels, rows, left_out, held)


def _open(stored: Mapping[str, Any]) -> FeatureStore:
    return FeatureStore.open(stored["url"], FeatureAddress.from_json(stored["address"], stored["url"]))


def split_holdout(clips: Clips, fraction: float, seed: int) -> tuple[Array, Array]:
    """Return training rows and held-out rows; all clips and views of a sample are on one side.

    Raises:
        DataError: there are too few samples to hold one out.
    """
    sampling = ClipSampling(**clips.features.description.address.clip)
    names = np.array([sample_of(name, sampling) for name in clips.features.ids])
    of_rows = np.unique(names, return_inverse=True)[1][clips.rows // clips.features.views]
    samples = np.unique(of_rows)
    held = max(1, round(len(samples) * fraction))
    if held >= len(samples):
        raise DataError(f"{clips.features.url}: expected samples to train on beside {held} held out, got none.")
    chosen = np.random.Generator(np.random.PCG64([seed, 7])).permutation(samples)[:held]
    out = np.isin(of_rows, chosen)
    return clips.rows[~out], clips.rows[out]


def _stacked(features: Mapping[str, Array]) -> Array:
    parts = list(features.values())
    return parts[0][None] if len(parts) == 1 else np.stack(parts)
