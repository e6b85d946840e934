"""What `probe4d score` answers: the numbers, how sure they are, what was left out, and of which files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from probe4d.contracts import LeftOut

__all__ = ["SCHEMA", "Comparison", "Score", "per_sample_lines", "table_text"]

SCHEMA = "probe4d/score/1"
SHOWN = 8  # left-out samples that the table names


@frozen(kw_only=True)
class Comparison:
    """A second prediction file on the same targets.

    Attributes:
        values: its own values.
        difference: the first file's value minus the second's, over samples that both have.
        ci95: of the difference, samples drawn in pairs.
        p: two-sided, the share of draws on the far side of 0.
        verdict: `higher`, `lower`, or `too close to call` where the interval holds 0.
    """

    values: Mapping[str, float]
    difference: Mapping[str, float]
    ci95: Mapping[str, tuple[float, float]]
    p: Mapping[str, float]
    verdict: Mapping[str, str]
    samples: int


@frozen(kw_only=True)
class Score:
    """The answer.

    Attributes:
        kind: the kind's short name, canonical where it is a plugin's.
        samples: how many predictions were compared with targets.
        values: by name, higher is better or not as `probe4d info` of the metric says. A value that
            nothing defines (a Jaccard without predicted visibility) is not there.
        ci95: 95 % bootstrap interval of each value; empty for a single sample or `resamples=0`.
        left_out: samples without a value, or without some, and why; they enter no mean that they lack.
        counts: what the metrics counted besides (absent boxes, NaN predictions, …).
        settings: the options that the values depend on.
        inputs: by role, `sha256` of the content and the `meta` in force.
        per_sample: each sample's own values, by id.
        task: the task's canonical name, where one was scored.
    """

    kind: str
    samples: int
    values: Mapping[str, float]
    ci95: Mapping[str, tuple[float, float]]
    left_out: Sequence[LeftOut]
    counts: Mapping[str, float]
    settings: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]]
    version: str
    per_sample: Mapping[str, Mapping[str, float]] = field(repr=False)
    units: Mapping[str, str] = field(factory=dict, repr=False)
    task: str | None = None
    against: Comparison | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain JSON values; `probe4d score --schema answer` describes it."""
        answer: dict[str, Any] = {
            "schema": SCHEMA,
            "kind": self.kind,
            "samples": self.samples,
            "values": dict(self.values),
            "ci95": {name: list(ends) for name, ends in self.ci95.items()},
            "left_out": [{"id": item.id, "reason": item.reason} for item in self.left_out],
            "inputs": {role: dict(facts) for role, facts in self.inputs.items()},
            "version": self.version,
            "counts": dict(self.counts),
            "settings": dict(self.settings),
        }
        if self.task is not None:
            answer["task"] = self.task
        if self.against is not None:
            answer["against"] = {
                "values": dict(self.against.values),
                "samples": self.against.samples,
                "difference": dict(self.against.difference),
                "ci95": {name: list(ends) for name, ends in self.against.ci95.items()},
                "p": dict(self.against.p),
                "verdict": dict(self.against.verdict),
            }
        return answer

    def to_json(self) -> str:
        """Return the answer as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)


def per_sample_lines(score: Score) -> str:
    """Return one JSON line per sample, `{"id": …, "values": {…}}`, sorted by id."""
    lines = ({"id": sample_id, "values": dict(values)} for sample_id, values in sorted(score.per_sample.items()))
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)


def table_text(score: Score) -> str:
    """Return the answer for people: aligned columns, then what was left out and counted."""
    head = [score.task or score.kind, f"{score.samples} sample{'' if score.samples == 1 else 's'}"]
    head += _how(score.settings)
    rows = [_row(name, score) for name in score.values]
    titles = ["value", "score", "95 % interval"] + (
        ["other", "difference", "95 % interval", "verdict"] if score.against else []
    )
    sections = ["  ".join(head), _columns([titles, *rows])]
    if score.left_out:
        sections.append(_left_out(score))
    if noted := {name: count for name, count in score.counts.items() if count}:
        sections.append("counted: " + ", ".join(f"{name} {count:g}" for name, count in noted.items()))
    return "\n\n".join(sections)


def _how(settings: Mapping[str, Any]) -> list[str]:
    """Return what of the settings makes other values of the same files."""
    told = [f"match {settings['match']}"] if "match" in settings else []
    if settings.get("align", "none") != "none":
        told.append(f"align {settings['align']}" + (f" per {settings['align_per']}" if "align_per" in settings else ""))
    return told


def _row(name: str, score: Score) -> list[str]:
    unit = f" {score.units[name]}" if score.units.get(name) else ""
    row = [name, f"{_number(score.values[name])}{unit}", _interval(score.ci95.get(name))]
    if score.against:
        other, difference = score.against.values.get(name), score.against.difference.get(name)
        row += [_number(other), _number(difference, "+"), _interval(score.against.ci95.get(name))]
        row += [score.against.verdict.get(name, "-")]
    return row


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return "-"
    return f"{value:{sign}.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:{sign}.4g}"


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{_number(ends[0])} .. {_number(ends[1])}"


def _columns(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _left_out(score: Score) -> str:
    shown = [f"  {item.id}  {item.reason}" for item in score.left_out[:SHOWN]]
    more = len(score.left_out) - SHOWN
    shown += [f"  … and {more} more (--json lists all)"] if more > 0 else []
    return "\n".join([f"left out: {len(score.left_out)}", *shown])
