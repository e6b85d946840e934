"""Whether what a spec requires is installed, without importing it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterable
from operator import eq, ge, gt, le, lt, ne
from typing import Any

__all__ = ["unmet"]

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*((?:[<>=!~].*)?)")
_CLAUSE = re.compile(r"\s*(~=|==|!=|<=|>=|<|>)\s*([0-9][^\s,;]*)\s*")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {"==": eq, "!=": ne, "<=": le, ">=": ge, "<": lt, ">": gt}


def unmet(requirements: Iterable[str]) -> list[str]:
    """Return those of the requirements (`"torch>=2.4"`) that this environment does not meet.

    Only release numbers are compared (`2.13.0rc1` counts as `2.13.0`); a requirement that cannot
    be read counts as unmet, so that it is shown.
    """
    return [requirement for requirement in requirements if not _met(requirement)]


def _met(requirement: str) -> bool:
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        return False
    try:
        installed = importlib.metadata.version(match[1])
    except importlib.metadata.PackageNotFoundError:
        return False
    clauses = [clause for clause in match[2].split(",") if clause.strip()]
    return all(_clause_met(installed, clause) for clause in clauses)


def _clause_met(installed: str, clause: str) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        return False
    operator, wanted = match.groups()
    have, want = _release(installed), _release(wanted)
    if operator == "~=":  # compatible release: at least this, and the same up to the last number
        return have >= want and have[: len(want) - 1] == want[:-1]
    if wanted.endswith(".*"):
        return _COMPARE[operator](have[: len(want)], want)
    width = max(len(have), len(want))
    pad = (0,) * width
    return _COMPARE[operator]((have + pad)[:width], (want + pad)[:width])


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, match[1].split("."))) if match else ()
