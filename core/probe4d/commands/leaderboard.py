"""`probe4d leaderboard`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("leaderboard")
@click.argument("runs", nargs=-1, required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("-a", "--aggregate", "aggregates", multiple=True, help="Add an aggregate (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, a row per backbone.")
def command(runs: tuple[Path, ...], aggregates: tuple[str, ...], as_json: bool) -> None:
    """Show the results of RUNS in one table, the best of each task marked."""
    from probe4d.records import RunFolder
    from probe4d.results import results_table
    from probe4d.tables import results_text

    results = results_table(record for run in runs for record in RunFolder(run).records())
    if not as_json:
        click.echo(results_text(results, aggregates))
        return
    added = {name: results.aggregate(name) for name in aggregates}
    rows = [
        {
            "backbone": backbone,
            "values": {column.label: results.value(backbone, column) for column in results.columns},
            "aggregates": {name: found.get(backbone) for name, found in added.items()},
        }
        for backbone in results.backbones
    ]
    click.echo(json.dumps(rows, indent=2))
