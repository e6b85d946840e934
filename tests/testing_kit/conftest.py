"""Toys are made in the tests: a target that a spec can name, without a package around it."""

import sys
import types
from collections.abc import Callable, Iterable

import pytest

from probe4d.testing import CheckResult


@pytest.fixture
def target_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], str]:
    """Return a function that gives an object a target name."""

    def name(toy: object) -> str:
        module = types.ModuleType("probe4d_toys")
        module.toy = toy
        monkeypatch.setitem(sys.modules, "probe4d_toys", module)
        return "probe4d_toys:toy"

    return name


@pytest.fixture
def failed() -> Callable[[Iterable[CheckResult]], list[str]]:
    """Return a function that lists the names of the checks that failed."""

    def names(results: Iterable[CheckResult]) -> list[str]:
        return [result.name for result in results if result.status == "failed"]

    return names
