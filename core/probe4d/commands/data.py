"""`probe4d data`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from probe4d.commands.set_options import put
from probe4d.errors import DataError, MissingExtraError, NothingSelectedError, UsageError, did_you_mean
from probe4d.registry import Entry, find, load_target, make
from probe4d.requirements import unmet

WHICH = re.compile(r"(?P<dataset>[^:\[\]]+):(?P<split>[^\[\]]+)\[(?P<sample>.+)\]")


@click.group("data")
def command() -> None:
    """Look at the samples of datasets."""


@command.command("show")
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
    options: dict[str, Any] = {"split": split, **_options(settings)}
    if root is not None:
        options["root"] = root
    opened = _open(entry, options)
    if prepare:
        _prepare(opened, entry.name)
    found = opened.load(_sample_id(opened.sample_ids(), which, f"{dataset}:{split}"))
    file = output or Path(f"{entry.spec.name}-{split}-{re.sub(r'[^A-Za-z0-9._-]', '_', found.id)}.png")
    _draw(found, file)
    click.echo(str(file))


def _open(entry: Entry, options: Mapping[str, Any]) -> Any:
    """Return the dataset; an option that it does not take is an error with the nearest name."""
    if not entry.unmet:  # else `make` says what to install
        taken = inspect.signature(load_target(entry.spec.target, entry.name)).parameters
        named = [name for name, parameter in taken.items() if parameter.kind is not parameter.VAR_KEYWORD]
        if len(named) == len(taken) and (unknown := sorted(set(options) - set(named))):
            raise UsageError(
                f"{entry.name}: expected options among {', '.join(named)}, got {unknown[0]!r}."
                f"{did_you_mean(unknown[0], named)}"
            )
    return make(entry, **options)


def _parse(sample: str) -> tuple[str, str, str]:
    found = WHICH.fullmatch(sample)
    if found is None:
        raise UsageError(f"sample: expected DATASET:SPLIT[POSITION or ID], as playroom:val[3], got {sample!r}.")
    return found["dataset"], found["split"], found["sample"]


def _options(settings: Sequence[str]) -> dict[str, Any]:
    """Return `KEY=VALUE`s with values read as TOML; what is no TOML value is a string. `a.b=1` sets b of a."""
    options: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        parts = path.split(".")
        if not equals or not all(part.isidentifier() for part in parts):
            raise UsageError(f"--set: expected KEY=VALUE, got {setting!r}.")
        put(options, parts, value, setting)
    return options


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


def _draw(sample: Any, file: Path) -> None:
    if unmet(["pillow"]):
        raise MissingExtraError("data show: needs the package 'pillow'. Run: pip install 'probe4d[png]'")
    contact_sheet = load_target("probe4d_datasets.contact_sheet:contact_sheet")
    temporary = file.with_name(f".{file.name}.part")
    try:
        contact_sheet(sample).save(temporary, format="PNG")
        temporary.replace(file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error}. Name another file by -o.") from error
    finally:
        temporary.unlink(missing_ok=True)
