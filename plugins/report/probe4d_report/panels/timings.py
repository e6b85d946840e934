"""Seconds by phase."""

from __future__ import annotations

from attrs import frozen
from markupsafe import Markup

from probe4d.records import Record
from probe4d_report.colours import series_colour
from probe4d_report.html import Key, legend, render
from probe4d_report.names import layer_text, short
from probe4d_report.view import RunView

__all__ = ["panel"]

PHASES = ("extract", "compile", "train", "predict", "score", "other")


@frozen(kw_only=True)
class _Row:
    """One cell's seconds by phase."""

    record: Record
    seconds: dict[str, float]

    @property
    def total(self) -> float:
        """All seconds."""
        return sum(self.seconds.values())

    @property
    def layer(self) -> str:
        """The layer in words."""
        return layer_text(self.record.cell.layer)


def panel(run: RunView) -> Markup | None:
    """Return a bar and a row of numbers per cell; nothing where no record has timings."""
    rows = [_Row(record=r, seconds=_phases(r)) for r in run.records if r.content.get("timings")]
    if not rows:
        return None
    phases = [phase for phase in PHASES if any(row.seconds.get(phase) for row in rows)]
    colours = {phase: series_colour(PHASES.index(phase)) for phase in phases} | {"other": "var(--axis)"}
    keys = [Key(label=phase, colour=colours[phase], shape=1) for phase in phases]
    layers = len({(r.cell.backbone, r.cell.task, r.cell.protocol) for r in run.records}) < len(run.records)
    return render(
        "timings.html",
        rows=rows,
        phases=phases,
        colours=colours,
        legend=legend(keys),
        longest=max(row.total for row in rows) or 1.0,
        layers=layers,
        seconds=run.run.get("seconds"),
        short=short,
    )


def _phases(record: Record) -> dict[str, float]:
    """Return seconds that add up: training without compiling, and what of the whole no phase names."""
    stated = {name: float(value) for name, value in record.content["timings"].items() if isinstance(value, int | float)}
    train = max(0.0, stated.get("train", 0.0) - stated.get("compile", 0.0))
    known = {**stated, "train": train}
    named = stated.get("train", 0.0) + stated.get("predict", 0.0)
    found = {phase: known[phase] for phase in PHASES if phase in known}
    return found | {"other": max(0.0, stated.get("whole", named) - named)}
