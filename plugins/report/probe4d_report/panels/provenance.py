"""What made the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from probe4d.records import Record
from probe4d_report.html import render
from probe4d_report.view import RunView

__all__ = ["panel"]

FACTS = ("run_id", "suite", "status", "command", "started", "ended", "sessions", "store")


def panel(run: RunView) -> Markup:
    """Return the run's facts, plugins, backbones, data, settings and digests."""
    return render(
        "provenance.html",
        facts={name: run.run[name] for name in FACTS if run.run.get(name) is not None},
        environments=_distinct(
            env for record in run.records for env in _environments(record.content.get("environment", {}))
        ),
        plugins=_plugins(run.records),
        backbones=_distinct(record.content.get("backbone", {}) for record in run.records),
        data=_distinct(
            {"task": record.cell.task, "side": side, **_short(found)}
            for record in run.records
            for side, found in record.content.get("data", {}).items()
            if isinstance(found, Mapping)
        ),
        protocols=_distinct(record.content.get("protocol", {}) for record in run.records),
        records=run.records,
        suite=run.suite_text,
    )


def _environments(stated: Any) -> list[Mapping[str, Any]]:
    if not isinstance(stated, Mapping):
        return []
    return [one for one in stated.values() if isinstance(one, Mapping) and "python" in one]


def _short(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in ("clip", "features")}


def _distinct(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if item and item not in found:
            found.append(item)
    return found


def _plugins(records: tuple[Record, ...]) -> list[dict[str, Any]]:
    """Return the plugins by name and version, `used` where any record says so."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        for plugin in record.content.get("plugins", ()):
            key = (str(plugin.get("name")), str(plugin.get("version")))
            before = found.setdefault(key, dict(plugin))
            before["used"] = bool(before.get("used")) or bool(plugin.get("used"))
    return [found[key] for key in sorted(found)]
