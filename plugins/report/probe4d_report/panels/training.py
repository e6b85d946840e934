"""The loss curves of the sweeps."""

from __future__ import annotations

from markupsafe import Markup

from probe4d.results import Column
from probe4d_report.charts import Series, chart
from probe4d_report.html import Key, figure_grid
from probe4d_report.names import short
from probe4d_report.view import RunView, Trained

__all__ = ["panel"]

WIDE = 20.0  # a range of losses past which the scale is logarithmic


def panel(run: RunView) -> Markup | None:
    """Return a chart per column; the member that stands for the cell in full, the others of its sweep faint."""
    figures = [figure for column in run.columns if (figure := _chart(run, column)) is not None]
    if not figures:
        return None
    keys = [Key(label=b, colour=run.colour(b), shape=None) for b in run.backbones]
    text = (
        "Mean loss between points. The member that stands for the cell is drawn in full, the others of its sweep faint."
    )
    return figure_grid(figures, text=text, keys=keys)


def _chart(run: RunView, column: Column) -> Markup | None:
    series = []
    for backbone in run.backbones:
        record = run.results.records.get((backbone, column))
        if record is not None:
            series += [_curve(run, backbone, one) for one in run.training(record) if len(one.points) > 1]
    if not series:
        return None
    losses = [y for one in series for _, y in one.points]
    log = min(losses) > 0 and max(losses) > WIDE * min(losses)
    name = run.name(column)
    ends = "; ".join(f"{one.label} ends at {one.points[-1][1]:.4g}" for one in series if not one.faint)
    return chart(
        sorted(series, key=lambda one: not one.faint),
        title=f"{name}: loss" + " (log)" * log,
        x_label=f"step ({short(column.protocol)})",
        log_y=log,
        label=f"Training loss of {name}: {ends}",
    )


def _curve(run: RunView, backbone: str, one: Trained) -> Series:
    return Series(
        label=f"{backbone}, {one.name}",
        points=_thinned(one.points),
        colour=run.colour(backbone),
        shape=None,
        faint=not one.selected,
    )


def _thinned(points: tuple[tuple[float, float], ...], most: int = 80) -> list[tuple[float, float]]:
    """Return at most so many of the points, ends included."""
    if len(points) <= most:
        return list(points)
    return [points[round(k * (len(points) - 1) / (most - 1))] for k in range(most)]
