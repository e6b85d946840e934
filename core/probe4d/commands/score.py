"""`probe4d score`: the benchmark's numbers for predictions that any program made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from probe4d.atomic import write_text

EPILOG = """\b
Examples:
  probe4d score points --predictions P.npz --targets T.npz --json
  probe4d score depth --predictions P.zarr --targets T.zarr --align median --align-per frame
  probe4d score boxes --format mot --match first-overlap \\
      --predictions 'tracker/*.txt' --targets 'MOT17/train/*/gt/gt.txt'
  probe4d score --schema points
"""


@click.command("score", epilog=EPILOG)
@click.argument("kind", required=False)
@click.option("--predictions", metavar="PATH", help="File, folder or URL of the predictions.")
@click.option("--targets", metavar="PATH", help="The same of the targets; a task takes them from its dataset.")
@click.option("--against", metavar="PATH", help="A second file of predictions, compared sample by sample.")
@click.option("--format", "formats", multiple=True, metavar="[ROLE=]FORMAT", help="npz, zarr, jsonl, parquet, mot, …")
@click.option("--meta", "meta", multiple=True, metavar="[ROLE.]KEY=VALUE", help="State a convention (repeatable).")
@click.option("--match", metavar="HOW", help="How boxes are associated: rows, ids or first-overlap.")
@click.option("--align", metavar="HOW", help="Fit scale-free predictions: none, median, scale, scale_shift, disparity.")
@click.option("--align-per", metavar="WHAT", help="One fit per clip (default) or per frame.")
@click.option(
    "--missing",
    default="error",
    show_default=True,
    metavar="error|worst|skip",
    help="What targets without a prediction are.",
)
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric (repeatable).")
@click.option("--data-root", metavar="URL", help="Where the task's dataset lies.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--per-sample", metavar="FILE", type=click.Path(dir_okay=False), help="Write a JSON line per sample.")
@click.option("--schema", "schema_only", is_flag=True, help="Print the JSON Schema of KIND (or of: answer).")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the bootstrap.")
@click.option("--resamples", default=1000, show_default=True, type=click.IntRange(0, 1_000_000), help="Of it; 0: none.")
@click.option(
    "--max-array-bytes", default=2 << 30, show_default=True, type=click.IntRange(min=1), help="Limit for one array."
)
def command(kind: str | None, as_json: bool, per_sample: str | None, schema_only: bool, **options: Any) -> None:
    """Score predictions of KIND (points, depth, pose, boxes, labels, or a plugin's; or a task).

    A file states its conventions in its `meta`, or --meta does; nothing is guessed. Exit code 2 for a
    wrong call, 4 for a wrong file; nothing is printed to stdout then.
    """
    if kind is None:
        raise click.UsageError(
            "expected a KIND (points, depth, pose, boxes, labels) or a task. See `probe4d list kinds`."
        )
    if schema_only:
        click.echo(_schema(kind))
        return
    if options["predictions"] is None:
        raise click.UsageError("expected --predictions PATH, got none.")
    from probe4d.scoring.answer import per_sample_lines, table_text
    from probe4d.scoring.api import score
    from probe4d.scoring.conventions import parse_options
    from probe4d.scoring.formats import split_by_role

    answer = score(
        kind,
        options.pop("predictions"),
        options.pop("targets"),
        meta=parse_options(options.pop("meta")),
        formats=split_by_role("--format", options.pop("formats")),
        metrics=tuple(options.pop("metrics")),
        **options,
    )
    if per_sample is not None:
        _write_whole(Path(per_sample), per_sample_lines(answer))
    click.echo(answer.to_json() if as_json else table_text(answer))


def _schema(name: str) -> str:
    from probe4d.registry import find, make
    from probe4d.scoring.schema import answer_schema, input_schema

    if name == "answer":
        return json.dumps(answer_schema(), indent=2, ensure_ascii=False)
    entry = find("kinds", name)
    return json.dumps(input_schema(make(entry), entry.spec.name, entry.spec.schema), indent=2, ensure_ascii=False)


def _write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all; a folder that is not there is a slip of the pen, and is not made."""
    try:
        path.parent.stat()
        write_text(path, text)
    except OSError as error:
        raise click.UsageError(f"--per-sample {path}: expected a file that can be written, got: {error}.") from error
