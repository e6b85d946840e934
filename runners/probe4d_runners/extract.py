"""The unit that fills one shard of a stored set: clips cut, then encoded by a backbone or kept as targets."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen

from probe4d import load_backbone
from probe4d.contracts import Array, Dataset, FrozenBackbone, LeftOut, Sample
from probe4d.errors import DataError, UsageError
from probe4d.registry import find, make
from probe4d.specs import BackboneSpec, ClipSampling, VideoInput
from probe4d.store import FeatureAddress, FeatureStore
from probe4d_datasets.clips import clip_indices, clip_seed, prepare
from probe4d_datasets.coverage import Coverage
from probe4d_datasets.resize import resize_pixels
from probe4d_runners.targets import stack_targets, target_shapes

__all__ = ["extract_shard", "fit_input"]


@frozen(kw_only=True)
class _Clips:
    """Where the clips of a set come from."""

    dataset: Dataset
    sampling: ClipSampling
    views: tuple[int, ...]

    def of(self, sample_id: str) -> list[Sample]:
        """Return a clip of the sample per view.

        Raises:
            DataError: the sample is missing or broken.
        """
        return [self._clip(sample_id, view) for view in self.views]

    def _clip(self, sample_id: str, view: int) -> Sample:
        seed = clip_seed(view, sample_id, 0)
        length = self.dataset.num_frames(sample_id)
        frames = clip_indices(length, self.sampling, seed, view % self.sampling.clips)
        return prepare(self.dataset.load(sample_id, frames), self.sampling, seed)


def extract_shard(
    store: str,
    address: Mapping[str, Any],
    samples: int,
    samples_per_shard: int,
    data: Mapping[str, Any],
    clip: Mapping[str, Any],
    views: Sequence[int],
    shard: int,
    backbone: Mapping[str, Any] | None = None,
    layers: Sequence[float | int] = (),
    batch_size: int = 1,
    kinds: Sequence[str] = (),
    target_settings: Mapping[str, Any] | None = None,
    max_broken: float = 0.1,
) -> dict[str, Any]:
    """Fill a shard and return its receipt's facts; a shard that is done is left as it is.

    Args:
        store, address: of the set; made when it is not there.
        samples: the first so many of the dataset's ids.
        data: `dataset`, `split` and `options` it is opened with.
        clip, views: how clips are cut, and the seed of each view.
        backbone: arguments of `probe4d.load_backbone`; without one the set holds targets of `kinds`.
        batch_size: clips of one call of the backbone; the last call is filled up, so every shape is the same.
        max_broken: a broken sample costs itself, up to this fraction of the set.

    Raises:
        DataError: the shard alone has more broken samples than the whole set may have.
    """
    started = time.perf_counter()
    entry = find("datasets", data["dataset"])
    dataset = make(entry, split=data["split"], **data["options"])
    sampling = ClipSampling(**clip)
    clips = _Clips(dataset=dataset, sampling=sampling, views=tuple(views))
    made = _Encoder(backbone, tuple(layers), batch_size) if backbone is not None else _Targets(kinds, target_settings)
    opened = FeatureStore.create(
        store,
        FeatureAddress.from_json(address, store),
        ids=dataset.sample_ids()[:samples],
        samples_per_shard=samples_per_shard,
        **made.shapes(sampling),
    )
    if opened.is_done(shard):
        return _facts(opened, shard, 0.0)
    ids = opened.shard_ids(shard)
    rows, left_out = _rows(clips, ids, made, Coverage(total=samples, max_broken=max_broken))
    seconds = time.perf_counter() - started
    opened.write_shard(shard, rows, ids, left_out, seconds=seconds, versions=_versions())
    return _facts(opened, shard, seconds)


def _rows(
    clips: _Clips, ids: Sequence[str], made: _Encoder | _Targets, coverage: Coverage
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

    def __init__(self, kinds: Sequence[str], settings: Mapping[str, Any] | None) -> None:
        if len(kinds) != 1:
            raise UsageError(f"kinds: expected one kind of targets for a set, got {list(kinds)}.")
        self.kind, self.settings = kinds[0], dict(settings or {})

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


class _Encoder:
    """Encodes clips by a backbone, kept loaded between the units of a process."""

    def __init__(self, backbone: Mapping[str, Any], layers: tuple[float | int, ...], batch_size: int) -> None:
        self.backbone, self.spec = _loaded(json.dumps(dict(backbone), sort_keys=True))
        self.layers, self.batch_size = layers, batch_size

    def shapes(self, _sampling: ClipSampling) -> dict[str, Any]:
        """Return the store's arrays."""
        grid = self.spec.tokens
        return {"layers": dict.fromkeys(self.layers, (grid.time, grid.space, grid.channels))}

    def check(self, clips: list[Sample]) -> list[Sample]:
        """Return the clips, brought to what the backbone takes."""
        return [evolve(clip, video=fit_input(clip.video, self.spec.input), targets={}) for clip in clips]

    def arrays(self, clips: Iterator[Sample], _sampling: ClipSampling) -> dict[str, Array]:
        """Return the rows by path of the store."""
        encoded: list[tuple[Array, ...]] = []
        batch: list[Array] = []
        for clip in clips:
            batch.append(clip.video)
            if len(batch) == self.batch_size:
                encoded.append(self._encode(batch))
                batch = []
        if batch:
            encoded.append(self._encode(batch))
        grid = self.spec.tokens
        empty = np.zeros((0, grid.time, grid.space, grid.channels), np.float32)
        return {
            f"layers/{layer!r}/features": np.concatenate([rows[i] for rows in encoded] or [empty])
            for i, layer in enumerate(self.layers)
        }

    def _encode(self, batch: list[Array]) -> tuple[Array, ...]:
        video = np.zeros((self.batch_size, *batch[0].shape), np.float32)
        for row, clip in zip(video, batch, strict=False):
            np.divide(clip, np.float32(255), out=row)
        return tuple(np.asarray(found)[: len(batch)] for found in self.backbone.encode(video, self.layers))


def fit_input(video: Array, wanted: VideoInput) -> Array:
    """Return the clip `(t, h, w, 3)` uint8 at the size that a backbone takes; only pixels are resized.

    Raises:
        UsageError: it has another number of frames.
    """
    frames, height, width, _ = video.shape
    if frames != wanted.frames:
        raise UsageError(f"clip: expected {wanted.frames} frames for this backbone, got {frames}.")
    if (height, width) == (wanted.height, wanted.width):
        return video
    return resize_pixels(video, (0.0, 0.0, float(width), float(height)), (wanted.height, wanted.width))


@functools.lru_cache(maxsize=2)
def _loaded(arguments: str) -> tuple[FrozenBackbone, BackboneSpec]:
    stated = json.loads(arguments)
    spec: BackboneSpec = find("backbones", stated["name"]).spec
    return load_backbone(**stated), spec


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
