"""`probe4d leaderboard`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command("leaderboard")
@click.argument("runs", nargs=-1, required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "-a",
    "--aggregate",
    "aggregates",
    multiple=True,
    metavar="NAME[,OPTION=VALUE]",
    help="Show this aggregate (repeatable); by default those that the runs' suites name.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, a row per backbone.")
def command(runs: tuple[Path, ...], aggregates: tuple[str, ...], as_json: bool) -> None:
    """Show the results of RUNS in one table, the best of each task marked."""
    from probe4d.aggregating import Aggregation
    from probe4d.records import RunFolder
    from probe4d.results import records_of, results_table
    from probe4d.tables import results_text

    results = results_table(record for run in runs for record in records_of(RunFolder(run)))
    named = tuple(map(Aggregation.from_text, aggregates)) or _of_suites(runs)
    if not as_json:
        click.echo(results_text(results, named))
        return
    added = {one.label: results.aggregate(one.name, **one.options) for one in named}
    rows = [
        {
            "backbone": backbone,
            "values": {column.label: results.value(backbone, column) for column in results.columns},
            "aggregates": {name: found.get(backbone) for name, found in added.items()},
        }
        for backbone in results.backbones
    ]
    click.echo(json.dumps(rows, indent=2))


def _of_suites(runs: tuple[Path, ...]) -> tuple[Any, ...]:
    """Return the aggregates of the suites of these runs, each once; a run without its suite has none."""
    from probe4d.aggregating import aggregations
    from probe4d.suites import load

    files = [run / "suite.toml" for run in runs]
    found = [one for file in files if file.is_file() for one in aggregations(load(file).aggregates)]
    return tuple(one for number, one in enumerate(found) if one not in found[:number])
