"""`probe4d verify`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import attrs
import click

SHOWN = 5  # differences of a cell that the text names; --json has all


@click.command("verify")
@click.argument("bundle", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--targets",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of targets that the bundle leaves out, as <run>/targets.",
)
@click.option("--max-bytes", default="100GB", show_default=True, help="What it may unpack to.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(bundle: Path, targets: Path | None, max_bytes: str, as_json: bool) -> None:
    """Score the predictions of BUNDLE again, offline, and compare every number with its records.

    Exit codes: 0 every number is the same; 1 one is not, or a cell could not be scored again; 4 the bundle is
    damaged or was tampered with.
    """
    from probe4d.bundling.reading import unpack
    from probe4d.bundling.verifying import check_aggregates_again, check_cells
    from probe4d.store.pruning import parse_bytes

    with tempfile.TemporaryDirectory(prefix="probe4d-verify-") as folder:
        opened = unpack(bundle, Path(folder), parse_bytes(max_bytes))
        checked = [*check_cells(opened, targets), *check_aggregates_again(opened)]
    sound = all(one.sound for one in checked)
    if as_json:
        cells = [{**attrs.asdict(one), "sound": one.sound} for one in checked]
        left_out = opened.manifest["left_out"]
        click.echo(
            json.dumps({"digest": opened.digest, "sound": sound, "cells": cells, "left_out": left_out}, indent=2)
        )
    else:
        click.echo(_text(bundle, opened, checked))
    click.get_current_context().exit(0 if sound else 1)


def _text(bundle: Path, opened: Any, checked: list[Any]) -> str:
    facts = opened.manifest
    files = f"{len(facts['files'])} files as the manifest has them"
    lines = [f"{bundle}: run {facts['run_id']} of suite {facts['suite']}, probe4d {facts['probe4d']}; {files}"]
    lines += [f"left out: {one['what']}: {one['reason']}" for one in facts["left_out"]]
    for one in checked:
        if one.problem is not None:
            lines.append(f"{one.cell}: not scored again: {one.problem}")
        elif one.differences:
            lines.append(f"{one.cell}: {len(one.differences)} of {one.numbers} numbers differ")
            lines += [f"  {item.where}: stated {item.stated}, found {item.found}" for item in one.differences[:SHOWN]]
        else:
            lines.append(f"{one.cell}: {one.numbers} numbers, all the same")
    lines.append(f"digest: {opened.digest}")
    lines.append("verified" if all(one.sound for one in checked) else "NOT verified")
    return "\n".join(lines)
