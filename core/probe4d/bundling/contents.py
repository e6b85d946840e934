"""What belongs into a bundle: which of a run's files, and which targets their licence lets one pass on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from probe4d.aggregating import aggregations
from probe4d.errors import NothingSelectedError, Probe4dError
from probe4d.records import Record, RunFolder
from probe4d.registry import find
from probe4d.results import results_table, targets_of

__all__ = ["FREE", "LeftOutOfBundle", "Selected", "aggregate_values", "select_files"]

# Licences that let anybody pass the data on, by the first word of a dataset's licence.
FREE = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "MIT"})
OF_RUN = ("run.json", "plan.json", "suite.toml")


@frozen(kw_only=True)
class LeftOutOfBundle:
    """Something that a bundle does not hold, and why."""

    what: str
    reason: str


@frozen(kw_only=True)
class Selected:
    """What a bundle holds.

    Attributes:
        files: relative to the run's folder, which are their names in the bundle too.
    """

    records: tuple[Record, ...] = field(repr=False)
    files: tuple[str, ...]
    left_out: tuple[LeftOutOfBundle, ...]


def select_files(run: RunFolder, targets: str) -> Selected:
    """Return which files of a run go into a bundle.

    Args:
        targets: `licensed` for those that their licence lets one pass on, `all`, or `none`.

    Raises:
        NothingSelectedError: the run has no record.
        DataError: this is no run's folder, or a record is damaged.
    """
    stated = run.read_run()
    records = run.records()
    if not records:
        raise NothingSelectedError(f"{run.path}: expected records, got none. Run the suite first.")
    files = [name for name in OF_RUN if (run.path / name).is_file()]
    left_out = _absent_cells(stated, records)
    for record in records:
        folder = record.folder.relative_to(run.path).as_posix()
        files += [f"{folder}/record.json", *(f"{folder}/{name}" for name in record.content["files"])]
    seen: dict[str, Record] = {targets_of(record).relative_to(run.path).as_posix(): record for record in records}
    for name, record in seen.items():
        reason = _kept_back(record, targets)
        if reason is None:
            files.append(name)
        else:
            left_out.append(LeftOutOfBundle(what=name, reason=reason))
    return Selected(records=tuple(records), files=tuple(sorted(files)), left_out=tuple(left_out))


def aggregate_values(records: Iterable[Record], wanted: Iterable[object]) -> list[dict[str, Any]]:
    """Return each aggregate with its number per backbone, or with the reason why it has none."""
    table = results_table(records)
    found = []
    for one in aggregations(wanted):
        facts: dict[str, Any] = {"name": one.name, "options": dict(one.options)}
        try:
            found.append({**facts, "values": table.aggregate(one.name, **one.options)})
        except Probe4dError as error:
            found.append({**facts, "values": None, "reason": str(error)})
    return found


def _absent_cells(stated: Mapping[str, Any], records: Iterable[Record]) -> list[LeftOutOfBundle]:
    have = [record.content["cell"] for record in records]
    return [
        LeftOutOfBundle(what="~".join(str(value) for value in cell.values()), reason="the cell has no record")
        for cell in stated.get("cells", [])
        if cell not in have
    ]


def _kept_back(record: Record, targets: str) -> str | None:
    """Return why a record's targets stay out, or None."""
    if targets == "all":
        return None
    if targets == "none":
        return "asked for by --targets none"
    name = record.content["data"]["evaluate"]["dataset"]
    licence = find("datasets", name).spec.licence
    if licence is None:
        return f"{name} states no licence; --targets all, where they are yours to pass on"
    if licence.split(" ")[0] in FREE:
        return None
    return f"the licence of {name} ({licence}) does not let one pass them on"
