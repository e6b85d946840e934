"""What the commands of `probe4d data` share: options of a dataset, and the contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from probe4d.atomic import replacing
from probe4d.commands.set_options import put
from probe4d.contracts import Sample
from probe4d.errors import MissingExtraError, UsageError
from probe4d.registry import load_target
from probe4d.requirements import unmet

__all__ = ["dataset_options", "draw_sheet", "has_pillow"]


def dataset_options(root: str | None, settings: Sequence[str]) -> dict[str, Any]:
    """Return the options of `--root` and of `--set KEY=VALUE`s.

    Values are read as TOML; what is no TOML value is a string. `a.b=1` sets b of a.
    """
    options: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        parts = path.split(".")
        if not equals or not all(part.isidentifier() for part in parts):
            raise UsageError(f"--set: expected KEY=VALUE, got {setting!r}.")
        put(options, parts, value, setting)
    return options if root is None else {**options, "root": root}


def has_pillow() -> bool:
    """Say whether sheets can be drawn."""
    return not unmet(["pillow"])


def draw_sheet(samples: Sequence[Sample], file: Path) -> None:
    """Write the contact sheets of samples, one above the other, as one PNG, whole or not at all.

    Raises:
        MissingExtraError: Pillow is not installed.
        UsageError: the file cannot be written.
    """
    if not has_pillow():
        raise MissingExtraError("contact sheet: needs the package 'pillow'. Run: pip install 'probe4d[png]'")
    contact_sheets = load_target("probe4d_datasets.contact_sheet:contact_sheets")
    sheet = contact_sheets(samples)
    try:
        with replacing(file) as temporary:
            sheet.save(temporary, format="PNG")
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error}. Name another file by -o.") from error
