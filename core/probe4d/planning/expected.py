"""What cannot run yet for want of data or weights: which cells, and their cost by the published number of samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from attrs import frozen

from probe4d.contracts import Layer
from probe4d.planning.costs import BYTES, encode_seconds, finetune_seconds, readout_seconds
from probe4d.planning.preflight import Problem
from probe4d.planning.resolve import Backbone, Protocol, Task, layers_of
from probe4d.registry import Registry
from probe4d.sampling import clips_per_sample
from probe4d.specs import ClipSampling, DataRef
from probe4d.suites import Suite

__all__ = ["Blocked", "Expected", "blocked_cell", "expected_sets"]

Triple: TypeAlias = tuple[Backbone, Task, Protocol]


class Blocked(NamedTuple):
    """A backbone on a task under a protocol that cannot run yet.

    Attributes:
        lacks: what is missing, in a few words each.
        bytes: of the features that it would cache, shared with other tasks where their clips are the same.
        seconds: of encoding and training readouts, or of finetuning, on this machine; None where no size is published.
    """

    backbone: str
    task: str
    protocol: str
    layers: tuple[Layer, ...]
    lacks: tuple[str, ...]
    bytes: int
    seconds: float | None


@frozen(kw_only=True)
class Expected:
    """Features that a backbone's clips of one split would be.

    Attributes:
        samples: as published.
        bytes: of all clips, views and layers; `seconds` of encoding them on this machine.
    """

    backbone: str
    dataset: str
    split: str
    samples: int
    clips: int
    views: int
    layers: tuple[Layer, ...]
    bytes: int
    seconds: float


def expected_sets(
    blocked: Iterable[Triple], suite: Suite, registry: Registry, limit: int | None
) -> tuple[Expected, ...]:
    """Return the sets of what cannot run yet, each once.

    Those of data without a published size are left out, and those of protocols that cache nothing.
    """
    return tuple(
        dict.fromkeys(one for triple in blocked for one in _sets(triple, suite, registry, limit) if one is not None)
    )


def blocked_cell(
    triple: Triple, problems: Iterable[Problem], suite: Suite, registry: Registry, limit: int | None
) -> Blocked:
    """Return what one of them lacks and what it would cost."""
    backbone, task, protocol = triple
    sets = [one for one in _sets(triple, suite, registry, limit) if one is not None]
    seconds = _training_seconds(triple, sets, suite, registry, limit)
    return Blocked(
        backbone=backbone.ref.label,
        task=task.name,
        protocol=protocol.name,
        layers=layers_of(suite, backbone, task, protocol),
        lacks=tuple(dict.fromkeys(problem.lacks or "see below" for problem in problems)),
        bytes=sum(one.bytes for one in sets),
        seconds=seconds,
    )


def _sets(triple: Triple, suite: Suite, registry: Registry, limit: int | None) -> Sequence[Expected | None]:
    """Return the features of the training and the evaluation split; none where they are not cached."""
    backbone, task, protocol = triple
    settings, spec = protocol.settings, task.spec
    if settings.views == 0:
        return ()
    layers, grid = layers_of(suite, backbone, task, protocol), backbone.spec.tokens
    row = math.prod((grid.time, grid.space, grid.channels)) * BYTES[settings.dtype]

    def one(ref: DataRef, sampling: ClipSampling, views: int) -> Expected | None:
        counted = _clips(ref, sampling, registry, limit)
        if counted is None:
            return None
        samples, clips = counted
        return Expected(
            backbone=backbone.ref.label,
            dataset=registry.find("datasets", ref.dataset).name,
            split=ref.split,
            samples=samples,
            clips=clips,
            views=views,
            layers=layers,
            bytes=clips * views * len(layers) * row,
            seconds=encode_seconds(backbone.spec, clips * views),
        )

    return one(spec.train, spec.train_clip, settings.views), one(spec.evaluate, spec.evaluate_clip, 1)


def _training_seconds(
    triple: Triple, sets: Sequence[Expected], suite: Suite, registry: Registry, limit: int | None
) -> float | None:
    """Return the time of all that a sweep is, features included; None where no size is published.

    Args:
        sets: of features that it would cache.
    """
    backbone, task, protocol = triple
    evaluated = _clips(task.spec.evaluate, task.spec.evaluate_clip, registry, limit)
    if evaluated is None or len(sets) == 1:
        return None
    settings, layers = protocol.settings, layers_of(suite, backbone, task, protocol)
    if protocol.spec.mode == "finetune":
        return finetune_seconds(backbone.spec, settings.examples(), evaluated[1], len(settings.members(layers)))
    members = len(settings.learning_rates) * len(layers)
    readouts = readout_seconds(task.spec, settings, backbone.spec.tokens, evaluated[1], members) or 0.0
    if sets:
        return readouts + sum(one.seconds for one in sets)
    return readouts + encode_seconds(backbone.spec, settings.examples() + evaluated[1])


def _clips(ref: DataRef, sampling: ClipSampling, registry: Registry, limit: int | None) -> tuple[int, int] | None:
    """Return samples and clips of a split as published; None where nobody published them."""
    published: Mapping[str, int] = registry.find("datasets", ref.dataset).spec.published
    if ref.split not in published:
        return None
    samples = min(published[ref.split], limit or published[ref.split])
    clips = samples * clips_per_sample(sampling)
    return samples, min(clips, sampling.total or clips)
