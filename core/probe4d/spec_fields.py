"""What the fields of specs are checked by: small validators that name the spec, the field and what it got."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from attrs import field

from probe4d.errors import UsageError

__all__ = [
    "NAME",
    "TARGET",
    "ReadOnly",
    "as_tuple",
    "fail",
    "flag",
    "one_of",
    "optional_text",
    "options",
    "positive",
    "strings",
    "text",
    "tuple_of",
    "typed",
    "valid_name",
    "valid_target",
    "whole",
]

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def fail(instance: object, attribute: attrs.Attribute[Any], expected: str, got: object) -> None:
    owner = getattr(instance, "name", None)
    where = f"{type(instance).__name__} {owner!r}" if owner else type(instance).__name__
    raise UsageError(f"{where}.{attribute.name}: expected {expected}, got {got!r}.")


def valid_name(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        fail(instance, attribute, "lower-case letters, digits, '.', '_' and '-'", value)


def valid_target(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not TARGET.fullmatch(value):
        fail(instance, attribute, "'package.module:attribute'", value)


def typed(expected: str, *types: type) -> Any:
    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            fail(instance, attribute, expected, value)

    return check


def tuple_of(expected: str, *types: type) -> Any:
    def check(instance: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
        for item in value:
            if not isinstance(item, types) or isinstance(item, bool):
                fail(instance, attribute, f"a tuple of {expected}", value)

    return check


def positive(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        fail(instance, attribute, "an integer of at least 1", value)


def whole(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        fail(instance, attribute, "an integer of at least 0", value)


def one_of(*choices: str) -> Any:
    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in choices:
            fail(instance, attribute, " or ".join(map(repr, choices)), value)

    return check


def as_tuple(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        raise UsageError(f"expected a sequence of values, got the string {value!r}. Write ({value!r},).")
    return tuple(value)


class ReadOnly(Mapping[str, Any]):
    """A mapping that cannot be changed and, unlike `MappingProxyType`, can be pickled."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


text = typed("a string", str)
optional_text = attrs.validators.optional(text)
flag = typed("true or false", bool)


def strings() -> Any:
    """Return an attrs field that holds a tuple of strings."""
    return field(default=(), converter=as_tuple, validator=tuple_of("strings", str))


def options() -> Any:
    """Return an attrs field that holds a read-only mapping."""
    return field(factory=dict, converter=ReadOnly)
