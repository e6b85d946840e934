"""`probe4d suite`: show, validate, new."""

from __future__ import annotations

from pathlib import Path

import click

from probe4d import suites
from probe4d.errors import UsageError
from probe4d.registry import registry


@click.group("suite")
def command() -> None:
    """Look at suites, check them, and write a new one."""


@command.command()
@click.argument("suite")
def show(suite: str) -> None:
    """Print SUITE, a file or an installed one, as TOML with what it leaves out filled in."""
    click.echo(suites.to_toml(suites.find_suite(suite)), nl=False)


@command.command()
@click.argument("suite")
def validate(suite: str) -> None:
    """Check that SUITE says nothing unknown and that every name in it resolves."""
    from probe4d.aggregating import check_aggregates
    from probe4d.planning.resolve import select

    read = suites.find_suite(suite)
    if read.backbones:
        chosen = select(read, registry())
    else:
        # The command line names the backbones of such a suite; any will do to check the rest.
        anybody = registry().entries("backbones")
        if not anybody:
            raise UsageError(f"suite {read.name!r}: it names no backbone, and none is installed to check it with.")
        chosen = select(read, registry(), [anybody[0].name])
    labels = [backbone.ref.label for backbone in chosen.backbones] if read.backbones else []
    check_aggregates(read.aggregates, labels, [task.name for task in chosen.tasks])
    click.echo(
        f"{read.name}: {len(read.backbones)} backbones, {len(chosen.tasks)} tasks, {len(chosen.protocols)} protocols"
    )


@command.command()
@click.argument("name")
@click.option("-t", "--task", "tasks", multiple=True, required=True, help="A task (repeatable).")
@click.option("-b", "--backbone", "backbones", multiple=True, help="A backbone (repeatable).")
@click.option("--protocol", default="frozen-quick", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write [NAME.toml].")
def new(name: str, tasks: tuple[str, ...], backbones: tuple[str, ...], protocol: str, output: Path | None) -> None:
    """Write a suite file of these tasks and backbones, their names checked."""
    known = registry()
    file = output or Path(f"{name}.toml")
    if file.exists():
        raise UsageError(f"{file}: it exists. Choose another by --output.")
    made = suites.Suite(
        name=name,
        tasks=tuple(known.find("tasks", task).name for task in tasks),
        backbones=tuple(known.find("backbones", backbone).name for backbone in backbones),
        protocols=(known.find("protocols", protocol).name,),
    )
    file.write_text(suites.to_toml(made), encoding="utf-8")
    click.echo(str(file))
