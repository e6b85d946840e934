"""Clips encoded by a backbone in batches of one shape, as the feature store's rows."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve

from probe4d import load_backbone
from probe4d.backbones import configured
from probe4d.contracts import Array, FrozenBackbone, Layer, Sample
from probe4d.errors import UsageError
from probe4d.registry import find
from probe4d.specs import BackboneSpec, ClipSampling, VideoInput
from probe4d_datasets.resize import resize_pixels

__all__ = ["Encoder", "fit_input"]


class Encoder:
    """Encodes clips by a backbone, kept loaded between the units of a process.

    Args:
        backbone: arguments of `probe4d.load_backbone`.
        batch_size: clips of one call of the backbone; the last call is filled up, so every shape is the same.
    """

    def __init__(self, backbone: Mapping[str, Any], layers: Sequence[Layer], batch_size: int) -> None:
        self.backbone, self.spec = _loaded(json.dumps(dict(backbone), sort_keys=True))
        self.layers, self.batch_size = tuple(layers), batch_size

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

    def encode(self, videos: Sequence[Array]) -> list[Array]:
        """Return `(b, t, k, c)` of each layer for any number of clips `(t, h, w, 3)`, already at the input's size."""
        size = self.batch_size
        parts = [self._encode(videos[start : start + size]) for start in range(0, len(videos), size)]
        return [np.concatenate(rows) for rows in zip(*parts, strict=True)]

    def _encode(self, batch: Sequence[Array]) -> tuple[Array, ...]:
        video = np.zeros((self.batch_size, *batch[0].shape), np.float32)
        for row, clip in zip(video, batch, strict=False):
            np.divide(clip, np.float32(255), out=row)
        return tuple(np.asarray(found)[: len(batch)] for found in self.backbone.encode(video, self.layers))


def fit_input(video: Array, wanted: VideoInput) -> Array:
    """Return the clip `(t, h, w, 3)` uint8 at the size that a backbone takes; pixels are resized by its own rule.

    Raises:
        UsageError: it has another number of frames.
    """
    frames, height, width, _ = video.shape
    if frames != wanted.frames:
        raise UsageError(f"clip: expected {wanted.frames} frames for this backbone, got {frames}.")
    if (height, width) == (wanted.height, wanted.width):
        return video
    return resize_pixels(video, (0.0, 0.0, float(width), float(height)), (wanted.height, wanted.width), wanted.resize)


@functools.lru_cache(maxsize=2)
def _loaded(arguments: str) -> tuple[FrozenBackbone, BackboneSpec]:
    stated = json.loads(arguments)
    options = {name: value for name, value in stated.items() if name not in ("name", "weights", "seed")}
    entry, _ = configured(find("backbones", stated["name"]), options)
    return load_backbone(**stated), entry.spec
