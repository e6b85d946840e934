"""`probe4d info`."""

from __future__ import annotations

import json
from typing import Any

import click

from probe4d import listing
from probe4d.errors import UnknownNameError, did_you_mean
from probe4d.registry import CATEGORIES, Entry, registry


@click.command("info")
@click.argument("name")
@click.option("--category", type=click.Choice(CATEGORIES), help="Look among these only.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(name: str, category: str | None, as_json: bool) -> None:
    """Show all that is known of NAME: facts, licence, where it comes from, what it needs.

    NAME is a short or a canonical name. Where a backbone and a metric share it, both are shown.
    """
    found = _find(name, [category] if category else list(CATEGORIES))
    described = [listing.describe(entry) for entry in found]
    if as_json:
        click.echo(json.dumps(described, indent=2))
    else:
        click.echo("\n\n".join(_text(facts) for facts in described))


def _find(name: str, categories: list[str]) -> list[Entry]:
    known = registry()
    found = [entry for category in categories for entry in known.matches(category, name)]
    if found:
        return found
    names = {entry.spec.name for category in categories for entry in known.entries(category)}
    raise UnknownNameError(
        f"{name!r}: nothing has that name.{did_you_mean(name, names)}{known.absent_plugins()} `probe4d list` shows all."
    )


def _text(facts: dict[str, Any]) -> str:
    head = f"{facts['name']} ({facts['category'][:-1].replace('_', ' ')})"
    rows = [
        [key, _value(value)]
        for key, value in _flat(facts)
        if key not in ("name", "category") and value not in (None, "", [])
    ]
    return f"{head}\n" + "\n".join(f"  {line}" for line in listing.table(rows).splitlines())


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in facts.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return rows


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(item["name"] if isinstance(item, dict) and "name" in item else str(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
