"""`probe4d bundle`."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import click


@click.command("bundle")
@click.argument("run", type=click.Path(file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="[default: RUN.probe4d.zip]")
@click.option(
    "--targets",
    type=click.Choice(["licensed", "all", "none"]),
    default="licensed",
    show_default=True,
    help="Which targets go in: those whose licence lets one pass them on, all of them, or none.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(run: Path, output: Path | None, targets: str, as_json: bool) -> None:
    """Write RUN as one archive: suite, versions, records, predictions, per-sample scores and targets.

    Anybody can score it again by `probe4d verify`, offline. What is left out is said, and why.
    """
    from probe4d.bundling.writing import write_bundle
    from probe4d.commands.plan import size_text
    from probe4d.records import RunFolder

    made = write_bundle(RunFolder(run), output or Path(f"{run.resolve().name}.probe4d.zip"), targets)
    if as_json:
        click.echo(json.dumps({**attrs.asdict(made), "path": str(made.path)}, indent=2))
        return
    click.echo(f"{made.path}: {made.cells} cells, {made.files} files, {size_text(made.bytes)}")
    for one in made.left_out:
        click.echo(f"left out: {one.what}: {one.reason}")
    click.echo(f"digest: {made.digest}")
