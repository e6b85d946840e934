"""`probe4d data check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from probe4d.commands.data_options import dataset_options, draw_sheet, has_pillow
from probe4d.errors import DataError, NothingSelectedError, UsageError
from probe4d.listing import table
from probe4d.opening import open_dataset
from probe4d.registry import Entry, find, load_target

EPILOG = """\b
Examples:
  probe4d data check ssv2 --root /data/ssv2
  probe4d data check perception_test --root 'zip://::pt.zip' --dump targets.npz
  probe4d data check scannet --root /data/scannet --split train --limit 0 --json
"""
SHOWN = 10  # missing files and broken samples that the text names; --json names all
SHEETS = 4  # shapes that the picture shows


@click.command("check", epilog=EPILOG)
@click.argument("dataset")
@click.option("--root", help="Where the data lie: a folder or URL.")
@click.option("--split", help="Default: the one that the task is evaluated on, else the dataset's first.")
@click.option(
    "--limit", type=click.IntRange(min=0), help="Samples to open, spread over the split; 0: all. Default: 64."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the dataset (repeatable).")
@click.option("--task", help="Whose clips and rows --dump writes. Default: the dataset's own task.")
@click.option("--kind", help="Dump whole samples of this kind instead of a task's clips.")
@click.option("--dump", type=click.Path(dir_okay=False, path_type=Path), help="Write the evaluation targets: *.npz.")
@click.option("--dump-frames", is_flag=True, help="Add the sampled clips to the dump, uint8.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="PNG of the contact sheet.")
@click.option("--sheet/--no-sheet", default=True, help="Draw a sample of each shape.")
@click.option(
    "--max-broken", default=0.1, show_default=True, type=click.FloatRange(0, 1), help="Share that may be bad."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(
    dataset: str,
    root: str | None,
    split: str | None,
    settings: tuple[str, ...],
    limit: int | None,
    as_json: bool,
    max_broken: float,
    **options: Any,
) -> None:
    """Look whether DATASET lies as its loader expects, before anyone spends a GPU hour.

    Counts samples, names missing files, opens samples and draws one of each shape. With --dump it writes what
    predictions are scored against. Exit codes: 0 all is good, 1 some samples are missing or broken, 4 more than
    --max-broken of them are, or none can be read.
    """
    from probe4d.scoring.dump import task_of

    if options["dump_frames"] and options["dump"] is None:
        raise UsageError("--dump-frames: expected --dump OUT.npz beside it, got none.")
    entry = find("datasets", dataset)
    task = task_of(entry, options["task"])
    split = split or _split(entry, task)
    stated = dataset_options(root, settings)
    if task is not None:
        stated = {**task.spec.evaluate.options, **stated}
    checked = load_target("probe4d_datasets.checking:check_dataset")(
        open_dataset(entry, split, stated), None if limit == 0 else limit or 64
    )
    facts = {
        "schema": "probe4d/data-check/1",
        "dataset": entry.name,
        "split": split,
        "root": root,
        "licence": entry.spec.licence,
        "access": entry.spec.access,
        **checked.to_json(),
        "bad_share": checked.bad_share,
        "sheet": _sheet(checked, entry, split, options),
        "dump": _dump(entry, split, stated, task, limit, options),
    }
    click.echo(json.dumps(facts, indent=2) if as_json else _text(facts))
    click.get_current_context().exit(_exit_code(checked, max_broken))


def _exit_code(checked: Any, max_broken: float) -> int:
    if checked.bad_share > max_broken or not checked.shapes:
        return DataError.exit_code
    return int(bool(checked.missing or checked.broken or checked.absent))


def _split(entry: Entry, task: Entry | None) -> str:
    if task is not None:
        return str(task.spec.evaluate.split)
    if not entry.spec.splits:
        raise UsageError(f"--split: expected one, as the splits of {entry.name} are yours, got none.")
    return str(entry.spec.splits[0])


def _sheet(checked: Any, entry: Entry, split: str, options: dict[str, Any]) -> str | None:
    """Draw the examples and return the file's name; without Pillow say so, as nothing else hangs on it."""
    if not options["sheet"] or not checked.examples:
        return None
    if not has_pillow():
        click.echo("no contact sheet: it needs pillow. Run: pip install 'probe4d[png]'", err=True)
        return None
    file = options["output"] or Path(f"{entry.spec.name}-{split}-check.png")
    draw_sheet(checked.examples[:SHEETS], file)
    return str(file)


def _dump(
    entry: Entry, split: str, stated: dict[str, Any], task: Entry | None, limit: int | None, options: dict[str, Any]
) -> dict[str, Any] | None:
    from probe4d.scoring.dump import dump_targets, wanted

    if options["dump"] is None:
        return None
    what = wanted(entry, split, stated, task, options["kind"])
    try:
        done = dump_targets(what, options["dump"], frames=options["dump_frames"], limit=limit or None)
    except OSError as error:
        raise UsageError(f"--dump {options['dump']}: cannot be written: {error}.") from error
    except NothingSelectedError as error:
        raise DataError(str(error)) from error
    return {
        "file": str(done.file),
        "kind": done.kind,
        "task": done.task,
        "samples": done.samples,
        "left_out": [item._asdict() for item in done.left_out],
    }


def _text(facts: dict[str, Any]) -> str:
    lines = [f"{facts['dataset']}:{facts['split']}" + (f" at {facts['root']}" if facts["root"] else "")]
    lines += [f"licence: {facts['licence']}"] if facts["licence"] else []
    absent = facts["absent"]
    there = "" if absent is None else f", {facts['samples'] - absent:,} of them with their files"
    good = facts["opened"] - len(facts["broken"])
    lines.append(f"samples: {facts['samples']:,}{there}; {facts['opened']:,} opened, {good:,} good")
    missing = [(part["expected"], f"{part['reason']} (sample {part['id'] or 'any'})") for part in facts["missing"]]
    lines += _listed("missing", missing)
    lines += _listed("broken", [(one["id"], one["reason"].removeprefix(f"{one['id']}: ")) for one in facts["broken"]])
    if facts["shapes"]:
        lines += [
            "",
            table([["frames of", "length", "samples", "targets", "example"], *map(_row, facts["shapes"])]),
            "",
        ]
    if facts["sheet"]:
        lines.append(f"sheet: {facts['sheet']}")
    if dump := facts["dump"]:
        of = f"clips of the task {dump['task']}" if dump["task"] else "whole samples"
        left = len(dump["left_out"])
        lines.append(f"dump: {dump['file']}, {dump['kind']} of {dump['samples']:,} {of}, {left:,} left out")
    return "\n".join(lines)


def _row(shape: dict[str, Any]) -> list[str]:
    (height, width), (low, high) = shape["size"], shape["frames"]
    length = f"{low}" if low == high else f"{low} to {high}"
    return [f"{width}x{height}", length, f"{shape['samples']:,}", ", ".join(shape["targets"]), shape["example"]]


def _listed(what: str, items: list[tuple[str, str]]) -> list[str]:
    if not items:
        return []
    more = [f"  and {len(items) - SHOWN:,} more; --json names them"] if len(items) > SHOWN else []
    return [f"{what}: {len(items):,}", *(f"  {name}: {reason}" for name, reason in items[:SHOWN]), *more]
