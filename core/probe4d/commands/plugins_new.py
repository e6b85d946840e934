"""`probe4d plugins new`: write a plugin package that works, to be changed into one's own."""

from __future__ import annotations

from pathlib import Path

import click

from probe4d.scaffold import KINDS, check_name, write

__all__ = ["command"]


@click.command("new")
@click.argument("name")
@click.option("--kind", required=True, metavar="|".join(KINDS), help="What the plugin provides.")
@click.option(
    "--output",
    "-o",
    default=".",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write the project's folder in.",
)
def command(name: str, kind: str, output: Path) -> None:
    """Write a complete plugin called NAME: code that works, its tests, and what makes it installable."""
    written = write(name, kind, output)
    folder = written if written.is_absolute() else f"./{written}"
    short = check_name(name)
    click.echo(f"Wrote {folder}. Next:")
    for line in (
        f"pip install -e '{folder}[{'jax,test' if KINDS[kind].needs_jax else 'test'}]'",
        f"probe4d info {short}/{short}",
        f"pytest {folder}",
        f"probe4d plugins check {written.name}",
    ):
        click.echo(f"  {line}")
