"""Whether a dataset lies as its loader expects: what is missing, what is broken, what the samples are like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import asdict, field, frozen

from probe4d.contracts import Dataset, MissingPart, Sample
from probe4d.errors import DataError

__all__ = ["Checked", "Shape", "check_dataset"]

CLIP = 16  # frames of an example


@frozen(kw_only=True)
class Shape:
    """Samples that are alike.

    Attributes:
        size: `(height, width)` of their frames.
        frames: of the shortest and of the longest.
        targets: by kind and field, shape and dtype in the example, which has up to 16 frames.
        example: the id of the one that was decoded.
    """

    size: tuple[int, int]
    frames: tuple[int, int]
    samples: int
    targets: Mapping[str, Mapping[str, str]]
    example: str


@frozen(kw_only=True)
class Checked:
    """What a look at a split found.

    Attributes:
        samples: ids of the split.
        absent: ids whose files are not there, by names alone; None where the dataset does not look for names.
        missing: the files that were looked for.
        opened: samples that were read.
        broken: `(id, reason)` of those that could not be.
        examples: a decoded sample per shape.
    """

    samples: int
    absent: int | None
    missing: tuple[MissingPart, ...]
    opened: int
    broken: tuple[tuple[str, str], ...]
    shapes: tuple[Shape, ...]
    examples: tuple[Sample, ...] = field(repr=False, eq=False)

    @property
    def bad_share(self) -> float:
        """The share of the split that cannot be used: what is missing, and what of the samples opened is broken."""
        there = self.samples - (self.absent or 0)
        broken = len(self.broken) / self.opened if self.opened else 0.0
        return ((self.absent or 0) + broken * there) / self.samples

    def to_json(self) -> dict[str, Any]:
        """Return all but the examples, as plain JSON values."""
        return {
            "samples": self.samples,
            "absent": self.absent,
            "missing": [part._asdict() for part in self.missing],
            "opened": self.opened,
            "broken": [{"id": name, "reason": reason} for name, reason in self.broken],
            "shapes": [asdict(shape) for shape in self.shapes],
        }


def check_dataset(dataset: Dataset, limit: int | None) -> Checked:
    """Return what a split is like.

    Names are looked for in all of it. Of the samples that have their files `limit` are opened, evenly spread
    over the split; None opens every one.
    """
    ids = list(dataset.sample_ids())
    missing = tuple(dataset.missing()) if hasattr(dataset, "missing") else ()
    absent = _absent(dataset, ids, missing)
    found = _Found()
    for sample_id in _spread([one for one in ids if one not in absent], limit):
        found.open(dataset, sample_id)
    examples = tuple(found.examples(dataset))
    return Checked(
        samples=len(ids),
        absent=len(absent) if hasattr(dataset, "missing") or hasattr(dataset, "coverage") else None,
        missing=missing,
        opened=found.opened,
        broken=tuple(found.broken),
        shapes=tuple(found.shapes(examples)),
        examples=examples,
    )


def _absent(dataset: Dataset, ids: Sequence[str], missing: Iterable[MissingPart]) -> set[str]:
    """Return the ids that the dataset itself counts as missing."""
    counted: Mapping[str, Any] = dataset.coverage()["missing"] if hasattr(dataset, "coverage") else {}
    named = {part.id for part in missing} | {one for reason in counted.values() for one in reason["ids"]}
    return named.intersection(ids)


def _spread(ids: Sequence[str], limit: int | None) -> list[str]:
    if limit is None or len(ids) <= limit:
        return list(ids)
    return [ids[int(at)] for at in np.linspace(0, len(ids) - 1, limit).round()]


class _Found:
    """Samples opened so far, by size of their frames and kinds of their targets."""

    def __init__(self) -> None:
        self.opened = 0
        self.broken: list[tuple[str, str]] = []
        self._alike: dict[tuple[tuple[int, int], tuple[str, ...]], list[tuple[str, int]]] = {}

    def open(self, dataset: Dataset, sample_id: str) -> None:
        """Read a sample's length and first frame."""
        self.opened += 1
        try:
            length = dataset.num_frames(sample_id)
            first = dataset.load(sample_id, [0])
        except DataError as error:
            self.broken.append((sample_id, str(error)))
            return
        size = (int(first.video.shape[1]), int(first.video.shape[2]))
        self._alike.setdefault((size, tuple(first.targets)), []).append((sample_id, length))

    def examples(self, dataset: Dataset) -> Iterable[Sample]:
        """Yield a decoded clip of the first sample of each shape that has one; those before it are broken."""
        for members in self._alike.values():
            for sample_id, length in list(members):
                step = max(1, length // CLIP)
                try:
                    yield dataset.load(sample_id, range(0, length, step)[:CLIP])
                except DataError as error:
                    members.remove((sample_id, length))
                    self.broken.append((sample_id, str(error)))
                    continue
                break

    def shapes(self, examples: Sequence[Sample]) -> Iterable[Shape]:
        """Yield what was found, the most frequent first."""
        by_id = {sample.id: sample for sample in examples}
        for (size, _), members in sorted(self._alike.items(), key=lambda item: -len(item[1])):
            lengths = [length for _, length in members]
            example = next((by_id[name] for name, _ in members if name in by_id), None)
            if example is not None:
                yield Shape(
                    size=size,
                    frames=(min(lengths), max(lengths)),
                    samples=len(members),
                    targets={kind: _described(fields) for kind, fields in example.targets.items()},
                    example=example.id,
                )


def _described(fields: Mapping[str, Any]) -> dict[str, str]:
    arrays = {name: np.asarray(value) for name, value in fields.items()}
    return {name: f"{value.dtype} {value.shape}" for name, value in arrays.items()}
