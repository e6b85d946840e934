"""Small charts with two axes: lines with marks and intervals. Each is one SVG, a phone's width at most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attrs import frozen
from markupsafe import Markup

from probe4d_report.axes import Scale, number_text, scale_of
from probe4d_report.svg import drawing, el, marker, path, text

__all__ = ["Level", "Series", "chart"]

WIDTH, HEIGHT = 340.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 30.0, 40.0


@frozen(kw_only=True)
class Series:
    """A line of points.

    Attributes:
        points: (x, y), drawn in this order.
        intervals: by x, the ends of an interval of y.
        shape: of the marks, as `svg.marker` counts them; None draws no marks.
        names: by x, a word beside the mark.
    """

    label: str
    points: Sequence[tuple[float, float]]
    colour: str
    intervals: Mapping[float, tuple[float, float]] = {}
    shape: int | None = 0
    dashed: bool = False
    faint: bool = False
    line: bool = True
    names: Mapping[float, str] = {}


@frozen(kw_only=True)
class Level:
    """A value without an x: a dashed line all across."""

    label: str
    value: float
    colour: str


def chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    better: str = "",
    levels: Sequence[Level] = (),
    log_x: bool = False,
    log_y: bool = False,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    label: str,
) -> Markup:
    """Return the chart.

    Args:
        better: where good values are, `higher` or `lower`; shown beside the title.
        x_ticks: positions and words; round numbers by default.
        label: what it shows, for those who do not see it.

    Raises:
        ValueError: there is nothing finite to draw.
    """
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points] + [level.value for level in levels]
    ends = [end for one in series for pair in one.intervals.values() for end in pair]
    x = scale_of(xs or [0.0, 1.0], LEFT, WIDTH - RIGHT, log=log_x and bool(xs))
    y = scale_of([*ys, *([] if log_y else ends)], HEIGHT - BOTTOM, TOP, log=log_y)
    arrow = {"higher": "↑ higher is better", "lower": "↓ lower is better"}.get(better, "")
    parts = [
        text(LEFT - 38, 15, title, class_="name"),
        text(WIDTH - RIGHT, 15, arrow, anchor="end", class_="tick"),
        *_frame(x, y, x_label, x_ticks),
        *(_level(level, y) for level in levels),
        *(drawn for one in series for drawn in _series(one, x, y)),
    ]
    return drawing(WIDTH, HEIGHT, *parts, label=label)


def _frame(x: Scale, y: Scale, x_label: str, x_ticks: Sequence[tuple[float, str]] | None) -> list[Markup]:
    bottom = HEIGHT - BOTTOM
    parts = []
    for value in y.ticks():
        parts.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value), class_="grid"))
        parts.append(text(LEFT - 6, y(value) + 3.5, number_text(value), anchor="end", class_="tick"))
    for at, word in x_ticks if x_ticks is not None else [(value, number_text(value)) for value in x.ticks()]:
        parts.append(el("line", x1=x(at), x2=x(at), y1=bottom, y2=bottom + 4, class_="axis"))
        over = x(at) + 3 * len(word) > WIDTH - 4  # about the half of its width
        place = WIDTH - 4 if over else x(at)
        parts.append(text(place, bottom + 15, word, anchor="end" if over else "middle", class_="tick"))
    parts.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 7, x_label, anchor="middle", class_="tick"))
    return parts


def _level(level: Level, y: Scale) -> Markup:
    at = y(level.value)
    return el(
        "line",
        el("title", f"{level.label}: {level.value:.4g}"),
        x1=LEFT,
        x2=WIDTH - RIGHT,
        y1=at,
        y2=at,
        style=f"stroke:{level.colour};stroke-width:1.5;stroke-dasharray:2 4",
    )


def _series(one: Series, x: Scale, y: Scale) -> list[Markup]:
    shown = [(a, b) for a, b in one.points if math.isfinite(b) and (b > 0 or not y.log)]
    style = f"fill:none;stroke:{one.colour};stroke-width:{1 if one.faint else 2};stroke-linejoin:round"
    style += ";opacity:.35" * one.faint + ";stroke-dasharray:5 4" * one.dashed
    parts = []
    if one.line and len(shown) > 1:
        parts.append(path([(x(a), y(b)) for a, b in shown], style=style))
    for a, (low, high) in one.intervals.items():
        parts.append(path([(x(a), y(low)), (x(a), y(high))], style=f"stroke:{one.colour};stroke-width:1.5;opacity:.55"))
    if one.shape is not None:
        parts += [marker(x(a), y(b), one.shape, fill=one.colour, title=_words(one, a, b)) for a, b in shown]
    for a, b in shown:
        if name := one.names.get(a):
            side = -1 if x(a) > WIDTH * 0.7 else 1
            anchor = "end" if side < 0 else "start"
            parts.append(text(x(a) + 8 * side, y(b) + 3.5, name, anchor=anchor, class_="tick"))
    return parts


def _words(one: Series, x: float, y: float) -> str:
    ends = one.intervals.get(x)
    interval = f" [{ends[0]:.4g}, {ends[1]:.4g}]" if ends else ""
    return f"{one.names.get(x) or one.label}: {y:.4g}{interval}"
