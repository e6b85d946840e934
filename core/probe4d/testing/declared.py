"""What an entry module says to the kit: `PROBE4D_CONFORMANCE`, a mapping of plain values.

PROBE4D_CONFORMANCE = {
    "small": {"vit-g": {"params": 4096, "options": {"width": 16}}},
    "expected_failed_checks": {"backbones/vit-g": {"batch_makes_no_difference": "why"}},
}
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import attrs

from probe4d.errors import UsageError, did_you_mean
from probe4d.testing.subject import Given

__all__ = ["declared_by", "expected_of"]

ATTRIBUTE = "PROBE4D_CONFORMANCE"
EXPECTED = "expected_failed_checks"


def declared_by(module: ModuleType) -> tuple[Given, Mapping[str, Mapping[str, str]]]:
    """Return what the module gives to the checks, and the failures that it expects, by `category/name`.

    Raises:
        UsageError: the mapping has a key that nothing reads.
    """
    stated = getattr(module, ATTRIBUTE, {})
    where = f"{module.__name__}.{ATTRIBUTE}"
    if not isinstance(stated, Mapping):
        raise UsageError(f"{where}: expected a mapping, got {type(stated).__name__}.")
    known = [attribute.name for attribute in attrs.fields(Given)] + [EXPECTED]
    for key in stated:
        if key not in known:
            raise UsageError(f"{where}: expected keys among {', '.join(known)}, got {key!r}.{did_you_mean(key, known)}")
    rest: dict[str, Any] = {key: value for key, value in stated.items() if key != EXPECTED}
    return Given(**rest), stated.get(EXPECTED, {})


def expected_of(expected: Mapping[str, Mapping[str, str]], known: list[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the expected failures once each of their keys is one of the known `category/name`.

    Raises:
        UsageError: a key names nothing that is checked.
    """
    for key in expected:
        if key not in known:
            raise UsageError(
                f"{EXPECTED}: expected keys among {', '.join(known)}, got {key!r}.{did_you_mean(key, known)}"
            )
    return expected
