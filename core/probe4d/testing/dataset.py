"""Checks of a dataset: the same ids and the same samples, however often and in whatever part."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from attrs import frozen

from probe4d import contracts
from probe4d.errors import DataError
from probe4d.testing.arrays import equal, names, require_finite, require_refusal
from probe4d.testing.battery import Checks
from probe4d.testing.result import require, skip
from probe4d.testing.subject import Subject
from probe4d.testing.writes import no_writes

__all__ = ["DATASET", "DatasetSubject"]

SAMPLES = 3  # samples looked at per split


@frozen
class Target:
    """A target field of a sample: its axes, dtype kinds, and the field that says where it counts."""

    dims: str
    dtypes: str = "f"
    valid: str | None = None
    required: bool = True


# The target fields that `contracts.Sample` describes. A kind that is not here is held to its own `fields("targets")`.
SAMPLE_FIELDS: Mapping[str, Mapping[str, Target]] = {
    "points": {
        "tracks": Target("n t 2", valid="visible"),
        "visible": Target("n t", "b"),
        "query_points": Target("n 3", "fiu", required=False),
    },
    "boxes": {"boxes": Target("n t 4", valid="present"), "present": Target("n t", "b", required=False)},
    "depth": {"depth": Target("t h w", valid="valid"), "valid": Target("t h w", "b", required=False)},
    "pose": {"extrinsics": Target("t 3 4"), "intrinsics": Target("t 3 3", required=False)},
    "labels": {"label": Target("", "iu")},
}


class Loaded(NamedTuple):
    """A sample, the id that it was asked for by, and the split that it is of."""

    split: contracts.Dataset
    id: str
    sample: contracts.Sample


class DatasetSubject(Subject):
    """A dataset with all its splits opened."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits to open."""
        return tuple(self.spec.splits or self.given.splits.get(self.spec.name, ()))

    def open(self, split: str) -> contracts.Dataset:
        """Return a newly opened split."""
        root = self.given.roots.get(self.spec.name)
        if self.spec.needs_root and root is None:
            skip(f"needs the data: give roots={{{self.spec.name!r}: URL}}")
        opened: contracts.Dataset = self.construct(root=root, split=split)
        return opened

    @cached_property
    def opened(self) -> dict[str, contracts.Dataset]:
        """The splits, by name."""
        if not self.splits:
            skip(f"it names no split: give splits={{{self.spec.name!r}: (…,)}}")
        return {split: self.open(split) for split in self.splits}

    @cached_property
    def samples(self) -> list[Loaded]:
        """The first samples of each split."""
        asked = [(split, id_) for split in self.opened.values() for id_ in list(split.sample_ids())[:SAMPLES]]
        return [Loaded(split, id_, split.load(id_)) for split, id_ in asked]

    @cached_property
    def first(self) -> Loaded:
        """One sample."""
        if not self.samples:
            skip("it has no samples")
        return self.samples[0]

    def fields(self, kind: str) -> Mapping[str, Target]:
        """Return the target fields of a kind."""
        if kind in SAMPLE_FIELDS:
            return SAMPLE_FIELDS[kind]
        stated, _ = self.kind(kind)
        return {
            name: Target(field.dims, field.dtypes, required=field.required)
            for name, field in stated.fields("targets").items()
        }


DATASET: Checks[DatasetSubject] = Checks()


@DATASET()
def every_split_opens(subject: DatasetSubject) -> None:
    """The target opens each split, and what it opens is a Dataset."""
    for split, opened in subject.opened.items():
        require(isinstance(opened, contracts.Dataset), f"split {split!r}: expected a Dataset, got {opened!r}")


@DATASET("every_split_opens")
def every_split_has_samples(subject: DatasetSubject) -> None:
    """No split is empty."""
    for split, opened in subject.opened.items():
        require(len(opened.sample_ids()) > 0, f"split {split!r}: expected samples, got none")


@DATASET("every_split_opens")
def ids_are_unique_and_stable(subject: DatasetSubject) -> None:
    """Ids are non-empty strings, each once, and the same in the same order when opened again."""
    for split, opened in subject.opened.items():
        ids = list(opened.sample_ids())
        where = f"split {split!r}"
        require(all(isinstance(one, str) and one for one in ids), f"{where}: expected non-empty strings, got {ids[:3]}")
        require(len(set(ids)) == len(ids), f"{where}: expected each id once, got {len(ids) - len(set(ids))} repeated")
        require(list(subject.open(split).sample_ids()) == ids, f"{where}: expected the same ids again, got others")


@DATASET("every_split_has_samples")
def load_is_deterministic(subject: DatasetSubject) -> None:
    """The same id gives the same sample to the last bit, from a dataset opened again too."""
    for split, opened in subject.opened.items():
        id_ = next(iter(opened.sample_ids()))
        one, other = opened.load(id_), subject.open(split).load(id_)
        require(_same(one, other), f"split {split!r}, sample {id_!r}: expected the same sample twice, got others")


@DATASET("every_split_has_samples")
def video_is_uint8_of_the_stated_length(subject: DatasetSubject) -> None:
    """`video` is (t, h, w, 3) uint8, and t is `num_frames`."""
    for opened, id_, sample in subject.samples:
        video, frames = sample.video, opened.num_frames(id_)
        ok = video.ndim == 4 and video.shape[3] == 3 and video.dtype == np.uint8
        require(ok, f"sample {sample.id!r}: expected (t, h, w, 3) uint8, got {video.shape} {video.dtype}")
        require(len(video) == frames, f"sample {sample.id!r}: num_frames says {frames}, the video has {len(video)}")


