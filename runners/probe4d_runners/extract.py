"""The unit that fills one shard of a stored set: clips cut, then encoded by a backbone or kept as targets."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from probe4d.contracts import Array, LeftOut, Sample
from probe4d.errors import DataError, UsageError
from probe4d.specs import ClipSampling
from probe4d.store import FeatureAddress, FeatureStore
from probe4d_datasets.coverage import Coverage
from probe4d_runners.clip_source import ClipSource
from probe4d_runners.encoding import Encoder
from probe4d_runners.targets import stack_targets, target_shapes

__all__ = ["extract_shard"]


def extract_shard(
    store: str,
    address: Mapping[str, Any],
    samples: int,
    samples_per_shard: int,
    clips: Mapping[str, Any],
    rows: Mapping[str, Any],
    shard: int,
    max_broken: float = 0.1,
) -> dict[str, Any]:
    """Fill a shard and return its receipt's facts; a shard that is done is left as it is.

    Args:
        store, address: of the set; made when it is not there.
        samples: the first so many of the dataset's ids.
        clips: `data`, `clip` and `views`, see `ClipSource.open`.
        rows: what they become: features, by `backbone` (arguments of `probe4d.load_backbone`), `layers` and
            `batch_size`; or targets, by `kinds` and `target_settings`.
        max_broken: a broken sample costs itself, up to this fraction of the set.

    Raises:
        DataError: the shard alone has more broken samples than the whole set may have.
    """
    started = time.perf_counter()
    source = ClipSource.open(**clips, samples=samples)
    made = Encoder(**rows) if "backbone" in rows else _Targets(**rows)
    opened = FeatureStore.create(
        store,
        FeatureAddress.from_json(address, store),
        ids=tuple(source.places),
        samples_per_shard=samples_per_shard,
        **made.shapes(source.sampling),
    )
    if opened.is_done(shard):
        return _facts(opened, shard, 0.0)
    ids = opened.shard_ids(shard)
    arrays, left_out = _rows(source, ids, made, Coverage(total=len(source.places), max_broken=max_broken))
    seconds = time.perf_counter() - started
    opened.write_shard(shard, arrays, ids, left_out, seconds=seconds, versions=_versions())
    return _facts(opened, shard, seconds)


def _rows(
    clips: ClipSource, ids: Sequence[str], made: Encoder | _Targets, coverage: Coverage
) -> tuple[dict[str, Array], list[LeftOut]]:
    """Return the shard's arrays, zeros where a sample is left out, and which those are."""
    places: list[int] = []

    def good() -> Iterator[Sample]:
        nonlocal coverage
        for position, sample_id in enumerate(ids):
            try:
                found = made.check(clips.of(sample_id))
            except DataError as error:
                coverage = coverage.without(sample_id, str(error))
                continue
            places.extend(range(position * len(clips.views), (position + 1) * len(clips.views)))
            yield from found

    parts = made.arrays(good(), clips.sampling)
    total = len(ids) * len(clips.views)
    left_out = [LeftOut(*item) for item in coverage.left_out]
    return {path: _placed(value, places, total) for path, value in parts.items()}, left_out


def _placed(value: Array, places: Sequence[int], total: int) -> Array:
    if len(places) == total:
        return value
    out = np.zeros((total, *value.shape[1:]), value.dtype)
    out[list(places)] = value
    return out


class _Targets:
    """Keeps targets of one kind."""

    def __init__(self, kinds: Sequence[str], target_settings: Mapping[str, Any]) -> None:
        if len(kinds) != 1:
            raise UsageError(f"kinds: expected one kind of targets for a set, got {list(kinds)}.")
        self.kind, self.settings = kinds[0], dict(target_settings)

    def shapes(self, sampling: ClipSampling) -> dict[str, Any]:
        """Return the store's arrays."""
        return {"layers": {}, "targets": target_shapes(self.kind, sampling, self.settings)}

    def check(self, clips: list[Sample]) -> list[Sample]:
        """Return the clips, if their targets can be stacked."""
        stack_targets(self.kind, clips, self.settings)
        return clips

    def arrays(self, clips: Iterator[Sample], sampling: ClipSampling) -> dict[str, Array]:
        """Return the rows by path of the store."""
        # One by one: pixels of a clip are let go before the next is read.
        rows = [stack_targets(self.kind, [clip], self.settings) for clip in clips]
        shapes = target_shapes(self.kind, sampling, self.settings)
        return {
            f"targets/{name}": np.concatenate([row[name] for row in rows] or [np.zeros((0, *shape), dtype)])
            for name, (shape, dtype) in shapes.items()
        }


def _facts(store: FeatureStore, shard: int, seconds: float) -> dict[str, Any]:
    receipt = store.done_receipt(shard)
    return {
        "shard": shard,
        "bytes": sum(file.bytes for file in receipt.files.values()),
        "left_out": [list(item) for item in receipt.left_out],
        "seconds": seconds,
    }


def _versions() -> dict[str, str]:
    return {"probe4d": importlib.metadata.version("probe4d"), "numpy": np.__version__}
