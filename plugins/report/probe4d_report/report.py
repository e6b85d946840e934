"""`probe4d report`: a run as one HTML file that needs nothing beside it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click
from attrs import frozen
from markupsafe import Markup

from probe4d.atomic import write_text
from probe4d.registry import Entry, entries, load_target
from probe4d_report.html import html_problem, render
from probe4d_report.shell import shell
from probe4d_report.view import RunView

__all__ = ["MOST_BYTES", "command", "page", "write_report"]

MOST_BYTES = 5_000_000  # of a page; a section that would go past it is left out and says so


@click.command("report")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; RUN/report.html.")
def command(run: Path, output: Path | None) -> None:
    """Write the run of folder RUN as one HTML file and print its path.

    The file holds all it needs: it opens offline, in light and dark, on a phone.
    """
    click.echo(write_report(run, output))


def write_report(run: Path | str, output: Path | str | None = None) -> Path:
    """Return the file that the report was written to, whole or not at all.

    Args:
        run: folder of a run.
        output: `<run>/report.html` unless given.

    Raises:
        NothingSelectedError: the folder has no record.
        DataError: `run.json` is damaged.
    """
    folder = Path(run)
    file = folder / "report.html" if output is None else Path(output)
    write_text(file, page(RunView(folder)))
    return file


@frozen(kw_only=True)
class _Section:
    """A panel as it stands on the page."""

    anchor: str
    title: str
    plugin: str
    body: Markup
    problem: str = ""


def page(run: RunView) -> str:
    """Return the HTML of a run: every panel of every plugin that has something to show."""
    facts = _facts(run)  # first of all: a folder without a sound record ends here
    sections: list[_Section] = []
    room = MOST_BYTES
    for number, entry in enumerate(sorted(entries("report_panels"), key=lambda e: (e.spec.order, e.name)), 1):
        section = _section(run, entry, f"section-{number}", room)
        if section is not None:
            room -= len(section.body.encode())
            sections.append(section)
    return str(render("page.html", title=run.title, facts=facts, sections=sections, shell=shell()))


def _facts(run: RunView) -> list[str]:
    """Return what stands under the title."""
    said = [
        f"{count} {word}{'s' * (count != 1)}"
        for count, word in ((len(run.backbones), "backbone"), (len(run.records), "cell"))
    ]
    said += [str(run.run[name]) for name in ("status",) if run.run.get(name)]
    when = run.run.get("ended") or run.run.get("started")
    return [*said, *([str(when)] if when else []), *([f"run {run.run['run_id']}"] if run.run.get("run_id") else [])]


def _section(run: RunView, entry: Entry, anchor: str, room: int) -> _Section | None:
    """Return a panel's section; what goes wrong in one stands in its place and stops no other."""
    made = functools.partial(_Section, anchor=anchor, title=entry.spec.title, plugin=entry.plugin)
    try:
        body = _body(run, entry)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a panel is a stranger's code
        return made(body=Markup(), problem=f"{type(error).__name__}: {error}")
    if body is None:
        return None
    size = len(body.encode())
    if size > room:
        return made(body=Markup(), problem=f"left out: {size:,} bytes are more than the {room:,} left of the page")
    return made(body=body)


def _body(run: RunView, entry: Entry) -> Markup | None:
    if missing := entry.unmet:
        raise ImportError(f"needs {', '.join(missing)}. Run: {entry.install_line}")
    body: Any = load_target(entry.spec.target, entry.name)(run, **entry.spec.options)
    if body is None:
        return None
    if not isinstance(body, str):
        raise TypeError(f"expected HTML as text, or None, got {type(body).__name__}")
    if problem := html_problem(body):
        raise ValueError(f"the panel's HTML is not whole: {problem}")
    return Markup(body)  # noqa: S704 - a panel's contract is to return HTML; the page runs no script of it