@DATASET("every_split_has_samples")
def a_sample_has_the_id_asked_for(subject: DatasetSubject) -> None:
    """`load(id).id` is the id."""
    for _, id_, sample in subject.samples:
        require(sample.id == id_, f"load({id_!r}): expected that id, got {sample.id!r}")


@DATASET("every_split_has_samples")
def targets_are_of_the_declared_kinds(subject: DatasetSubject) -> None:
    """The targets have the kinds of the spec, their fields, ranks and dtypes; axes of one name are of one size."""
    kinds = set(subject.spec.kinds)
    for _, _, sample in subject.samples:
        surplus = set(sample.targets) - kinds
        require(not surplus, f"sample {sample.id!r}: the spec does not declare {names(surplus)}")
        for kind, targets in sample.targets.items():
            _check_fields(f"sample {sample.id!r}, {kind}", targets, subject.fields(kind), len(sample.video))
    found = {kind for _, _, sample in subject.samples for kind in sample.targets}
    require(found == kinds, f"expected targets of {names(kinds)}, got those of {names(found)}")


@DATASET("targets_are_of_the_declared_kinds")
def targets_are_finite_where_they_count(subject: DatasetSubject) -> None:
    """Coordinates and depths are finite wherever the sample says that they are valid."""
    for _, _, sample in subject.samples:
        for kind, targets in sample.targets.items():
            for name, field in subject.fields(kind).items():
                if name in targets:
                    mask = targets.get(field.valid) if field.valid else None
                    values = targets[name] if mask is None else np.asarray(targets[name])[np.asarray(mask)]
                    require_finite(f"sample {sample.id!r}, {kind}.{name}", values)


@DATASET("load_is_deterministic", "targets_are_of_the_declared_kinds")
def frames_select(subject: DatasetSubject) -> None:
    """`load(id, frames)` is the whole sample's video and targets at these frames, in that order, repeats allowed.

    Which points are asked for, and which boxes count, may hang on the first of the frames: targets
    are compared where that is the sample's own.
    """
    opened, id_, whole = subject.first
    last = len(whole.video) - 1
    for frames in ([last, 0, 0], [0, last, 0]):
        part = opened.load(id_, frames)
        same = np.array_equal(part.video, whole.video[frames])
        require(same, f"frames {frames}: expected video[{frames}], got others")
        for kind, targets in whole.targets.items() if frames[0] == 0 else ():
            for name, field in subject.fields(kind).items():
                dims = field.dims.split()
                if name in targets and "t" in dims:
                    want = np.take(np.asarray(targets[name]), frames, axis=dims.index("t"))
                    got = part.targets[kind][name]
                    require(equal(got, want), f"frames {frames}: expected {kind}.{name} at these frames, got others")


@DATASET("every_split_opens")
def an_unknown_id_is_refused(subject: DatasetSubject) -> None:
    """An id that is not there raises DataError from `load` and `num_frames`."""
    opened = next(iter(subject.opened.values()))
    require_refusal("load of an unknown id", DataError, lambda: opened.load("no such sample"))
    require_refusal("num_frames of an unknown id", DataError, lambda: opened.num_frames("no such sample"))


@DATASET("every_split_has_samples")
def a_frame_out_of_range_is_refused(subject: DatasetSubject) -> None:
    """A frame at or beyond the end, or before the start, raises DataError."""
    opened, id_, sample = subject.first
    for frame in (len(sample.video), -1):
        require_refusal(f"frame {frame}", DataError, lambda frame=frame: opened.load(id_, [frame]))


@DATASET("load_is_deterministic")
def an_opened_split_pickles(subject: DatasetSubject) -> None:
    """A dataset goes through pickle to a worker, and gives the same there; it holds no open handle."""
    opened, id_, sample = subject.first
    copy: contracts.Dataset = pickle.loads(pickle.dumps(opened))  # noqa: S301 - ours to ourselves
    require(list(copy.sample_ids()) == list(opened.sample_ids()), "after pickle: expected the same ids, got others")
    require(_same(copy.load(id_), sample), "after pickle: expected the same sample, got another")


@DATASET("every_split_has_samples")
def nothing_is_written_outside_the_cache(subject: DatasetSubject) -> None:
    """Opening and loading write files nowhere but in PROBE4D_CACHE_DIR."""
    id_ = subject.first.id
    with no_writes() as outside:
        subject.open(subject.splits[0]).load(id_)
    require(not outside, f"expected no file outside the cache, got {', '.join(outside)}")


def _same(one: contracts.Sample, other: contracts.Sample) -> bool:
    return one.id == other.id and equal(one.video, other.video) and equal(one.targets, other.targets)


def _check_fields(where: str, targets: contracts.Arrays, fields: Mapping[str, Target], frames: int) -> None:
    missing = {name for name, field in fields.items() if field.required} - set(targets)
    require(not missing, f"{where}: expected {names(missing)}, got {names(targets)}")
    sizes: dict[str, Any] = {"t": frames}
    for name, field in fields.items():
        if name not in targets:
            continue
        array = np.asarray(targets[name])
        dims = field.dims.split()
        require(array.ndim == len(dims), f"{where}.{name}: expected ({field.dims}), got {array.shape}")
        require(array.dtype.kind in field.dtypes, f"{where}.{name}: expected dtype {field.dtypes}, got {array.dtype}")
        for dim, size in zip(dims, array.shape, strict=True):
            want = int(dim) if dim.isdigit() else sizes.setdefault(dim, size)
            require(size == want, f"{where}.{name}: expected {dim} = {want}, got {array.shape}")
