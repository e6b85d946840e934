"""What `meta` states, by the files and by `--meta`: checked, agreed, complete. Nothing is guessed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from probe4d.contracts import Kind, MetaKey, Role
from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d.scoring.asides import ABOUT

__all__ = ["ROLES", "parse_options", "resolve", "stated_for"]

ROLES: tuple[Role, ...] = ("predictions", "targets")


def parse_options(options: tuple[str, ...]) -> dict[str, Any]:
    """Return `{key: value}` of `key=value` texts; a value that is JSON is read as such.

    Raises:
        UsageError: there is no `=`, or a key is given twice.
    """
    found: dict[str, Any] = {}
    for option in options:
        key, separator, text = option.partition("=")
        key = key.strip()
        if not separator or not key:
            raise UsageError(f"--meta: expected key=value, got {option!r}.")
        if key in found:
            raise UsageError(f"--meta {key}: expected it once, got it twice.")
        found[key] = _value(text.strip())
    return found


def _value(text: str) -> Any:
    """Return a number, list, boolean or plain text; `480x640` and `480,640` are lists."""
    for candidate in (text, f"[{text}]", f"[{text.replace('x', ',')}]"):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    return text


def stated_for(role: Role, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was stated for one file: keys without a prefix, and those with its own."""
    plain = {key: value for key, value in stated.items() if key.partition(".")[0] not in ROLES}
    own = {key.partition(".")[2]: value for key, value in stated.items() if key.partition(".")[0] == role}
    return {**plain, **own}


def resolve(
    kind: Kind,
    schema: str,
    files: Mapping[Role, tuple[str, Mapping[str, Any]]],
    stated: Mapping[str, Any],
) -> dict[Role, dict[str, Any]]:
    """Return the conventions of both files, each key of the kind that applies.

    Args:
        files: by role, the file's name and its own `meta`.
        stated: what `--meta` says, keys with or without `predictions.` or `targets.`.

    Raises:
        DataError: a file states an unknown key, a wrong value or another schema, or the files disagree.
        UsageError: `--meta` does so, contradicts a file, or both are silent where something must be stated.
    """
    _check_known(kind, stated)
    resolved = {role: _of_role(kind, schema, role, files[role], stated) for role in ROLES}
    for key in kind.meta("predictions"):
        spec = kind.meta("predictions")[key]
        values = [resolved[role].get(key) for role in ROLES]
        if spec.agree and None not in values and values[0] != values[1]:
            raise DataError(
                f"{files['predictions'][0]}: meta.{key}: expected {values[1]!r} as {files['targets'][0]} states, "
                f"got {values[0]!r}. Convert one of them."
            )
    return resolved


def _check_known(kind: Kind, stated: Mapping[str, Any]) -> None:
    known = {role: set(kind.meta(role)) for role in ROLES}
    for key in stated:
        prefix, _, rest = key.partition(".")
        name, names = (rest, known[prefix]) if prefix in ROLES else (key, known["predictions"] | known["targets"])
        if name not in names:
            listed = ", ".join(sorted(names)) or "no key"
            raise UsageError(f"--meta {key}: expected one of {listed}.{did_you_mean(name, names)}")


def _of_role(
    kind: Kind, schema: str, role: Role, file: tuple[str, Mapping[str, Any]], stated: Mapping[str, Any]
) -> dict[str, Any]:
    name, own = file
    specs = kind.meta(role)
    found: dict[str, Any] = {}
    for key, value in own.items():
        if key == "schema":
            _check_schema(name, value, schema)
        elif key == ABOUT:
            continue
        elif key not in specs:
            listed = ", ".join(["schema", *specs])
            raise DataError(f"{name}: meta: expected keys of {listed}, got {key!r}.{did_you_mean(key, specs)}")
        else:
            found[key] = _checked(f"{name}: meta.{key}", specs[key], value, DataError)
    for key, value in stated_for(role, stated).items():
        if key not in specs:
            continue  # a key without prefix that only the other file has
        value = _checked(f"--meta {key}", specs[key], value, UsageError)
        if found.get(key, value) != value:
            raise UsageError(
                f"--meta {key}: {name} states {found[key]!r} itself, got {value!r}. "
                f"Leave it out, or write {role}.{key} for the file that is silent."
            )
        found[key] = value
    return _completed(name, role, specs, found)


def _check_schema(name: str, value: Any, schema: str) -> None:
    if value != schema:
        raise DataError(f"{name}: meta.schema: expected {schema!r}, got {value!r}. Score it as the kind that it is.")


def _completed(name: str, role: Role, specs: Mapping[str, MetaKey], found: dict[str, Any]) -> dict[str, Any]:
    """Add defaults; what must be stated and is not ends here."""
    complete = dict(found)
    for key, spec in specs.items():
        if key in complete:
            continue
        if spec.default is not None:
            complete[key] = spec.default
    for key, spec in specs.items():
        applies = spec.only_if is None or complete.get(spec.only_if[0]) == spec.only_if[1]
        if spec.required and applies and key not in complete:
            choices = ", ".join(spec.choices) or spec.type
            raise UsageError(
                f"{name}: meta.{key} is stated neither by the file nor by --meta: {spec.summary or key}. "
                f"Add --meta {role}.{key}=<value>, one of: {choices}."
            )
    return complete


def _checked(where: str, spec: MetaKey, value: Any, error: type[DataError] | type[UsageError]) -> Any:
    if spec.choices:
        text = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
        if not isinstance(text, str) or text not in spec.choices:
            near = did_you_mean(text, spec.choices) if isinstance(text, str) else ""
            raise error(f"{where}: expected one of {', '.join(spec.choices)}, got {value!r}.{near}")
        return text
    expected, convert = TYPES[spec.type]
    converted = convert(value)
    if converted is None:
        raise error(f"{where}: expected {expected}, got {str(value)[:80]!r}.")
    return converted


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e300 and math.isfinite(value) else None


def _numbers(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    first, second = (_number(item) for item in value)
    return None if first is None or second is None else (first, second)


def _size(value: Any) -> tuple[float, float] | str | None:
    if value == "same":
        return "same"
    pair = _numbers(value)
    return pair if pair and min(pair) > 0 else None


def _range(value: Any) -> tuple[float, float] | None:
    pair = _numbers(value)
    return pair if pair and pair[0] < pair[1] else None


def _names(value: Any) -> tuple[str, ...] | int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    return tuple(value) if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value) else None


TYPES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "string": ("text", lambda value: value if isinstance(value, str) else None),
    "number": ("a finite number", _number),
    "boolean": ("true or false", lambda value: value if isinstance(value, bool) else None),
    "size": ("[height, width], or 'same' where both files are in pixels of the same image", _size),
    "range": ("[low, high] with low < high", _range),
    "names": ("a list of names, or how many there are", _names),
}
