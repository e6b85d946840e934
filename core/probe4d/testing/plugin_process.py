"""`python -m probe4d.testing.plugin_process NAME MODULE EVENTS`: check one plugin, in a process of its own.

Each step is a JSON line in the file EVENTS, written before and after it, so that the process
that started this one knows how far it came when a plugin takes it down.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import asdict

from probe4d import loader
from probe4d import registry as registries
from probe4d.errors import UsageError
from probe4d.registry import Entry, Registry
from probe4d.testing.battery import Battery
from probe4d.testing.light import heavy_imports
from probe4d.testing.result import CheckResult

__all__ = ["LOADING", "main"]

LOADING = ("plugin_loads", "entry_module_is_light", "something_is_provided")
DECLARATION = "declaration_is_read"


class Events:
    """The file of events, one line each, flushed at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, event: str, **facts: Any) -> None:
        """Append one event."""
        self._file.write(json.dumps({"event": event, **facts}) + "\n")
        self._file.flush()


def main(name: str, module: str, events: Events) -> None:
    """Check the plugin whose entry module this is."""
    events.write("plan", checks=[["plugin", name, check] for check in LOADING])
    point = importlib.metadata.EntryPoint(name, module, loader.GROUP)
    started = time.perf_counter()
    events.write("start", category="plugin", name=name, check=LOADING[0])
    with heavy_imports(module) as heavy:
        record = _load(name, [point])
    seconds = time.perf_counter() - started
    for check, problem in zip(LOADING, _problems(record, heavy), strict=True):
        result = CheckResult(name=check, status="failed" if problem else "passed", reason=problem, seconds=seconds)
        events.write("result", category="plugin", name=name, result=asdict(result))
        seconds = 0.0
    if record.status == "ok":
        _check_specs(name, module, point, events)
    events.write("end")


def _load(name: str, points: list[importlib.metadata.EntryPoint]) -> loader.PluginRecord:
    records = loader.load(loader.Switches(), [] if name == loader.BUILTIN else points).records
    return next(record for record in records if record.name == name)


def _problems(record: loader.PluginRecord, heavy: dict[str, str]) -> tuple[str, str, str]:
    """Return what is wrong with loading, with imports and with what is provided; empty where nothing is."""
    remedy = f" Run: {record.hint}" if (record.hint or "").startswith("pip install") else ""
    failed = f"{record.error}.{remedy}" if record.status != "ok" else ""
    lines = ", ".join(f"{package} at {line}" for package, line in heavy.items())
    weight = f"it imports {lines}. Move the import into the target's module." if heavy else ""
    provided = record.specs or "probe4d_on_record" in record.hooks
    empty = "" if provided or failed else "its hooks return no spec. Return what the plugin provides."
    return failed, weight, "nothing could be loaded" if failed else empty


def _check_specs(name: str, module: str, point: importlib.metadata.EntryPoint, events: Events) -> None:
    try:
        planned = list(_plan(name, module, _registry(name, point)))
    except UsageError as error:
        events.write("plan", checks=[["plugin", name, DECLARATION]])
        result = CheckResult(name=DECLARATION, status="failed", reason=str(error))
        events.write("result", category="plugin", name=name, result=asdict(result))
        return
    events.write("plan", checks=[[entry.category, entry.spec.name, check] for entry, _, check in planned])
    for entry, checks, check in planned:
        events.write("start", category=entry.category, name=entry.spec.name, check=check)
        result = checks.result(check)
        events.write("result", category=entry.category, name=entry.spec.name, result=asdict(result))


def _plan(name: str, module: str, registry: Registry) -> Iterator[tuple[Entry, Battery[Any], str]]:
    """Yield every check of every spec, none run yet.

    Raises:
        UsageError: the entry module declares something that nothing reads.
    """
    from probe4d.testing.conformance import battery
    from probe4d.testing.declared import declared_by, expected_of

    labelled = {
        f"{category}/{entry.spec.name}": entry
        for category in loader.HOOKS
        for entry in registry.entries(category)
        if entry.plugin == name
    }
    given, expected = declared_by(importlib.import_module(module))
    expected_of(expected, list(labelled))
    for label, entry in labelled.items():
        failures = expected.get(label)
        checks = battery(entry.category, entry.spec, registry=registry, given=given, expected_failed_checks=failures)
        for check in checks.checks:
            yield entry, checks, check


def _registry(name: str, point: importlib.metadata.EntryPoint) -> Registry:
    """Return what is installed, with this plugin in the place of an installed one of its name."""
    others = [other for other in loader.discover() if other.name != name]
    mine = [] if name == loader.BUILTIN else [point]
    return registries.build(loader.load(loader.Switches(), [*mine, *others]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Events(Path(sys.argv[3])))
