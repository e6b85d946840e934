"""What a panel of the report is given: a run, read once, with everything lazy that is large.

def panel(run: RunView) -> str | None:
    return render_text("<p>{{ n }} cells</p>", n=len(run.records))
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, frozen

from probe4d.errors import DataError, NothingSelectedError, Probe4dError, UnknownNameError
from probe4d.records import Record, RunFolder, read_record
from probe4d.registry import find
from probe4d.results import Column, ResultsTable, results_table
from probe4d_report.aggregates import Aggregate, aggregates_of
from probe4d_report.checks import check_record
from probe4d_report.colours import series_colour
from probe4d_report.frames import FrameReader
from probe4d_report.names import column_names, short
from probe4d_report.pairs import Pairs, open_pairs

__all__ = ["RunView", "SampleLeftOut", "Trained"]

T = TypeVar("T")


@frozen(kw_only=True)
class SampleLeftOut:
    """A sample without a value, and why."""

    record: Record
    split: str
    id: str
    reason: str


@frozen(kw_only=True)
class Trained:
    """The loss curve of one member of a sweep.

    Attributes:
        points: (step, mean loss up to it); steps at which it was not finite are missing.
        selected: whether it stands for the cell.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    selected: bool


@define
class RunView:
    """A run's folder.

    Attributes:
        path: the folder.
        pictures: at most so many samples of a task are drawn; `shown` so many backbones beside each other.
    """

    path: Path = field(converter=Path)
    pictures: int = 6
    shown: int = 4
    _frames: FrameReader = field(factory=FrameReader, repr=False)
    _read: dict[str, Any] = field(factory=dict, repr=False)

    # ---- what was run

    @property
    def run(self) -> Mapping[str, Any]:
        """Content of `run.json`; empty where there is none."""
        return self._once("run", self._read_run)

    @property
    def title(self) -> str:
        """The suite's name, or the folder's where none is known."""
        return str(self.run.get("suite") or self.path.resolve().name)

    @property
    def suite_text(self) -> str:
        """The suite as it was read; empty where it is not kept."""
        file = self.path / "suite.toml"
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""

    @property
    def records(self) -> tuple[Record, ...]:
        """Every sound record, in the order of their cells."""
        return self._once("records", self._read_records)[0]

    @property
    def damaged(self) -> tuple[tuple[str, str], ...]:
        """Folder and problem of every record that cannot be read."""
        return self._once("records", self._read_records)[1]

    @property
    def results(self) -> ResultsTable:
        """Primary values by backbone and column (task, protocol, layer)."""
        return self._once("results", lambda: results_table(self.records))

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """The suite's aggregates, or those that need no options where it names none."""
        return self._once("aggregates", lambda: aggregates_of(self.results, self.suite_text))

    @property
    def left_out(self) -> tuple[SampleLeftOut, ...]:
        """The samples that have no value."""
        return tuple(
            SampleLeftOut(record=record, split=split, id=str(sample_id), reason=str(reason))
            for record in self.records
            for split, sample_id, reason in _left_out(record)
        )

    # ---- names and colours

    @property
    def backbones(self) -> tuple[str, ...]:
        """Labels of the backbones, by number of parameters."""
        return tuple(sorted(self.results.backbones, key=lambda label: (self.params(label) or 0, label)))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the results table."""
        return self.results.columns

    def name(self, column: Column) -> str:
        """Return a column's name: the task, with protocol and layer where there are several."""
        return column_names(self.columns)[column]

    def colour(self, backbone: str) -> str:
        """Return the backbone's colour as CSS, the same in every figure."""
        return series_colour(self.number(backbone))

    def number(self, backbone: str) -> int:
        """Return the backbone's place; figures choose its mark by it."""
        return self.backbones.index(backbone)

    def params(self, backbone: str) -> int | None:
        """Return the backbone's number of parameters: 0 without any, None where no record says it."""
        counts = (record.content.get("backbone", {}).get("params") for record in self.of_backbone(backbone))
        return next((int(count) for count in counts if count is not None), None)

    def of_backbone(self, backbone: str) -> list[Record]:
        """Return the records of a backbone."""
        return [record for record in self.records if record.cell.backbone == backbone]

    def of_kind(self, kind: str) -> dict[Column, list[Record]]:
        """Return the records of tasks of a kind by column, backbones in the order of `backbones`."""
        found: dict[Column, list[Record]] = {}
        for column in self.columns:
            cells = [self.results.records.get((backbone, column)) for backbone in self.backbones]
            records = [record for record in cells if record is not None and kind_of(record) == kind]
            if records:
                found[column] = records
        return found

    def main_columns(self, protocol: str) -> tuple[Column, ...]:
        """Return one column per task of a protocol: the layer most backbones have, the deepest of those."""
        chosen: dict[str, Column] = {}
        for column in self.columns:
            if column.protocol == protocol:
                before = chosen.get(column.task)
                if before is None or self._weight(column) > self._weight(before):
                    chosen[column.task] = column
        return tuple(chosen.values())

    @property
    def protocols(self) -> tuple[str, ...]:
        """Canonical names of the protocols."""
        return tuple(dict.fromkeys(column.protocol for column in self.columns))

    def mode(self, protocol: str) -> str:
        """Return `frozen` or `finetune`, by the protocol's spec or, where it is not installed, its name."""
        try:
            return str(find("protocols", protocol).spec.mode)
        except UnknownNameError:
            return "finetune" if "finetune" in short(protocol) else "frozen"

    # ---- what is large, read when asked for

    def pairs(self, record: Record) -> Pairs:
        """Return predictions and targets of a cell, by sample id, in the frame that its metrics see.

        Raises:
            Probe4dError: the files are missing, damaged, or of a kind that is not installed.
        """
        return self._once(f"pairs {record.cell.id}", lambda: open_pairs(self.path, record))

    def sample_ids(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Return the first samples that all these cells have, at most `pictures`."""
        known = [set(self.pairs(record).ids) for record in records]
        return tuple(i for i in self.pairs(records[0]).ids if all(i in ids for ids in known))[: self.pictures]

    def some(self, records: Sequence[Record]) -> list[Record]:
        """Return at most `shown` of these records, best first by primary value, the worst among them."""
        ordered = sorted(records, key=lambda record: -_good(record))
        if len(ordered) > self.shown:
            last = len(ordered) - 1
            ordered = [ordered[round(k * last / max(1, self.shown - 1))] for k in range(self.shown)]
        return ordered

    def clip(self, record: Record, sample_id: str) -> Any:
        """Return the pixels `(t, h, w, 3)` uint8 of a sample, or None where the dataset is not to be had here."""
        return self._frames.clip(record, sample_id)

    def why_no_frames(self, record: Record) -> str:
        """Return why `clip` has none of this cell; empty where it has."""
        return self._frames.problem(record)

    def training(self, record: Record) -> tuple[Trained, ...]:
        """Return the loss curves of the cell's members; none where they were not kept."""
        file = record.folder / "training.json"
        if not file.is_file():
            return ()
        content = json.loads(file.read_text(encoding="utf-8"))
        return tuple(_curves(content, record))

    # ---- inside

    def _once(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._read:
            self._read[key] = make()
        found: T = self._read[key]
        return found

    def _weight(self, column: Column) -> tuple[int, float]:
        return sum((backbone, column) in self.results.records for backbone in self.results.backbones), column.layer

    def _read_run(self) -> Mapping[str, Any]:
        folder = RunFolder(self.path)
        return folder.read_run() if (self.path / "run.json").exists() else {}

    def _read_records(self) -> tuple[tuple[Record, ...], tuple[tuple[str, str], ...]]:
        sound: list[Record] = []
        damaged: list[tuple[str, str]] = []
        for file in RunFolder(self.path).record_files():
            try:
                record = read_record(file)
                check_record(record)
                sound.append(record)
            except Probe4dError as error:
                damaged.append((file.parent.name, str(error)))
        if not sound and damaged:
            raise DataError(
                f"{self.path}: expected at least one sound record, got {len(damaged)} damaged: {damaged[0][1]}"
            )
        if not sound:
            raise NothingSelectedError(f"{self.path}: expected a run with records, got none. `probe4d run` makes one.")
        return tuple(sound), tuple(damaged)


def kind_of(record: Record) -> str:
    """Return the short name of the prediction kind of a cell."""
    return short(str(record.content.get("task", {}).get("kind", "")))


def _good(record: Record) -> float:
    primary = record.content["primary"]
    return float(primary["value"]) if primary["higher_is_better"] else -float(primary["value"])


def _left_out(record: Record) -> Iterator[tuple[str, Any, Any]]:
    samples = record.content.get("samples", {})
    for item in samples.get("left_out", ()):
        yield "evaluate", item["id"], item["reason"]
    trained = samples.get("train_left_out", {})
    for sample_id, reason in trained.items() if isinstance(trained, Mapping) else ():
        yield "train", sample_id, reason


def _curves(content: Mapping[str, Any], record: Record) -> Iterator[Trained]:
    """Yield the curves of the members at the cell's own layer; the file has those of all layers."""
    losses, names = content["losses"], content["members"]
    own = {member["name"] for member in record.content.get("members", ())}
    rates = len(losses["values"][0][0]) if losses["values"] else 1
    for number, name in enumerate(names):
        if name not in own:
            continue
        layer, rate = divmod(number, rates)
        values = [(step, row[layer][rate]) for step, row in zip(losses["steps"], losses["values"], strict=True)]
        points = tuple((float(step), float(value)) for step, value in values if value is not None)
        yield Trained(name=str(name), points=points, selected=name == record.content.get("selected", {}).get("name"))
