"""What units wrote on other machines, kept in the run: `<run>/logs/<unit>.log`."""

from __future__ import annotations

from probe4d.atomic import write_text
from probe4d.contracts import Outcome
from probe4d.records import RunFolder

__all__ = ["keep_log", "whereabouts"]


def keep_log(run: RunFolder, outcome: Outcome) -> None:
    """Keep what the unit wrote, if its runner brought that along."""
    if outcome.log:
        write_text(run.path / "logs" / f"{outcome.unit}.log", outcome.log)


def whereabouts(outcome: Outcome) -> dict[str, str]:
    """Return where a unit was carried out and where its log is, as far as there is one."""
    worker = {"worker": outcome.worker} if outcome.worker else {}
    return {**worker, **({"log": f"logs/{outcome.unit}.log"} if outcome.log else {})}
