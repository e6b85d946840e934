"""The frames that predictions were made for, made or read again where their dataset is at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import define, field

from probe4d.contracts import Array, Dataset
from probe4d.errors import DataError, Probe4dError
from probe4d.opening import open_dataset
from probe4d.records import Record
from probe4d.registry import find
from probe4d.sampling import clip_indices, clip_seed, sample_of
from probe4d.specs import ClipSampling

__all__ = ["FrameReader"]

MOST_CLIPS = 24  # so many are read for one report; pictures beyond stand on a grid


@define
class FrameReader:
    """Clips of evaluation splits, each read once."""

    _datasets: dict[str, Dataset] = field(factory=dict)
    _problems: dict[str, str] = field(factory=dict)
    _clips: dict[tuple[str, str], Array | None] = field(factory=dict)

    def clip(self, record: Record, sample_id: str) -> Array | None:
        """Return the pixels `(t, h, w, 3)` uint8 of the clip that the cell was evaluated on, or None."""
        key = _key(record)
        if (key, sample_id) not in self._clips:
            if key in self._problems or len(self._clips) >= MOST_CLIPS:
                return None
            try:
                self._clips[key, sample_id] = self._read(key, record, sample_id)
            except (Probe4dError, OSError, TypeError, KeyError) as error:
                self._problems[key] = str(error) or type(error).__name__
                return None
        return self._clips[key, sample_id]

    def problem(self, record: Record) -> str:
        """Return why there are no frames; empty where nothing went wrong."""
        return self._problems.get(_key(record), "")

    def _read(self, key: str, record: Record, sample_id: str) -> Array:
        from probe4d_datasets.clips import prepare

        data = _data(record)
        if key not in self._datasets:
            entry = find("datasets", str(data["dataset"]))
            _check_version(f"{entry.distribution} {entry.version}", str(data.get("version", "")))
            self._datasets[key] = open_dataset(entry, data["split"], data["options"])
        dataset = self._datasets[key]
        sampling = ClipSampling(**data["clip"])
        own_id = sample_of(sample_id, sampling)
        number = 0 if own_id == sample_id else int(sample_id.rpartition("#")[2])
        seed = clip_seed(0, own_id, number)  # evaluation splits have one view, of seed 0
        frames = clip_indices(dataset.num_frames(own_id), sampling, seed, number)
        return np.asarray(prepare(dataset.load(own_id, frames), sampling, seed).video)


def _key(record: Record) -> str:
    data = record.content.get("data", {}).get("evaluate", {})
    return json.dumps([data.get(name) for name in ("dataset", "split", "options", "clip")], sort_keys=True)


def _data(record: Record) -> Mapping[str, Any]:
    data = record.content.get("data", {}).get("evaluate")
    if not isinstance(data, Mapping) or not {"dataset", "split", "options", "clip"} <= set(data):
        raise DataError("data.evaluate: expected dataset, split, options and clip, got less.")
    return data


def _check_version(installed: str, recorded: str) -> None:
    if recorded and not recorded.startswith(installed):
        raise DataError(f"expected the dataset as {recorded} reads it, got {installed}. Other versions may differ.")
