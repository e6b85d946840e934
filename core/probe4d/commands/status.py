"""`probe4d status`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from probe4d.listing import table

SHOWN = 5  # failures that the text names; --json has all


@click.command("status")
@click.argument("run", type=click.Path(file_okay=False, path_type=Path))
@click.option("--store", metavar="URL", help="Root of the feature store, where it is not where the run has it.")
@click.option("--watch", is_flag=True, help="Show it again and again until every unit is done.")
@click.option("--every", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds, for --watch.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object (with --watch, one per line).")
def command(run: Path, store: str | None, watch: bool, every: float, as_json: bool) -> None:
    """Show how far RUN is: units done, running and failed, rates, time and bytes that remain.

    It reads the run's folder and the store, and needs no process of the run to live.
    """
    from probe4d.records import RunFolder
    from probe4d.status import status_of

    while True:
        found = status_of(RunFolder(run), store)
        if as_json:
            click.echo(json.dumps(found.to_json(), indent=None if watch else 2))
        else:
            if watch:
                click.clear()
            click.echo(status_text(found))
        if not watch or found.done == found.units:
            return
        time.sleep(every)


def status_text(found: Any) -> str:
    """Return a status as lines: a total, a row per phase, sets that are not whole, sessions, failures."""
    from probe4d.commands.plan import size_text, time_text

    rows = [["phase", "done", "running", "failed", "mean", "work left"]]
    for phase in found.phases:
        mean = "-" if phase.seconds is None else time_text(phase.seconds)
        left = "unknown" if phase.remaining is None else time_text(phase.remaining)
        rows.append([phase.name, f"{phase.done}/{phase.units}", str(phase.running), str(phase.failed), mean, left])
    lines = [f"suite {found.suite}: {found.done} of {found.units} units done", table(rows), ""]
    unfinished = [one for one in found.sets if one.shards_done < one.shards]
    lines += [
        f"{one.what}: {one.shards_done}/{one.shards} shards, {size_text(one.bytes_done)} there" for one in unfinished
    ]
    lines.append(f"to write: {size_text(found.bytes_left)} in {found.store}")
    if found.done < found.units:
        lines.append(_time_line(found, time_text))
    lines += [_session_line(session, time_text) for session in found.sessions if session.lives]
    lines += [_lost_line(session, time_text) for session in found.sessions if _lost(session)]
    if found.failures:
        lines.append(f"{len(found.failures)} units failed and are not done:")
        lines += [f"  {one['unit']}: {_last_line(one['error'])}" for one in found.failures[:SHOWN]]
        more = len(found.failures) - SHOWN
        lines += [f"  and {more} more; --json names all"] if more > 0 else []
    return "\n".join(lines)


def _time_line(found: Any, time_text: Any) -> str:
    if not found.running:
        return "nothing is running; the same `probe4d run` goes on from here"
    rate = "" if found.rate is None else f", {found.rate:.1f} units a minute so far"
    left = "an unknown time" if found.remaining is None else f"about {time_text(found.remaining)}"
    return f"{found.running} running{rate}; {left} left at that width"


def _session_line(session: Any, time_text: Any) -> str:
    facts = session.content
    what = f"part {facts['part']}" if facts["part"] else "all"
    done = sum(int(phase["units"]) for phase in facts["done"].values())
    return (
        f"at work: {what} on {facts['host']} (process {facts['pid']}), {done} of its {facts['units']} units, "
        f"seen {time_text(session.age)} ago"
    )


def _lost(session: Any) -> bool:
    return session.content["status"] == "running" and not session.lives


def _lost_line(session: Any, time_text: Any) -> str:
    facts = session.content
    return f"lost: process {facts['pid']} on {facts['host']}, last seen {time_text(session.age)} ago"


def _last_line(error: str | None) -> str:
    return (error or "no reason given").strip().splitlines()[-1]
