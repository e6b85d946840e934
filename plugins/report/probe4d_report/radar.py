"""The radar plot of Figure 6: tasks as spokes, one outline per backbone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attrs import frozen
from markupsafe import Markup

from probe4d_report.svg import drawing, el, marker, path, text

__all__ = ["Outline", "goodness", "radar", "rescaled"]

WIDTH, HEIGHT = 500.0, 370.0
RADIUS = 120.0
LOW = 0.3  # where the worst of those shown stands; the best stands at 1


@frozen(kw_only=True)
class Outline:
    """One backbone's values by spoke, as they were measured."""

    label: str
    values: Mapping[str, float]
    colour: str
    shape: int = 0


def goodness(value: float, *, higher_is_better: bool) -> float:
    """Return a value on a scale where more is better: an error e becomes 100 · 2 · σ(−e), so 0 is 100.

    Source: paper, Figure 6 (a sigmoid by which 0 error is 100 and infinite error 0).

    >>> goodness(0.0, higher_is_better=False), goodness(0.25, higher_is_better=True)
    (100.0, 25.0)
    """
    if higher_is_better:
        return 100.0 * value
    # The same function as 200 / (1 + e^v), which overflows for errors past 700.
    return 100.0 * (1.0 - math.tanh(value / 2.0))


def rescaled(values: Mapping[str, float], *, higher_is_better: bool) -> dict[str, float]:
    """Return each label's place on a spoke: 0.3 the worst of those shown, 1 the best; 1 where all are equal.

    >>> rescaled({"a": 0.5, "b": 0.7, "c": 0.6}, higher_is_better=True)["c"]
    0.65
    """
    good = {label: goodness(value, higher_is_better=higher_is_better) for label, value in values.items()}
    low, high = min(good.values()), max(good.values())
    if high == low:
        return dict.fromkeys(good, 1.0)
    return {label: round(LOW + (1 - LOW) * (value - low) / (high - low), 12) for label, value in good.items()}


def radar(outlines: Sequence[Outline], higher_is_better: Mapping[str, bool], *, label: str, digits: int = 3) -> Markup:
    """Return the plot, a spoke per task of `higher_is_better`, clockwise from the top.

    Args:
        label: what it shows, in words.
        digits: of the values in tooltips.
    """
    spokes = list(higher_is_better)
    places = {
        spoke: rescaled({one.label: one.values[spoke] for one in outlines}, higher_is_better=higher_is_better[spoke])
        for spoke in spokes
    }
    angle = {spoke: 2 * math.pi * i / len(spokes) - math.pi / 2 for i, spoke in enumerate(spokes)}

    def at(spoke: str, place: float) -> tuple[float, float]:
        return (
            WIDTH / 2 + RADIUS * place * math.cos(angle[spoke]),
            HEIGHT / 2 + RADIUS * place * math.sin(angle[spoke]),
        )

    parts = [path([at(s, ring) for s in spokes], closed=True, class_="grid") for ring in (LOW, 0.65, 1.0)]
    for spoke in spokes:
        parts.append(path([(WIDTH / 2, HEIGHT / 2), at(spoke, 1.0)], class_="grid"))
        parts.append(_name(spoke, at(spoke, 1.14), higher_is_better[spoke]))
    for one in outlines:
        corners = [at(spoke, places[spoke][one.label]) for spoke in spokes]
        style = f"fill:{one.colour};fill-opacity:.08;stroke:{one.colour};stroke-width:2;stroke-linejoin:round"
        parts.append(path(corners, closed=True, style=style))
        for spoke, (x, y) in zip(spokes, corners, strict=True):
            title = f"{one.label}, {spoke}: {one.values[spoke]:.{digits}g}"
            parts.append(marker(x, y, one.shape, fill=one.colour, title=title))
    return drawing(WIDTH, HEIGHT, *parts, label=label)


def _name(spoke: str, place: tuple[float, float], higher: bool) -> Markup:
    x, y = place
    anchor = "middle" if abs(x - WIDTH / 2) < 12 else "start" if x > WIDTH / 2 else "end"
    first, _, second = spoke.partition("\n")
    if second and y < HEIGHT / 2 - RADIUS:
        y -= 12  # two lines above the top spoke
    lines = [text(x, y, first, anchor=anchor, class_="name")]
    if second:
        lines.append(text(x, y + 13, f"{second} {'↑' if higher else '↓'}", anchor=anchor, class_="tick"))
    return el("g", *lines)
