"""`probe4d plugins check`: run the conformance kit on a plugin, installed or in a folder."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

import click
from attrs import frozen

from probe4d.errors import UnknownNameError, UsageError, did_you_mean
from probe4d.loader import BUILTIN, GROUP, discover
from probe4d.names import dist_key
from probe4d.testing.plugin import check_plugin
from probe4d.testing.result import Report

__all__ = ["Target", "command", "find_targets"]


@frozen
class Target:
    """One plugin to check: its name, its entry module, and the folder to import it from if it is not installed."""

    name: str
    module: str
    path: Path | None = None


@click.command("check")
@click.argument("target", metavar="DIST|PATH")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the report as a Markdown table.")
@click.option(
    "--timeout",
    default=900.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds after which a plugin's process is ended.",
)
def command(target: str, as_json: bool, as_markdown: bool, timeout: float) -> None:
    """Check a plugin against the contracts of probe4d, in a process of its own.

    DIST is an installed distribution or plugin, PATH the folder of a plugin's project. Ends with 1
    if a check fails, and if the plugin provides nothing.
    """
    if as_json and as_markdown:
        raise UsageError("plugins check: expected --json or --markdown, got both.")
    reports = [check_plugin(one.name, one.module, one.path, timeout) for one in find_targets(target)]
    if as_json:
        found = [report.as_dict() for report in reports]
        click.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(report.as_markdown() if as_markdown else report.as_text() for report in reports))
    if not all(report.ok for report in reports):
        raise SystemExit(_say(reports))


def _say(reports: Iterable[Report]) -> int:
    failed = sum(report.counts["failed"] for report in reports)
    click.echo(f"{failed} check{'s' if failed != 1 else ''} failed.", err=True)
    return 1


def find_targets(target: str) -> list[Target]:
    """Return the plugins that a distribution, a plugin's name or a folder stands for. Imports none.

    Raises:
        UnknownNameError: nothing of that name is installed.
        UsageError: the folder is not that of a plugin.
    """
    if os.sep in target or target in (".", ".."):
        return _of_folder(Path(target))
    if dist_key(target) == BUILTIN:
        return [Target(BUILTIN, "probe4d.builtin.plugin")]
    installed = discover()
    names = {entry.name for entry in installed} | {entry.dist.name for entry in installed if entry.dist}
    found = [entry for entry in installed if entry.dist and dist_key(entry.dist.name) == dist_key(target)]
    found = found or [entry for entry in installed if dist_key(entry.name) == dist_key(target)]
    if found:
        return [Target(entry.name, entry.value) for entry in found]
    if Path(target).is_dir():
        return _of_folder(Path(target))
    raise UnknownNameError(f"{target!r}: no such plugin is installed, nor is it a folder.{did_you_mean(target, names)}")


def _of_folder(folder: Path) -> list[Target]:
    """Return the plugins of a project folder, as its pyproject.toml declares them."""
    file = folder / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text("utf-8")).get("project", {})
    except OSError as error:
        raise UsageError(f"{folder}: expected a folder with a pyproject.toml, {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: expected TOML, {error}.") from error
    points = project.get("entry-points", {}).get(GROUP, {})
    if not points:
        raise UsageError(f"{file}: expected [project.entry-points.{GROUP}], got none. It makes a package a plugin.")
    return [Target(name, module, _import_folder(folder, module)) for name, module in points.items()]


def _import_folder(folder: Path, module: str) -> Path:
    """Return the folder to put on the path, so that the module's package is found."""
    package = module.partition(".")[0]
    for candidate in (folder, folder / "src"):
        if (candidate / package).is_dir() or (candidate / f"{package}.py").is_file():
            return candidate.resolve()
    raise UsageError(f"{folder}: expected the package {package!r} here or in src/, got neither.")
