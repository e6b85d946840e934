"""A matrix of numbers as coloured cells: correlations, confusions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from probe4d_report.svg import drawing, el, text

__all__ = ["matrix"]


def matrix(
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    label: str,
    strength: Callable[[float], float],
    words: Callable[[float], str],
    cell: float = 56.0,
    left: float = 110.0,
    tilt: bool = False,
    colour: Callable[[float], str] = lambda value: "var(--s1)" if value >= 0 else "var(--s2)",
) -> Markup:
    """Return the matrix.

    Args:
        strength: 0 .. 1, how much colour a value gets.
        words: a value as it is written into its cell, nothing for none.
        left: room for the names of rows.
        tilt: write the names of columns upwards.
    """
    top = left if tilt else 26.0
    parts = []
    for j, name in enumerate(columns):
        x = left + (j + 0.5) * cell
        if tilt:
            parts.append(text(x + 3, top - 6, name, class_="tick", transform=f"rotate(-60 {x + 3:.1f} {top - 6:.1f})"))
        else:
            parts.append(text(x, top - 8, name, anchor="middle", class_="tick"))
    for i, name in enumerate(rows):
        y = top + i * cell
        parts.append(text(left - 8, y + cell / 2 + 3.5, name, anchor="end", class_="tick"))
        for j, value in enumerate(values[i]):
            parts.append(_cell(left + j * cell, y, cell, value, f"{name}, {columns[j]}", strength, words, colour))
    room = 70.0 if tilt else 8.0  # the last tilted name leans over the edge
    return drawing(left + len(columns) * cell + room, top + len(rows) * cell + 8, *parts, label=label)


def _cell(
    x: float,
    y: float,
    size: float,
    value: float,
    name: str,
    strength: Callable[[float], float],
    words: Callable[[float], str],
    colour: Callable[[float], str],
) -> Markup:
    amount = strength(value)
    shown = words(value)
    box = el(
        "rect",
        el("title", f"{name}: {shown or value}"),
        x=x + 1,
        y=y + 1,
        width=size - 2,
        height=size - 2,
        rx=2,
        style=f"fill:{colour(value)};fill-opacity:{0.04 + 0.66 * amount:.3f}",
    )
    size_px = min(12.0, size * 0.42)
    style = f"fill:var(--ink);font-size:{size_px:.1f}px"
    return el("g", box, text(x + size / 2, y + size / 2 + size_px * 0.36, shown, anchor="middle", style=style))
