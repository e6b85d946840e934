"""What has no number, and why."""

from __future__ import annotations

from collections import Counter

from markupsafe import Markup

from probe4d_report.html import render
from probe4d_report.view import RunView

__all__ = ["panel"]

MOST = 200  # left-out samples that are listed


def panel(run: RunView) -> Markup:
    """Return failed units, blocked cells, damaged records and samples left out; or that there are none."""
    left_out = run.left_out
    done = {record.cell.id for record in run.records}
    planned = [cell for cell in run.run.get("cells", ()) if isinstance(cell, dict)]
    missing = [
        cell
        for cell in planned
        if "~".join(str(cell.get(k)) for k in ("backbone", "task", "protocol", "layer")) not in done
    ]
    diverged = [
        (record, member["name"])
        for record in run.records
        for member in record.content.get("members", ())
        if member.get("diverged")
    ]
    return render(
        "failures.html",
        failures=run.run.get("failures", ()),
        blocked=run.run.get("blocked", ()),
        missing=missing,
        damaged=run.damaged,
        diverged=diverged,
        left_out=left_out[:MOST],
        more=max(0, len(left_out) - MOST),
        counts=Counter((item.record.cell.backbone, item.record.cell.task, item.split) for item in left_out),
    )
