"""`probe4d data show`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from probe4d.commands.data_options import dataset_options, draw_sheet
from probe4d.errors import DataError, NothingSelectedError, UsageError, did_you_mean
from probe4d.opening import open_dataset
from probe4d.registry import find

WHICH = re.compile(r"(?P<dataset>[^:\[\]]+):(?P<split>[^\[\]]+)\[(?P<sample>.+)\]")


@click.command("show")
@click.argument("sample")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="PNG to write.")
@click.option("--root", help="Where the data lie: a folder or URL.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the dataset (repeatable).")
@click.option("--prepare", is_flag=True, help="Make all samples of the split first, where the dataset can.")
def show(sample: str, output: Path | None, root: str | None, settings: tuple[str, ...], prepare: bool) -> None:
    """Draw SAMPLE as a contact sheet: frames with boxes, tracks, depth, the camera's path.

    SAMPLE is DATASET:SPLIT[POSITION], as playroom:val[3], or DATASET:SPLIT[id=ID]; an ID that is not
    a whole number needs no id=. Prints the name of the PNG that it writes.
    """
    dataset, split, which = _parse(sample)
    entry = find("datasets", dataset)
    opened = open_dataset(entry, split, dataset_options(root, settings))
    if prepare:
        _prepare(opened, entry.name)
    found = opened.load(_sample_id(opened.sample_ids(), which, f"{dataset}:{split}"))
    file = output or Path(f"{entry.spec.name}-{split}-{re.sub(r'[^A-Za-z0-9._-]', '_', found.id)}.png")
    draw_sheet([found], file)
    click.echo(str(file))


def _parse(sample: str) -> tuple[str, str, str]:
    found = WHICH.fullmatch(sample)
    if found is None:
        raise UsageError(f"sample: expected DATASET:SPLIT[POSITION or ID], as playroom:val[3], got {sample!r}.")
    return found["dataset"], found["split"], found["sample"]


def _prepare(dataset: Any, name: str) -> None:
    if not hasattr(dataset, "prepare"):
        raise UsageError(f"{name}: expected a dataset that makes its samples, got one that reads them. Drop --prepare.")
    dataset.prepare()


def _sample_id(ids: Sequence[str], which: str, where: str) -> str:
    if not ids:
        raise NothingSelectedError(f"{where}: expected samples, got none.")
    if re.fullmatch(r"-?\d+", which):
        position = int(which)
        if not -len(ids) <= position < len(ids):
            raise UsageError(f"{where}: expected a position from 0 to {len(ids) - 1}, got {position}.")
        return ids[position]
    wanted = which.removeprefix("id=")
    if wanted not in ids:
        raise DataError(f"{where}: there is no sample {wanted!r} among {len(ids)}.{did_you_mean(wanted, ids)}")
    return wanted
