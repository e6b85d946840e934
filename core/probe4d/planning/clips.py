"""The clips that a plan needs: one split of one dataset, cut one way, in so many views."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.errors import NothingSelectedError, UsageError, did_you_mean
from probe4d.opening import open_dataset, revision_of
from probe4d.registry import Entry, Registry, load_target
from probe4d.sampling import clip_places
from probe4d.specs import ClipSampling, DataRef, DatasetSpec
from probe4d.suites import Suite

__all__ = ["Clips", "clips_of", "options_of"]


@frozen(kw_only=True)
class Clips:
    """Samples of a split and how clips are cut from them; hashable, so that tasks may share one.

    Attributes:
        dataset: canonical name; `options` what it is opened with, as sorted pairs of name and JSON.
        version: of the distribution that reads it, with the dataset's own revision where it has one.
        views: seed of each view of a clip.
        ids: of the clips; see `probe4d.sampling`.
        samples: how many samples they are of.
        facts: what the dataset says of itself for the record, as JSON text; see `DatasetExtras`.
    """

    dataset: str
    split: str
    options: tuple[tuple[str, str], ...]
    version: str
    sampling: ClipSampling
    views: tuple[int, ...]
    ids: tuple[str, ...] = field(repr=False)
    samples: int
    facts: str = field(default="{}", repr=False)

    def arguments(self) -> dict[str, Any]:
        """Return what a unit needs to cut them, as plain JSON values; `ids` are the unit's own."""
        return {
            "data": {"dataset": self.dataset, "split": self.split, "options": _thawed(self.options)},
            "clip": attrs.asdict(self.sampling),
            "views": list(self.views),
        }


def clips_of(
    ref: DataRef,
    sampling: ClipSampling,
    views: tuple[int, ...],
    *,
    suite: Suite,
    registry: Registry,
    roots: Mapping[str, str],
    limit: int | None = None,
) -> Clips:
    """Return the clips of a task's data reference under a suite.

    Args:
        roots: by dataset name, where its data lie.
        limit: take the first so many samples only.

    Raises:
        MissingRootError: the dataset needs a root and `roots` has none.
        UsageError: the dataset does not take an option of the suite.
        NothingSelectedError: the split is empty.
    """
    entry = registry.find("datasets", ref.dataset)
    options = options_of(ref, suite, registry, roots)
    opened = open_dataset(entry, ref.split, options)
    samples = opened.sample_ids()[:limit]
    if not samples:
        raise NothingSelectedError(f"{entry.name}:{ref.split}: expected samples, got none.")
    return Clips(
        dataset=entry.name,
        split=ref.split,
        options=_frozen(options),
        version=revision_of(entry, opened),
        sampling=sampling,
        views=views,
        ids=tuple(clip_places(samples, sampling)),
        samples=len(samples),
        facts=json.dumps(_plain(getattr(opened, "facts", {})), sort_keys=True),
    )


def options_of(ref: DataRef, suite: Suite, registry: Registry, roots: Mapping[str, str]) -> dict[str, Any]:
    """Return what a task's dataset is opened with: the task's options, the suite's, and the root."""
    entry = registry.find("datasets", ref.dataset)
    root = roots.get(entry.spec.name, roots.get(entry.name))
    said = {**ref.options, **_suite_options(suite, entry, ref.split)}
    return said if root is None else {**said, "root": root}


def _suite_options(suite: Suite, entry: Entry, split: str) -> dict[str, Any]:
    """Return the suite's `[data.<dataset>]`: options for all splits, then those of this one."""
    spec: DatasetSpec = entry.spec
    said: dict[str, Any] = {}
    for name in (spec.name, entry.name):
        table = suite.data.get(name, {})
        own: Mapping[str, Any] = {}
        for key, value in table.items():
            if not isinstance(value, Mapping) or (key not in spec.splits and key in _parameters(entry)):
                said[key] = value
            elif spec.splits and key not in spec.splits:
                near = did_you_mean(key, spec.splits)
                raise UsageError(f"suite {suite.name!r}: data.{name}.{key}: {name} has no such split.{near}")
            elif key == split:
                own = value
        said.update(own)
    return said


def _parameters(entry: Entry) -> frozenset[str]:
    """Return the options that a dataset takes by name: a table may be one of them, or a split's options."""
    return frozenset(inspect.signature(load_target(entry.spec.target)).parameters)


def _frozen(options: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return options as sorted pairs of name and JSON text, which can be hashed and lose nothing."""
    return tuple(sorted((key, json.dumps(_plain(value), sort_keys=True)) for key, value in options.items()))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _thawed(options: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {key: json.loads(text) for key, text in options}
