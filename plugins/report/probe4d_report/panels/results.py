"""The table of results, the paper's numbers beside."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from markupsafe import Markup

from probe4d.records import Record
from probe4d.results import Column
from probe4d_report.html import render
from probe4d_report.names import column_names, short
from probe4d_report.published import PaperTask, Published, paper_task, published, published_for
from probe4d_report.view import RunView

__all__ = ["panel"]


@frozen(kw_only=True)
class _Cell:
    """What one entry shows."""

    record: Record | None
    best: bool = False
    paper: float | None = None

    @property
    def primary(self) -> Any:
        """The number that stands for the cell."""
        return self.record.content["primary"] if self.record is not None else None


@frozen(kw_only=True)
class _Head:
    """What the head of a column shows."""

    name: str
    value: str
    unit: str
    higher: bool


def panel(run: RunView) -> Markup:
    """Return a table per protocol: a row per backbone, a column per task, and per layer where there are several."""
    mapped = [column for column in run.columns if paper_task(column.task) is not None]
    unmapped = list(dict.fromkeys(short(column.task) for column in run.columns if column not in mapped))
    return render(
        "results.html",
        run=run,
        tables=[_table(run, protocol) for protocol in run.protocols],
        papers=[_paper_table(protocol, mapped) for protocol in run.protocols if _has_paper(protocol, mapped)],
        unmapped=unmapped,
        without=[short(p) for p in run.protocols if mapped and not _has_paper(p, mapped)],
    )


@frozen(kw_only=True)
class _Table:
    """What is shown of one protocol."""

    protocol: str
    heads: list[_Head]
    rows: list[tuple[str, list[_Cell]]]


def _table(run: RunView, protocol: str) -> _Table:
    columns = tuple(column for column in run.columns if column.protocol == protocol)
    names = column_names(columns)
    rows = [(backbone, [_cell(run, backbone, column) for column in columns]) for backbone in run.backbones]
    return _Table(
        protocol=short(protocol),
        heads=[_head(run, column, names[column]) for column in columns],
        rows=[row for row in rows if any(cell.record is not None for cell in row[1])],
    )


def _cell(run: RunView, backbone: str, column: Column) -> _Cell:
    record = run.results.records.get((backbone, column))
    if record is None:
        return _Cell(record=None)
    task, row = paper_task(column.task), _paper_row(record)
    paper = row.values[task.column] if task is not None and row is not None else None
    alone = sum((other, column) in run.results.records for other in run.results.backbones) < 2
    return _Cell(record=record, best=not alone and run.results.best(column) == backbone, paper=paper)


def _head(run: RunView, column: Column, name: str) -> _Head:
    record = next(r for (_, other), r in run.results.records.items() if other == column)
    primary = record.content["primary"]
    return _Head(
        name=name,
        value=str(primary["name"]),
        unit=str(primary.get("unit") or ""),
        higher=bool(primary["higher_is_better"]),
    )


def _paper_row(record: Record) -> Published | None:
    name = str(record.content.get("backbone", {}).get("name", record.cell.backbone))
    return published_for(name, record.cell.protocol)


def _has_paper(protocol: str, mapped: list[Column]) -> bool:
    return any(column.protocol == protocol for column in mapped) and short(protocol) in {
        r.protocol for r in published()
    }


@frozen(kw_only=True)
class _PaperTable:
    """The paper's models under one protocol, on the tasks of the run."""

    protocol: str
    tasks: tuple[PaperTask, ...]
    rows: tuple[Published, ...]


def _paper_table(protocol: str, mapped: list[Column]) -> _PaperTable:
    found = (paper_task(column.task) for column in mapped if column.protocol == protocol)
    tasks = tuple(dict.fromkeys(task for task in found if task is not None))
    return _PaperTable(
        protocol=short(protocol),
        tasks=tasks,
        rows=tuple(row for row in published() if row.protocol == short(protocol)),
    )
