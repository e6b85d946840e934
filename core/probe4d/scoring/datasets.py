"""Targets straight from a dataset: `probe4d score TASK --data-root URL`.

They are the dataset's own, uncropped and at its resolution, on the frames of the task's evaluation clips.
A task with several clips a video has a sample `<id>#<clip>` for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from probe4d.contracts import Arrays, Dataset, Kind
from probe4d.errors import DataError, UsageError
from probe4d.registry import Entry, find, make
from probe4d.scoring.source import Source, check_ids, digest_arrays
from probe4d.specs import ClipSampling

__all__ = ["DatasetSource", "open_task"]


def open_task(task: Entry, kind: Kind, data_root: str | None) -> Source:
    """Return the targets of the task's evaluation data, on its evaluation clips.

    Raises:
        UsageError: the dataset needs a root and none is given, or the clips are not fixed.
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
    opened: Dataset = make(dataset, split=reference.split, **options)
    return DatasetSource(f"{dataset.name}/{reference.split}", opened, kind, task)


class DatasetSource(Source):
    """The dataset's samples, each on the frames of its evaluation clip.

    Attributes:
        tolerant: a sample that cannot be read is left out and named; it does not end the run.
    """

    tolerant = True

    def __init__(self, name: str, dataset: Dataset, kind: Kind, task: Entry) -> None:
        self.name = name
        self._dataset = dataset
        self._kind = kind
        self._kind_name = str(task.spec.kind).rpartition("/")[2]
        self._clip: ClipSampling = task.spec.evaluate_clip
        self._places = _clips(check_ids(name, dataset.sample_ids()), self._clip)
        self.ids = check_ids(name, self._places)
        self._total = hashlib.sha256()
        self.meta = self._first_meta()

    def _first_meta(self) -> dict[str, Any]:
        for sample_id in self.ids:
            try:
                return self._targets(sample_id)[1]
            except DataError:
                continue  # `load` will name it
        raise DataError(f"{self.name}: expected at least one sample that can be read, got none.")

    def _targets(self, sample_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        own_id, clip = self._places[sample_id]
        frames = clip_frames(self._clip, self._dataset.num_frames(own_id), clip)
        sample = self._dataset.load(own_id, frames)
        if self._kind_name not in sample.targets:
            got = ", ".join(sample.targets) or "none"
            raise DataError(
                f"{self.name}: sample {sample_id!r}: expected targets of kind {self._kind_name}, got {got}."
            )
        own = {name: np.asarray(value) for name, value in sample.targets[self._kind_name].items()}
        meta: dict[str, Any] = {}
        if hasattr(self._kind, "from_dataset"):
            fields, stated = self._kind.from_dataset(own, sample.video.shape[1:3])
            own, meta = dict(fields), dict(stated)
        if "frame_ids" in self._kind.fields("targets"):
            # Predictions of the whole video may then say which of its frames are these.
            own.setdefault("frame_ids", np.asarray(frames))
        return own, meta

    def load(self, sample_id: str) -> Arrays:
        """Return the targets of one sample."""
        arrays = self._targets(sample_id)[0]
        digest_arrays(self._total, sample_id, arrays)
        return arrays

    def digest(self) -> str:
        """Return the sha256 over the targets that were loaded, in order; see `digest_arrays`."""
        return self._total.hexdigest()


def _clips(sample_ids: Sequence[str], clip: ClipSampling) -> dict[str, tuple[str, int]]:
    """Return each clip's id with the sample and the number of the clip in it."""
    if clip.start != "even" or clip.clips == 1:
        return {sample_id: (sample_id, 0) for sample_id in sample_ids}
    return {f"{sample_id}#{number}": (sample_id, number) for sample_id in sample_ids for number in range(clip.clips)}


def clip_frames(clip: ClipSampling, length: int, number: int = 0) -> Sequence[int]:
    """Return the frames of an evaluation clip; one that is longer than its video repeats the last frame.

    Args:
        length: frames of the video.
        number: which of `clip.clips` evenly spaced ones.

    Raises:
        UsageError: the clip has no fixed start.
    """
    room = max(0, length - (clip.frames - 1) * clip.stride - 1)
    starts = {"first": 0, "center": room // 2, "even": round(room * (number + 0.5) / clip.clips)}
    if clip.start not in starts:
        raise UsageError(
            f"evaluation clip: expected a start of {', '.join(starts)}, got {clip.start!r}. "
            "Export the targets of your clips to a file, and score against it."
        )
    return [min(starts[clip.start] + i * clip.stride, length - 1) for i in range(clip.frames)]
