"""`probe4d list`."""

from __future__ import annotations

import json
from typing import Any

import click

from probe4d import listing
from probe4d.registry import CATEGORIES, Registry, registry

INSTALL_HINT = """\
No plugin is installed, so there is nothing to evaluate yet. To add some:
  pip install probe4d-fourds      4DS backbones, pixels, and their trainer
  pip install probe4d-readouts    the readouts that probe the features
  probe4d plugins new NAME --kind backbone    write your own"""


@click.command("list")
@click.argument("category", required=False, type=click.Choice(CATEGORIES), metavar="[CATEGORY]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of all facts.")
@click.option("-F", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only what fits (repeatable).")
def command(category: str | None, as_json: bool, filters: tuple[str, ...]) -> None:
    """Show what the installed plugins provide.

    CATEGORY is one of backbones, datasets, tasks, readouts, metrics, kinds, protocols, aggregates,
    runners, suites, report_panels or commands. -F takes any key of --json, dotted for what is
    inside (-F input.height=224), with * as wildcard.
    """
    found = registry()
    categories = [category] if category else [name for name in CATEGORIES if name != "commands"]
    described = [listing.describe(entry) for name in categories for entry in found.entries(name)]
    pairs = listing.parse_filters(filters)
    listing.check_filter_keys(described, pairs)
    described = [facts for facts in described if listing.matches(facts, pairs)]
    click.echo(json.dumps(described, indent=2) if as_json else _text(described, found, bool(filters)))
    for line in _warnings(found):
        click.echo(line, err=True)


def _text(described: list[dict[str, Any]], found: Registry, filtered: bool) -> str:
    sections = []
    for category in CATEGORIES:
        rows = [
            [facts["name"], _remark(facts), facts["summary"]] for facts in described if facts["category"] == category
        ]
        if rows:
            sections.append(f"{category}\n" + _indent(listing.table(rows)))
    if not sections and filtered:
        sections.append("Nothing fits.")
    if not filtered and len(found.records) == 1:
        sections.append(INSTALL_HINT)
    elif not sections:
        sections.append("Nothing of that category is installed.")
    return "\n\n".join(sections)


def _remark(facts: dict[str, Any]) -> str:
    if facts["needs"]:
        return f"needs: {facts['needs']}"
    weights = facts.get("weights")
    if weights and not weights["public"]:
        return "weights: not public"
    return ""


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _warnings(found: Registry) -> list[str]:
    from probe4d.loader import SLOW_SECONDS

    broken = [record for record in found.records if record.status in ("failed", "incompatible")]
    slow = [record for record in found.records if record.status == "ok" and record.seconds > SLOW_SECONDS]
    lines = [f"Plugin {record.name} took {record.seconds * 1000:.0f} ms to load." for record in slow]
    if broken:
        names = ", ".join(record.name for record in broken)
        lines.append(f"{len(broken)} plugin{'s' * (len(broken) > 1)} not loaded: {names}. Run `probe4d doctor`.")
    return lines
