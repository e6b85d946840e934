"""A suite: a TOML file that says which backbones are evaluated on which tasks, and how.

name = "quick"
tasks = ["playroom-points", "playroom-depth"]
protocols = ["frozen-quick"]
layers = [0.95]

[overrides."playroom-points"]
seed = 1
"""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.errors import UsageError, did_you_mean

__all__ = ["Suite", "load", "parse"]


def _strings(_suite: Suite, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, str) and item for item in value):
        raise UsageError(f"{attribute.name}: expected a list of names, got {_plain(value)!r}.")


def _layers(_suite: Suite, _attribute: attrs.Attribute[Any], value: object) -> None:
    """A layer is a number of blocks, or a depth in (0, 1]."""
    good = isinstance(value, tuple) and all(_is_layer(item) for item in value)
    if not good:
        raise UsageError(f"layers: expected depths in (0, 1] or numbers of blocks from 1, got {_plain(value)!r}.")


def _is_layer(item: object) -> bool:
    if isinstance(item, bool):
        return False
    return (isinstance(item, int) and item >= 1) or (isinstance(item, float) and 0 < item <= 1)


def _text(_suite: Suite, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{attribute.name}: expected text, got {value!r}.")


def _overrides(_suite: Suite, _attribute: attrs.Attribute[Any], value: object) -> None:
    tables = isinstance(value, Mapping) and all(isinstance(table, Mapping) for table in value.values())
    if not tables:
        raise UsageError(f'overrides: expected a table per name, [overrides."<task>"], got {value!r}.')


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _read_only(value: object) -> object:
    return MappingProxyType(dict(value)) if isinstance(value, Mapping) else value


@frozen(kw_only=True)
class Suite:
    """What a suite file holds.

    Attributes:
        backbones: may be empty; the command line adds to them.
        layers: depths as fractions in (0, 1], or numbers of blocks; empty leaves them to the protocol.
        overrides: by task name, options that differ from the task's own.
    """

    name: str = field(validator=_text)
    summary: str = field(default="", validator=_text)
    backbones: tuple[str, ...] = field(default=(), converter=_tuple, validator=_strings)
    tasks: tuple[str, ...] = field(default=(), converter=_tuple, validator=_strings)
    protocols: tuple[str, ...] = field(default=(), converter=_tuple, validator=_strings)
    layers: tuple[float | int, ...] = field(default=(), converter=_tuple, validator=_layers)
    aggregates: tuple[str, ...] = field(default=(), converter=_tuple, validator=_strings)
    overrides: Mapping[str, Mapping[str, Any]] = field(factory=dict, converter=_read_only, validator=_overrides)


KEYS = tuple(attribute.name for attribute in attrs.fields(Suite))


def load(source: str | Path) -> Suite:
    """Return the suite of a file, or of a package's resource (`"package:path/to/suite.toml"`).

    Raises:
        UsageError: there is no such file, it is not TOML, or it says something that a suite does not.
    """
    where = str(source)
    try:
        text = _resource(where) if isinstance(source, str) and ":" in where else Path(source).read_text("utf-8")
    except (OSError, ImportError) as error:
        raise UsageError(f"{where}: expected a suite file, {error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: expected UTF-8 text, {error}.") from error
    return parse(text, where)


def _resource(resource: str) -> str:
    package, _, path = resource.partition(":")
    return importlib.resources.files(package).joinpath(path).read_text("utf-8")


def parse(text: str, where: str) -> Suite:
    """Return the suite that this TOML text describes; `where` is named in messages.

    Raises:
        UsageError: it is not TOML, or it says something that a suite does not.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: expected TOML, {error}.") from error
    for key in content:
        if key not in KEYS:
            raise UsageError(f"{where}: expected keys among {', '.join(KEYS)}, got {key!r}.{did_you_mean(key, KEYS)}")
    if "name" not in content:
        raise UsageError(f'{where}: expected a name, got none. Write name = "…" at its top.')
    try:
        return Suite(**content)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
