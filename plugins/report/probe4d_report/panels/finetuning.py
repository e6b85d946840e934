"""Frozen beside finetuned, where a run has both."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from markupsafe import Markup

from probe4d.results import Column
from probe4d_report.charts import Series, chart
from probe4d_report.html import Key, legend, render
from probe4d_report.names import short
from probe4d_report.view import RunView

__all__ = ["panel"]


@frozen(kw_only=True)
class _Row:
    """One backbone on one task, under both."""

    backbone: str
    task: str
    frozen: dict[str, Any]
    finetuned: dict[str, Any]
    protocol: str
    gain: float


def panel(run: RunView) -> Markup | None:
    """Return a chart per task and a table of gains; nothing where the run has only one of the two."""
    frozen_ones = [p for p in run.protocols if run.mode(p) == "frozen"]
    tuned = [p for p in run.protocols if run.mode(p) == "finetune"]
    if not frozen_ones or not tuned:
        return None
    order = [*frozen_ones, *sorted(tuned, key=lambda name: (len(name), name))]
    columns = {protocol: {c.task: c for c in run.main_columns(protocol)} for protocol in order}
    tasks = [t for t in columns[order[0]] if any(t in columns[p] for p in tuned)]
    if not tasks:
        return None
    rows = [row for task in tasks for row in _rows(run, task, columns, order[0], tuned)]
    figures = [_chart(run, task, columns, order) for task in tasks]
    keys = [Key(label=b, colour=run.colour(b), shape=run.number(b) // 8) for b in run.backbones]
    return render("finetuning.html", rows=rows, figures=figures, legend=legend(keys), run=run)


def _rows(run: RunView, task: str, columns: dict[str, dict[str, Column]], base: str, tuned: list[str]) -> list[_Row]:
    rows = []
    for backbone in run.backbones:
        for protocol in tuned:
            first = run.results.records.get((backbone, columns[base][task]))
            column = columns[protocol].get(task)
            second = run.results.records.get((backbone, column)) if column is not None else None
            if first is None or second is None:
                continue
            a, b = first.content["primary"], second.content["primary"]
            gain = (b["value"] - a["value"]) * (1 if a["higher_is_better"] else -1)
            rows.append(_Row(backbone=backbone, task=task, frozen=a, finetuned=b, protocol=protocol, gain=float(gain)))
    return rows


def _chart(run: RunView, task: str, columns: dict[str, dict[str, Column]], order: list[str]) -> Markup:
    series = []
    for backbone in run.backbones:
        points = []
        for place, protocol in enumerate(order):
            column = columns[protocol].get(task)
            record = run.results.records.get((backbone, column)) if column is not None else None
            if record is not None:
                points.append((float(place), float(record.content["primary"]["value"])))
        if points:
            series.append(
                Series(label=backbone, points=points, colour=run.colour(backbone), shape=run.number(backbone) // 8)
            )
    higher = run.results.higher_is_better(columns[order[0]][task])
    said = "; ".join(f"{one.label} {', '.join(f'{y:.4g}' for _, y in one.points)}" for one in series)
    return chart(
        series,
        title=short(task),
        x_label="protocol",
        better="higher" if higher else "lower",
        x_ticks=[(float(place), short(protocol)) for place, protocol in enumerate(order)],
        label=f"{short(task)} by protocol ({', '.join(map(short, order))}): {said}",
    )
