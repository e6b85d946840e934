"""The kit in pytest: a decorator that makes one test per check, and a fixture without ambient plugins.

The fixture is had by `from probe4d.testing.pytest_plugin import probe4d_pm` in a conftest.py, or by
`pytest_plugins = ["probe4d.testing.pytest_plugin"]` in the topmost one.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from probe4d import loader
from probe4d import registry as registries
from probe4d.registry import Registry
from probe4d.testing.battery import Battery
from probe4d.testing.conformance import battery, category_of
from probe4d.testing.declared import declared_by, expected_of
from probe4d.testing.subject import Given, hermetic_registry

__all__ = ["ParametrizedCheck", "PluginManager", "parametrize_with_checks", "probe4d_pm"]


class ParametrizedCheck:
    """One check of one spec as a test calls it: passes, fails, skips, or fails as announced."""

    def __init__(self, name: str, checks: Battery[Any]) -> None:
        self.name = name
        self._checks = checks

    def __call__(self) -> None:
        """Run the check and end the test accordingly."""
        __tracebackhide__ = True
        result = self._checks.result(self.name)
        if result.status == "skipped":
            pytest.skip(result.reason)
        if result.status == "xfail":
            pytest.xfail(result.reason)
        if result.status == "failed":
            pytest.fail(f"{self.name}: {result.reason}", pytrace=False)


def parametrize_with_checks(
    what: Mapping[str, str] | Iterable[Any],
    *,
    expected_failed_checks: Mapping[str, Mapping[str, str]] | None = None,
    given: Given | None = None,
    registry: Registry | None = None,
) -> Callable[[Callable[..., None]], Any]:
    """Return a decorator for a test of one argument, `check`, that has only to call it.

    Args:
        what: plugins by name, as `{"mine": "probe4d_mine.plugin"}`, or specs.
        expected_failed_checks: by `category/name` (`"backbones/tiny"`), then by check, the reason why
            it fails. A check that passes all the same fails the test. What the entry module
            declares as `PROBE4D_CONFORMANCE` counts too.
        given: as for `check_spec`.
        registry: where names are looked up; the built-ins and these plugins unless given.
    """
    expected = dict(expected_failed_checks or {})
    if isinstance(what, Mapping):
        where = registry or hermetic_registry(what)
        chosen = [
            (category, entry.spec)
            for category in loader.HOOKS
            for entry in where.entries(category)
            if entry.plugin in what
        ]
        for module in what.values():
            declared, failures = declared_by(importlib.import_module(module))
            given, expected = given or declared, {**failures, **expected}
    else:
        where = registry or hermetic_registry()
        chosen = [(category_of(spec), spec) for spec in what]
    named = {f"{category}/{spec.name}": (category, spec) for category, spec in chosen}
    expected_of(expected, list(named))
    params = []
    for label, (category, spec) in named.items():
        checks = battery(category, spec, registry=where, given=given, expected_failed_checks=expected.get(label))
        params += [pytest.param(ParametrizedCheck(name, checks), id=f"{label}-{name}") for name in checks.checks]
    if not params:
        raise ValueError("parametrize_with_checks: expected specs to check, got none. Does the plugin provide any?")
    return pytest.mark.parametrize("check", params)


class PluginManager:
    """The plugins of one test: the built-ins, and those that the test adds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._points: list[importlib.metadata.EntryPoint] = []

    def add(self, name: str, module: str | ModuleType) -> None:
        """Make a plugin known, by its entry module or its dotted name. It loads with the registry."""
        if isinstance(module, ModuleType):
            self._monkeypatch.setitem(sys.modules, module.__name__, module)
            module = module.__name__
        self._points.append(importlib.metadata.EntryPoint(name, module, loader.GROUP))
        registries.registry.cache_clear()

    def discover(self) -> list[importlib.metadata.EntryPoint]:
        """Return what the test added: what is installed beside probe4d is not looked at."""
        return list(self._points)

    @property
    def registry(self) -> Registry:
        """The registry of this test, the same that `probe4d.registry.find` uses meanwhile."""
        return registries.registry()


@pytest.fixture
def probe4d_pm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PluginManager]:
    """Yield a manager of plugins that refuses ambient ones: settings and environment have no say."""
    manager = PluginManager(monkeypatch)
    for variable in ("PROBE4D_PLUGINS", "PROBE4D_DISABLE_PLUGINS", "PROBE4D_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PROBE4D_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setattr(loader, "discover", manager.discover)
    registries.registry.cache_clear()
    yield manager
    registries.registry.cache_clear()
