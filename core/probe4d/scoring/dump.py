"""Evaluation targets as a file that anybody can score against, with numpy alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, field, frozen

from probe4d import __version__
from probe4d.contracts import Arrays, LeftOut
from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d.opening import open_dataset, revision_of
from probe4d.registry import Entry, entries, find, load_target, make
from probe4d.scoring.datasets import Asked, DatasetSource, asked_by

__all__ = ["Dumped", "Wanted", "dump_targets", "task_of", "wanted"]

WRITE = "probe4d_runners.probing.files:write_samples"


@frozen(kw_only=True)
class Wanted:
    """What of a split is dumped.

    Attributes:
        task: whose clips and rows they are; None for whole samples.
    """

    dataset: Entry
    split: str
    options: Mapping[str, Any] = field(factory=dict)
    task: Entry | None
    asked: Asked


@frozen(kw_only=True)
class Dumped:
    """What was written."""

    file: Path
    kind: str
    task: str | None
    samples: int
    left_out: tuple[LeftOut, ...]


def task_of(dataset: Entry, name: str | None) -> Entry | None:
    """Return the task of that name, else the one that has the dataset's name or alone is evaluated on it, or None.

    Raises:
        UsageError: the task named is evaluated on another dataset.
    """
    on_it = {task.name: task for task in entries("tasks") if find("datasets", task.spec.evaluate.dataset) == dataset}
    if name is not None:
        task = find("tasks", name)
        if task.name not in on_it:
            near = did_you_mean(name, on_it)
            raise UsageError(
                f"--task: expected one that is evaluated on {dataset.name} ({', '.join(on_it) or 'there is none'}), "
                f"got {task.name}.{near}"
            )
        return task
    named = [task for task in on_it.values() if task.spec.name == dataset.spec.name]
    chosen = named or list(on_it.values())
    return chosen[0] if len(chosen) == 1 else None


def wanted(
    dataset: Entry, split: str, options: Mapping[str, Any], task: Entry | None, kind: str | None = None
) -> Wanted:
    """Return what is dumped: by the task, or whole samples of one kind.

    Raises:
        UsageError: there is no task, and which kind is not stated and not the only one.
    """
    if task is not None and kind is None:
        return Wanted(dataset=dataset, split=split, options=options, task=task, asked=asked_by(task))
    kinds = dataset.spec.kinds
    if kind is None and len(kinds) != 1:
        raise UsageError(f"--kind: expected one of {', '.join(kinds)}, as {dataset.name} has several, got none.")
    asked = Asked(kind=find("kinds", kind or kinds[0]))
    return Wanted(dataset=dataset, split=split, options=options, task=None, asked=asked)


def dump_targets(what: Wanted, file: Path, *, frames: bool = False, limit: int | None = None) -> Dumped:
    """Write the targets as `.npz`, whole or not at all.

    Args:
        frames: add each clip's pixels, as the field `video`, uint8.
        limit: the first so many samples only.

    Raises:
        UsageError: the file's name is not that of an npz.
        DataError: no sample has a target.
    """
    if file.suffix != ".npz":
        raise UsageError(f"--dump: expected a file *.npz, got {file.name!r}.")
    opened = open_dataset(what.dataset, what.split, what.options)
    source = DatasetSource(f"{what.dataset.name}/{what.split}", opened, make(what.asked.kind), what.asked, limit=limit)
    left_out: list[LeftOut] = []
    count = 0

    def samples() -> Iterator[tuple[str, Arrays]]:
        nonlocal count
        for sample_id in source.ids:
            try:
                clip = source.clip(sample_id, pixels=frames)
                fields = source.targets(clip)
            except DataError as error:
                left_out.append(LeftOut(sample_id, str(error)))
                continue
            count += 1
            yield (
                sample_id,
                {
                    **fields,
                    "frame_ids": np.asarray(clip.frames),
                    **({"video": clip.sample.video} if frames else {}),
                },
            )

    def meta() -> Mapping[str, Any]:
        if not count:
            raise DataError(f"{source.name}: expected at least one sample with targets, got none: {left_out[0].reason}")
        about = _about(what, revision_of(what.dataset, opened), getattr(opened, "facts", {}), left_out)
        return {"schema": what.asked.kind.spec.schema, **source.meta, "about": about}

    load_target(WRITE)(file, samples(), meta)
    return Dumped(
        file=file,
        kind=what.asked.kind.spec.name,
        task=what.task.name if what.task else None,
        samples=count,
        left_out=tuple(left_out),
    )


def _about(what: Wanted, version: str, facts: Mapping[str, Any], left_out: list[LeftOut]) -> dict[str, Any]:
    sampling = what.asked.sampling
    return {
        "dataset": what.dataset.name,
        "split": what.split,
        "version": version,
        "facts": dict(facts),
        "task": what.task.name if what.task else None,
        "clip": asdict(sampling) if sampling else "whole samples",
        "rows": dict(what.asked.settings),
        "left_out": [item._asdict() for item in left_out],
        "probe4d": __version__,
    }
