"""`probe4d compare`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from probe4d.errors import UsageError


@click.command("compare")
@click.argument("first", type=click.Path(file_okay=False, path_type=Path))
@click.argument("second", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--backbones", nargs=2, metavar="A B", help="Compare A of the first run with B of the second.")
@click.option("--resamples", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(
    first: Path,
    second: Path | None,
    backbones: tuple[str, str] | None,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Compare two runs cell by cell, paired by sample: differences, intervals, or "too close to call".

    With one run, --backbones A B compares two of its backbones.
    """
    from probe4d.records import RunFolder
    from probe4d.results import compare_runs
    from probe4d.tables import comparison_text

    if second is None and not backbones:
        raise UsageError("compare: expected two runs, or one and --backbones A B, got one run.")
    found = compare_runs(
        RunFolder(first), RunFolder(second or first), pair=backbones or None, resamples=resamples, seed=seed
    )
    click.echo(json.dumps([one.to_json() for one in found], indent=2) if as_json else comparison_text(found))
