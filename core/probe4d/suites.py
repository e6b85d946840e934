"""A suite: a TOML file that says which backbones are evaluated on which tasks, and how.

    name = "quick"
    backbones = ["pixels", {name = "4ds-mini", weights = "mini-seed-1.npz", label = "mini-1"}]
    tasks = ["playroom-points", "playroom-depth"]
    protocols = ["frozen-quick"]
    layers = [0.95]
    aggregates = ["mean_rank", {name = "relative_to_baseline", baseline = "pixels"}]

    [clip]
    size = [64, 64]

    [data.playroom]
    size = [64, 64]

    [data.playroom.train]
    length = 512

    [overrides.frozen-quick]
    steps = 100

`clip` changes how the clips of every task are cut. `data` says how datasets are opened: options, and tables
of options for one split. `overrides` changes fields of tasks and protocols by name.
"""

from __future__ import annotations

import importlib.resources
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.aggregating import aggregations
from probe4d.errors import UsageError, did_you_mean
from probe4d.spec_fields import ReadOnly

__all__ = ["BACKBONE_KEYS", "Suite", "find_suite", "load", "parse", "to_toml"]

BACKBONE_KEYS = ("name", "label", "weights", "seed", "options")


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


def _name(suite: Suite, attribute: attrs.Attribute[Any], value: object) -> None:
    _text(suite, attribute, value)
    if not value:
        raise UsageError(f"{attribute.name}: expected a name, got an empty one.")


def _backbones(_suite: Suite, _attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple):
        raise UsageError(f"backbones: expected a list of names or tables, got {value!r}.")
    for item in value:
        if isinstance(item, str) and item:
            continue
        if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
            raise UsageError(f'backbones: expected names or tables {{name = "…", weights = "…"}}, got {item!r}.')
        for key in item:
            if key not in BACKBONE_KEYS:
                near = did_you_mean(key, BACKBONE_KEYS)
                raise UsageError(f"backbones: expected keys among {', '.join(BACKBONE_KEYS)}, got {key!r}.{near}")


def _aggregates(_suite: Suite, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple):
        raise UsageError(f"{attribute.name}: expected a list of names or tables, got {value!r}.")
    aggregations(value)


def _tables(_suite: Suite, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(table, Mapping) for table in value.values()):
        name = attribute.name
        raise UsageError(f"{name}: expected a table per name, [{name}.<name>], got {value!r}.")


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _read_only(value: object) -> object:
    return ReadOnly(value) if isinstance(value, Mapping) else value


@frozen(kw_only=True)
class Suite:
    """What a suite file holds.

    Attributes:
        backbones: names, or tables with any of `BACKBONE_KEYS`; may be empty, the command line adds to them.
        aggregates: names, or tables of a name and its options.
        layers: depths as fractions in (0, 1], or numbers of blocks; empty leaves them to the protocol.
        clip: fields of the clips of every task that differ from the task's own, as `size`.
        data: by dataset name, the options it is opened with; a table inside is for the split of that name.
        overrides: by name of a task or protocol, fields that differ from its own.
    """

    name: str = field(validator=_name)
    summary: str = field(default="", validator=_text)
    backbones: tuple[str | Mapping[str, Any], ...] = field(default=(), converter=_tuple, validator=_backbones)
    tasks: tuple[str, ...] = field(default=(), converter=_tuple, validator=_strings)
    protocols: tuple[str, ...] = field(default=(), converter=_tuple, validator=_strings)
    layers: tuple[float | int, ...] = field(default=(), converter=_tuple, validator=_layers)
    aggregates: tuple[str | Mapping[str, Any], ...] = field(default=(), converter=_tuple, validator=_aggregates)
    clip: Mapping[str, Any] = field(factory=dict, converter=_read_only)
    data: Mapping[str, Mapping[str, Any]] = field(factory=dict, converter=_read_only, validator=_tables)
    overrides: Mapping[str, Mapping[str, Any]] = field(factory=dict, converter=_read_only, validator=_tables)

    def backbone_names(self) -> tuple[str, ...]:
        """Return the names of the backbones, whether they stand alone or in tables."""
        return tuple(item if isinstance(item, str) else item["name"] for item in self.backbones)


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


def find_suite(name: str) -> Suite:
    """Return the suite of a file, or the installed one of that name.

    Raises:
        UsageError: there is neither, or the file is not a suite.
    """
    if name.endswith(".toml") or ("/" in name and Path(name).exists()):
        return load(Path(name))
    from probe4d.registry import find

    return load(find("suites", name).spec.resource)


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


def to_toml(suite: Suite) -> str:
    """Return the TOML text of a suite, which `parse` reads back to an equal one."""
    values = {attribute.name: getattr(suite, attribute.name) for attribute in attrs.fields(Suite)}
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value and not isinstance(value, Mapping)]
    lines += [f"[{key}]\n{_table(value)}" for key, value in values.items() if value and isinstance(value, Mapping)]
    return "\n".join(lines) + "\n"


def _table(value: Mapping[str, Any]) -> str:
    return "\n".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # JSON's strings, integers, finite floats and booleans are TOML's.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)
