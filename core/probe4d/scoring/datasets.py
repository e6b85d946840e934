"""Targets straight from a dataset: `probe4d score TASK --data-root URL`, and what `probe4d data check --dump` writes.

They are those that a run scores against: of the task's evaluation clips, in the frame of the task (its crop, its
size), the rows that the task asks for. A task with several clips a sample has one `<sample>#<clip>` for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from probe4d.contracts import Arrays, Dataset, Kind, Sample
from probe4d.errors import DataError, UsageError
from probe4d.opening import open_dataset
from probe4d.registry import Entry, find, load_target, make
from probe4d.sampling import clip_indices, clip_places, clip_seed
from probe4d.scoring.source import Source, check_ids, digest_arrays
from probe4d.specs import ClipSampling

__all__ = ["Asked", "Clip", "DatasetSource", "asked_by", "open_task", "with_unit"]

EVALUATED = "probe4d_runners.targets:evaluated_fields"
SETTINGS = "probe4d/frozen"  # the protocol whose settings say which rows are asked for


@frozen(kw_only=True)
class Asked:
    """What is asked of the clips of a split.

    Attributes:
        sampling: how clips are cut; None for whole samples as they are.
        settings: which rows count; see `TrainingTargets`.
    """

    kind: Entry
    sampling: ClipSampling | None = None
    settings: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True, eq=False)
class Clip:
    """A clip, and which frames of its sample it has."""

    sample: Sample
    frames: tuple[int, ...]


def with_unit(meta: Mapping[str, Any], kind: Kind, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conventions of targets; lengths of a dataset that says it is not metric are `unscaled`."""
    unit = kind.meta("targets").get("unit")
    unscaled = facts.get("metric") is False and unit is not None and "unscaled" in unit.choices
    return {**meta, "unit": "unscaled"} if unscaled else dict(meta)


def asked_by(task: Entry) -> Asked:
    """Return what a task asks of its evaluation clips, by the settings of the paper's protocol."""
    settings = make(find("protocols", SETTINGS)).target_settings("evaluate")
    kind = find("kinds", task.spec.kind)
    return Asked(kind=kind, sampling=task.spec.evaluate_clip, settings=settings.get(kind.spec.name, {}))


def open_task(task: Entry, kind: Kind, data_root: str | None) -> Source:
    """Return the targets of the task's evaluation data, on its evaluation clips.

    Raises:
        UsageError: the dataset needs a root and none is given.
    """
    reference = task.spec.evaluate
    dataset = find("datasets", reference.dataset)
    options = dict(reference.options)
    if dataset.spec.needs_root and data_root is None:
        raise UsageError(
            f"--data-root: {dataset.name} needs it: the folder or URL where the data lie. {dataset.spec.access}"
        )
    if data_root is not None:
        options["root"] = data_root
    opened = open_dataset(dataset, reference.split, options)
    return DatasetSource(f"{dataset.name}/{reference.split}", opened, kind, asked_by(task))


class DatasetSource(Source):
    """The targets of a dataset's clips.

    Attributes:
        tolerant: a sample that cannot be read is left out and named; it does not end the run.
    """

    tolerant = True

    def __init__(self, name: str, dataset: Dataset, kind: Kind, asked: Asked, limit: int | None = None) -> None:
        self.name = name
        self._dataset, self._kind, self._asked = dataset, kind, asked
        spec = asked.kind.spec
        self._kind_name = spec.name
        self._training = load_target(spec.training, asked.kind.name)() if spec.training else None
        samples = check_ids(name, list(dataset.sample_ids())[:limit])
        sampling = asked.sampling
        self._places = clip_places(samples, sampling) if sampling else {one: (one, 0) for one in samples}
        self.ids = check_ids(name, self._places)
        self._total = hashlib.sha256()
        self.meta = self._stated()

    def load(self, sample_id: str) -> Arrays:
        """Return the targets of one clip."""
        arrays = self.targets(self.clip(sample_id))
        digest_arrays(self._total, sample_id, arrays)
        return arrays

    def digest(self) -> str:
        """Return the sha256 over the targets that were loaded, in order; see `digest_arrays`."""
        return self._total.hexdigest()

    def readable(self, sample_id: str) -> bool:
        """Say whether a clip has targets, without adding them to the digest."""
        try:
            self.targets(self.clip(sample_id))
        except DataError:
            return False
        return True

    def clip(self, clip_id: str, *, pixels: bool = False) -> Clip:
        """Return a clip in the frame of the task.

        Args:
            pixels: with the video; without, there is a video of the same shape and no content.

        Raises:
            DataError: it is missing or broken.
        """
        own_id, number = self._places[clip_id]
        length, sampling = self._dataset.num_frames(own_id), self._asked.sampling
        if sampling is None:
            return Clip(sample=self._dataset.load(own_id), frames=tuple(range(length)))
        seed = clip_seed(0, own_id, number)
        frames = clip_indices(length, sampling, seed, number)
        place = load_target(f"probe4d_datasets.clips:{'prepare' if pixels else 'place_targets'}")
        loaded = evolve(self._dataset.load(own_id, frames), id=clip_id)
        return Clip(sample=place(loaded, sampling, seed), frames=frames)

    def targets(self, clip: Clip) -> Arrays:
        """Return the targets of a clip as a target file has them.

        Raises:
            DataError: it has none of the kind, or nothing is asked of it.
        """
        sample = clip.sample
        if self._training is not None and self._asked.sampling is not None:
            fields = dict(load_target(EVALUATED)(self._training, sample, self._asked.settings))
        else:
            fields = dict(self._as_they_are(sample)[0])
        if "frame_ids" in self._kind.fields("targets"):
            # Predictions of the whole video may then say which of its frames are these.
            fields.setdefault("frame_ids", np.asarray(clip.frames))
        return fields

    def _as_they_are(self, sample: Sample) -> tuple[Arrays, Mapping[str, Any]]:
        """Return all targets of the kind and their conventions."""
        if self._kind_name not in sample.targets:
            got = ", ".join(sample.targets) or "none"
            raise DataError(
                f"{self.name}: sample {sample.id!r}: expected targets of kind {self._kind_name}, got {got}."
            )
        own = {name: np.asarray(value) for name, value in sample.targets[self._kind_name].items()}
        if not hasattr(self._kind, "from_dataset"):
            return own, {}
        fields, meta = self._kind.from_dataset(own, sample.video.shape[1:3])
        return fields, meta

    def _stated(self) -> dict[str, Any]:
        """Return the conventions of the targets."""
        if self._training is not None and self._asked.sampling is not None:
            meta = dict(self._training.file_meta("targets"))
        else:
            meta = self._first_meta()
        return with_unit(meta, self._kind, getattr(self._dataset, "facts", {}))

    def _first_meta(self) -> dict[str, Any]:
        for sample_id in self.ids:
            try:
                return dict(self._as_they_are(self.clip(sample_id).sample)[1])
            except DataError:
                continue  # `load` will name it
        raise DataError(f"{self.name}: expected at least one sample that can be read, got none.")
