"""What would be cached for data or weights that are not here yet: counted by the published number of samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from attrs import frozen

from probe4d.contracts import Layer
from probe4d.planning.costs import BYTES
from probe4d.planning.resolve import Backbone, Protocol, Task, layers_of
from probe4d.registry import Registry
from probe4d.sampling import clips_per_sample
from probe4d.specs import ClipSampling, DataRef
from probe4d.suites import Suite

__all__ = ["Expected", "expected_sets"]


@frozen(kw_only=True)
class Expected:
    """Features that a backbone's clips of one split would be.

    Attributes:
        samples: as published.
        bytes: of all clips, views and layers; 0 where the protocol streams them.
    """

    backbone: str
    dataset: str
    split: str
    samples: int
    clips: int
    views: int
    layers: tuple[Layer, ...]
    bytes: int


def expected_sets(
    blocked: Iterable[tuple[Backbone, Task, Protocol]], suite: Suite, registry: Registry, limit: int | None
) -> tuple[Expected, ...]:
    """Return the sets of what cannot run yet, each once; those of data without a published size are left out."""
    found: dict[Expected, None] = {}
    for backbone, task, protocol in blocked:
        settings = protocol.settings
        layers = layers_of(suite, backbone, task, protocol)
        parts: tuple[tuple[DataRef, ClipSampling, int], ...] = (
            (task.spec.train, task.spec.train_clip, settings.views),
            (task.spec.evaluate, task.spec.evaluate_clip, 1),
        )
        for ref, sampling, views in parts:
            entry = registry.find("datasets", ref.dataset)
            published: Mapping[str, int] = entry.spec.published
            if ref.split not in published:
                continue
            samples = min(published[ref.split], limit or published[ref.split])
            clips = samples * clips_per_sample(sampling)
            clips = min(clips, sampling.total or clips)
            grid = backbone.spec.tokens
            row = math.prod((grid.time, grid.space, grid.channels)) * BYTES[settings.dtype]
            one = Expected(
                backbone=backbone.ref.label,
                dataset=entry.name,
                split=ref.split,
                samples=samples,
                clips=clips,
                views=views,
                layers=layers,
                bytes=clips * views * len(layers) * row,
            )
            found[one] = None
    return tuple(found)
