"""`--set A.B=VALUE` as nested tables: values are read as TOML, and what is no TOML value is a string."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from probe4d.errors import UsageError

__all__ = ["put", "runner_options", "toml_value"]


def put(tables: dict[str, Any], path: Sequence[str], text: str, setting: str) -> None:
    """Set the value at a path of nested tables, making those that are not there.

    Args:
        setting: what the user wrote, for the message.

    Raises:
        UsageError: a part of the path has a value already.
    """
    *outer, key = path
    for part in outer:
        tables = tables.setdefault(part, {})
        if not isinstance(tables, dict):
            raise UsageError(f"--set: {setting!r} sets a part of {part!r}, which has a value. Drop one of the two.")
    tables[key] = toml_value(text)


def runner_options(scheduler: str | None, settings: Sequence[str]) -> dict[str, Any]:
    """Return a runner's options: `--runner-set timeout=60 --runner-set ask.extract.GPU=1` and `--scheduler`.

    Raises:
        UsageError: a setting has no value.
    """
    options: dict[str, Any] = {} if scheduler is None else {"scheduler": scheduler}
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign or not all(name.split(".")):
            raise UsageError(f"--runner-set: expected NAME=VALUE, got {setting!r}.")
        put(options, name.split("."), text, setting)
    return options


def toml_value(text: str) -> Any:
    """Return a TOML value; what is none is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
