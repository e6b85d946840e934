"""Results as lines of a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from probe4d.aggregating import aggregations
from probe4d.errors import Probe4dError
from probe4d.listing import table
from probe4d.records import Record
from probe4d.results import Column, Comparison, ResultsTable, short

__all__ = ["comparison_text", "results_text"]

CLOSE = "too close to call"


def results_text(results: ResultsTable, aggregates: Sequence[object] = ()) -> str:
    """Return a row per backbone: value and interval of each task, `*` at the best; then the aggregates.

    Args:
        aggregates: as in a suite, names or tables.

    An aggregate that these results do not define costs itself, and is said below the table.
    """
    added: dict[str, dict[str, float]] = {}
    undefined = []
    for one in aggregations(aggregates):
        try:
            added[one.label] = results.aggregate(one.name, **one.options)
        except Probe4dError as error:
            undefined.append(f"no {one.label}: {error}")
    rows = [["backbone", *(_title(results, column) for column in results.columns), *added]]
    for backbone in results.backbones:
        cells = []
        for column in results.columns:
            record = results.records.get((backbone, column))
            mark = "*" if record is not None and results.best(column) == backbone else ""
            cells.append("-" if record is None else f"{_value(record)}{mark}")
        aggregated = [f"{found[backbone]:.3g}" if backbone in found else "-" for found in added.values()]
        rows.append([backbone, *cells, *aggregated])
    return "\n".join([table(rows), *undefined])


def _title(results: ResultsTable, column: Column) -> str:
    record = next(record for (_, other), record in results.records.items() if other == column)
    primary = record.content["primary"]
    arrow = "↑" if primary["higher_is_better"] else "↓"
    protocols = {other.protocol for other in results.columns}
    layers = {other.layer for other in results.columns}
    extra = [short(record.cell.protocol)] * (len(protocols) > 1) + [str(record.cell.layer)] * (len(layers) > 1)
    return " ".join([short(record.cell.task), *extra, f"{primary['name']}{arrow}"])


def _value(record: Record) -> str:
    primary = record.content["primary"]
    interval = primary.get("ci95")
    ends = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return f"{primary['value']:.3f}{ends}"


def comparison_text(comparisons: Sequence[Comparison]) -> str:
    """Return a row per cell: both values, their paired difference, and which is better."""
    rows = [["cell", "value", "first", "second", "difference", "95 % interval", "better"]]
    for one in comparisons:
        pair = one.first if one.first == one.second else f"{one.first} / {one.second}"
        ends = one.ci95.get(one.primary)
        rows.append(
            [
                f"{pair}: {one.column.label}",
                one.primary,
                f"{one.values[0]:.4f}",
                f"{one.values[1]:.4f}",
                f"{one.difference[one.primary]:+.4f}",
                f"[{ends[0]:+.4f}, {ends[1]:+.4f}]" if ends else "-",
                CLOSE if one.better is None else (one.better if one.first == one.second else getattr(one, one.better)),
            ]
        )
    return table(rows)
