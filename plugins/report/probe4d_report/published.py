"""The paper's own numbers: Tables 1, 2, 3 and 7 of "Scaling 4D Representations" as package data."""

from __future__ import annotations

import csv
import functools
from importlib.resources import files

from attrs import frozen

from probe4d.names import name_key
from probe4d_report.names import short

__all__ = ["PAPER_TASKS", "PaperTask", "Published", "paper_task", "published", "published_for", "table_1"]


@frozen(kw_only=True)
class PaperTask:
    """A column of the paper's tables.

    Attributes:
        column: its name in `data/results.csv`; values as probe4d has them (fractions, metres).
        names: short names of tasks that it belongs to.
    """

    column: str
    title: str
    value: str
    higher_is_better: bool
    names: tuple[str, ...]


PAPER_TASKS = (
    PaperTask(column="ssv2_top1", title="SSv2", value="top-1", higher_is_better=True, names=("ssv2",)),
    PaperTask(column="re10k_epe", title="RE10k", value="EPE", higher_is_better=False, names=("re10k",)),
    PaperTask(
        column="perception_test_aj",
        title="Perception Test",
        value="AJ",
        higher_is_better=True,
        names=("perception-test",),
    ),
    PaperTask(column="scannet_absrel", title="ScanNet", value="AbsRel", higher_is_better=False, names=("scannet",)),
    PaperTask(
        column="waymo_miou", title="Waymo", value="mean IoU", higher_is_better=True, names=("waymo", "waymo-open")
    ),
)


@frozen(kw_only=True)
class Published:
    """A row: one model under one protocol.

    Attributes:
        params_millions: as the paper prints it.
        values: by column.
    """

    model: str
    params_millions: float
    modality: str
    language: bool
    protocol: str
    values: dict[str, float]


@functools.cache
def published() -> tuple[Published, ...]:
    """Return every row, in the paper's order."""
    text = (files("probe4d_report") / "data" / "results.csv").read_text(encoding="utf-8")
    return tuple(
        Published(
            model=row["model"],
            params_millions=float(row["params_millions"]),
            modality=row["modality"],
            language=row["language_pretraining"] == "true",
            protocol=row["protocol"],
            values={task.column: float(row[task.column]) for task in PAPER_TASKS},
        )
        for row in csv.DictReader(text.splitlines())
    )


@functools.cache
def table_1() -> dict[str, dict[str, str]]:
    """Return the sizes of the 4DS models by name, columns as in `data/models_4ds.csv`."""
    text = (files("probe4d_report") / "data" / "models_4ds.csv").read_text(encoding="utf-8")
    return {row["model"]: row for row in csv.DictReader(text.splitlines())}


def paper_task(task: str) -> PaperTask | None:
    """Return the paper's column of a task, or None where the paper has none."""
    name = _key(task)
    return next((one for one in PAPER_TASKS if name in one.names), None)


def published_for(backbone: str, protocol: str) -> Published | None:
    """Return the paper's row of a backbone and a protocol, both by name; None where it has none."""
    wanted = (_key(backbone), _key(protocol))
    return next((row for row in published() if (row.model, row.protocol) == wanted), None)


def _key(name: str) -> str:
    return name_key(short(name))
