"""What units wrote on other machines, kept in the run: `<run>/logs/<unit>.log`, named by the records."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

import attrs

from probe4d.atomic import write_json, write_text
from probe4d.contracts import Outcome, Unit
from probe4d.records import Record, RunFolder

__all__ = ["keep_log", "whereabouts", "with_logs"]

FOLDER = "logs"


def keep_log(run: RunFolder, outcome: Outcome) -> None:
    """Keep what the unit wrote, if its runner brought that along."""
    if outcome.log:
        write_text(run.path / FOLDER / f"{outcome.unit}.log", outcome.log)


def whereabouts(outcome: Outcome) -> dict[str, str]:
    """Return where a unit was carried out and where its log is, as far as there is one."""
    worker = {"worker": outcome.worker} if outcome.worker else {}
    return {**worker, **({"log": f"{FOLDER}/{outcome.unit}.log"} if outcome.log else {})}


def with_logs(run: RunFolder, records: Iterable[Record], units: Mapping[str, Unit]) -> list[Record]:
    """Return the records, and write again what changed, with the logs of all units that made each: `logs`.

    A record is written by a unit, whose own log comes after it.

    Args:
        units: all of the plan, by id.
    """
    kept = {file.stem for file in (run.path / FOLDER).glob("*.log")}
    return [_with_logs(record, kept, units) if kept else record for record in records]


def _with_logs(record: Record, kept: Container[str], units: Mapping[str, Unit]) -> Record:
    logs = [f"{FOLDER}/{name}.log" for name in _made_by(record, units) if name in kept]
    if logs == record.content.get("logs", []):
        return record
    content = {**record.content, "logs": logs}
    write_json(record.folder / "record.json", content)
    return attrs.evolve(record, content=content)


def _made_by(record: Record, units: Mapping[str, Unit]) -> Iterator[str]:
    """Yield the units that made a record: the one that wrote it, and what that needs."""
    wanted = [record.content.get("unit", "")]
    seen = set(wanted)
    while wanted:
        unit = units.get(wanted.pop())
        if unit is not None:
            yield unit.id
            wanted += [need for need in reversed(unit.needs) if need not in seen]
            seen.update(unit.needs)
