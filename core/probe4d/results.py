"""Records as tables: a row per backbone, a column per task; comparisons of two, sample by sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from probe4d.aggregating import apply_aggregate
from probe4d.errors import NothingSelectedError, UsageError
from probe4d.records import Record, RunFolder
from probe4d.registry import find

__all__ = ["Column", "Comparison", "ResultsTable", "compare_runs", "records_of", "results_table"]


@frozen(order=True)
class Column:
    """What a column of the table stands for."""

    task: str
    protocol: str
    layer: float | int

    @property
    def label(self) -> str:
        """Return the task's short name, with protocol and layer."""
        return f"{short(self.task)} ({short(self.protocol)}, {self.layer})"


@frozen(kw_only=True)
class ResultsTable:
    """Primary values by backbone and column, with what else a table shows of them."""

    backbones: tuple[str, ...]
    columns: tuple[Column, ...]
    records: Mapping[tuple[str, Column], Record]

    def value(self, backbone: str, column: Column) -> float | None:
        """Return a cell's primary value, or None where there is no record."""
        record = self.records.get((backbone, column))
        return None if record is None else float(record.content["primary"]["value"])

    def higher_is_better(self, column: Column) -> bool:
        """Say which way a column is better."""
        record = next(record for (_, other), record in self.records.items() if other == column)
        return bool(record.content["primary"]["higher_is_better"])

    def best(self, column: Column) -> str:
        """Return the backbone with the best value."""
        sign = 1.0 if self.higher_is_better(column) else -1.0
        found = {b: value for b in self.backbones if (value := self.value(b, column)) is not None}
        return max(found, key=lambda backbone: sign * found[backbone])

    def aggregate(self, name: str, **options: Any) -> dict[str, float]:
        """Return an aggregate of the registry over the backbones that have every column.

        Raises:
            NothingSelectedError: no backbone has every column.
            UsageError: the aggregate has no such option.
            DataError: it is not defined on these values, or lacks an option.
        """
        whole = [b for b in self.backbones if all((b, column) in self.records for column in self.columns)]
        if not whole:
            raise NothingSelectedError(f"{name}: expected a backbone with a result in every column, got none.")
        entry = find("aggregates", name)
        table = {b: {column.label: self.value(b, column) for column in self.columns} for b in whole}
        ways = {column.label: self.higher_is_better(column) for column in self.columns}
        return apply_aggregate(entry, table, ways, options)


def results_table(records: Iterable[Record]) -> ResultsTable:
    """Return the table of these records.

    Raises:
        NothingSelectedError: there are none.
        UsageError: two records have the same backbone, task, protocol and layer.
    """
    found: dict[tuple[str, Column], Record] = {}
    for record in records:
        cell = record.cell
        key = (cell.backbone, Column(cell.task, cell.protocol, cell.layer))
        if key in found:
            raise UsageError(f"{record.folder}: {cell.id} has a record in {found[key].folder} too. Show them apart.")
        found[key] = record
    if not found:
        raise NothingSelectedError("expected records, got none. `probe4d run` makes them.")
    backbones = tuple(dict.fromkeys(backbone for backbone, _ in found))
    columns = tuple(sorted({column for _, column in found}))
    return ResultsTable(backbones=backbones, columns=columns, records=found)


@frozen(kw_only=True)
class Comparison:
    """Two cells on the same samples.

    Attributes:
        difference: first minus second, by value; `ci95` its interval and `verdict` what it says.
        better: `first` or `second` by the primary value, or None where it is too close to call.
    """

    column: Column
    first: str
    second: str
    primary: str
    values: tuple[float, float]
    difference: Mapping[str, float]
    ci95: Mapping[str, tuple[float, float]]
    verdict: Mapping[str, str]
    better: str | None
    samples: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "task": self.column.task,
            "protocol": self.column.protocol,
            "layer": self.column.layer,
            "first": self.first,
            "second": self.second,
            "primary": self.primary,
            "values": list(self.values),
            "difference": dict(self.difference),
            "ci95": {name: list(ends) for name, ends in self.ci95.items()},
            "verdict": dict(self.verdict),
            "better": self.better,
            "samples": self.samples,
        }


def records_of(run: RunFolder) -> list[Record]:
    """Return the records of a run that is to be shown.

    Raises:
        NothingSelectedError: it has none, or there is no such folder; names it.
    """
    found = run.records()
    if not found:
        raise NothingSelectedError(f"{run.path}: expected a run with records, got none. `probe4d run` makes them.")
    return found


def compare_runs(
    first: RunFolder,
    second: RunFolder,
    *,
    pair: tuple[str, str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Comparison]:
    """Return a comparison per cell that both runs have, resampling the samples in pairs.

    Args:
        pair: compare this backbone of the first run with that one of the second; by default equal labels.

    Raises:
        NothingSelectedError: a run has no records, or the runs have no cell in common.
        DataError: their predictions or targets are damaged, or of other samples.
    """
    left, right = (results_table(records_of(run)) for run in (first, second))
    pairs = [pair] if pair else [(label, label) for label in left.backbones if label in right.backbones]
    found = [
        _compare(column, (left.records[a, column], right.records[b, column]), resamples, seed)
        for a, b in pairs
        for column in left.columns
        if (a, column) in left.records and (b, column) in right.records
    ]
    if not found:
        have = f"{', '.join(left.backbones)} and {', '.join(right.backbones)}"
        raise NothingSelectedError(f"expected cells that both runs have, got none among {have}. Name --backbones A B.")
    return found


def _compare(column: Column, records: Sequence[Record], resamples: int, seed: int) -> Comparison:
    from probe4d.scoring import score

    first, second = records
    scored = score(
        first.content["task"]["kind"],
        str(predictions_of(first)),
        str(targets_of(first)),
        against=str(predictions_of(second)),
        metrics=tuple(first.content["task"]["metrics"]),
        **first.content["score_options"],
        resamples=resamples,
        seed=seed,
    )
    against = scored.against
    assert against is not None  # asked for above
    name = first.content["primary"]["name"]
    good = "higher" if first.content["primary"]["higher_is_better"] else "lower"
    verdict = against.verdict.get(name)
    return Comparison(
        column=column,
        first=first.cell.backbone,
        second=second.cell.backbone,
        primary=name,
        values=(scored.values[name], against.values[name]),
        difference=against.difference,
        ci95=against.ci95,
        verdict=against.verdict,
        better=("first" if verdict == good else "second") if verdict in ("higher", "lower") else None,
        samples=against.samples,
    )


def predictions_of(record: Record) -> Path:
    """Return the file of a cell's predictions, in the schema that `probe4d score` reads."""
    return record.folder / str(record.content["predictions"])


def targets_of(record: Record) -> Path:
    """Return the file of the targets that they were scored against."""
    return record.folder.parents[1] / str(record.content["targets"])


def short(name: str) -> str:
    """Return a canonical name without its plugin."""
    return name.rpartition("/")[2]
