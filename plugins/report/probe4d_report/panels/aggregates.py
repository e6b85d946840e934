"""One number per backbone out of the whole table."""

from __future__ import annotations

from markupsafe import Markup

from probe4d_report.html import render
from probe4d_report.view import RunView

__all__ = ["panel"]


def panel(run: RunView) -> Markup | None:
    """Return a row per backbone, a column per aggregate; nothing for a single backbone."""
    if len(run.backbones) < 2:
        return None
    best = {
        one.name: (max if one.higher_is_better else min)(one.values.values()) for one in run.aggregates if one.values
    }
    return render("aggregates.html", run=run, best=best)
