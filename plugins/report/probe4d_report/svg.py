"""SVG elements as escaped text: a tag is a function call, and no name can break out of it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from probe4d_report.colours import css_variables

__all__ = ["STYLE", "drawing", "el", "key_row", "marker", "montage", "path", "standalone", "text"]

# Of every figure, on the page and as a file of its own.
STYLE = (
    ".fig{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:11px}"
    ".fig text{fill:var(--soft)}.fig .tick{fill:var(--muted);font-size:10px}"
    ".fig .name{fill:var(--ink);font-weight:600;font-size:12px}"
    ".fig .grid{stroke:var(--line);stroke-width:1;fill:none}.fig .axis{stroke:var(--axis);stroke-width:1;fill:none}"
)


def el(tag: str, *children: object, **attributes: object) -> Markup:
    """Return an element; `class_` is class, `stroke_width` stroke-width; None leaves an attribute out."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    # A tag is a word of ours; attributes and children are escaped above.
    return Markup(f"<{tag}{written}>{inside}</{tag}>" if inside else f"<{tag}{written}/>")  # noqa: S704


def drawing(width: float, height: float, *children: object, label: str, class_: str = "") -> Markup:
    """Return an `<svg>` that scales down to its place; `label` says in words what it shows."""
    return el(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        role="img",
        aria_label=label,
        class_=f"fig {class_}".strip(),
    )


def text(
    x: float, y: float, content: object, *, anchor: str = "start", class_: str | None = None, **more: object
) -> Markup:
    """Return a line of text."""
    return el("text", content, x=x, y=y, text_anchor=anchor, class_=class_, **more)


def path(points: Iterable[tuple[float, float]], *, closed: bool = False, **attributes: object) -> Markup:
    """Return a line through the points."""
    steps = " ".join(f"{'L' if i else 'M'}{_plain(float(x))} {_plain(float(y))}" for i, (x, y) in enumerate(points))
    return el("path", d=steps + ("Z" if closed else ""), **attributes)


def marker(x: float, y: float, shape: int, *, fill: str, title: str, radius: float = 4.0) -> Markup:
    """Return a mark with a ring in the ground's colour; shapes: circle, square, diamond, triangle."""
    shape %= 4
    common = {"style": f"fill:{fill};stroke:var(--page);stroke-width:1.5"}
    if shape == 0:
        return el("circle", el("title", title), cx=x, cy=y, r=radius, **common)
    corners = {
        1: ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        2: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        3: ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
    }[shape]
    points = " ".join(f"{x + radius * dx:.2f},{y + radius * dy:.2f}" for dx, dy in corners)
    return el("polygon", el("title", title), points=points, **common)


def montage(parts: Sequence[Sequence[tuple[Markup, float, float]]], *, label: str, gap: float = 16.0) -> Markup:
    """Return drawings in rows, each given with its width and height, as one."""
    placed: list[Markup] = []
    wide, y = 0.0, 0.0
    for row in parts:
        x = 0.0
        for part, width, _ in row:
            placed.append(el("g", part, transform=f"translate({x:g} {y:g})"))
            x += width + gap
        wide, y = max(wide, x - gap), y + max(height for _, _, height in row) + gap
    return drawing(wide, y - gap, *placed, label=label)


def key_row(keys: Sequence[tuple[str, str, int | None, bool]], width: float) -> Markup:
    """Return a legend as a drawing of height 22: (label, colour, shape or None for a line, dashed)."""
    placed: list[Markup] = []
    x = 8.0
    for label, colour, shape, dashed in keys:
        if shape is None:
            dash = ";stroke-dasharray:5 4" * dashed
            placed.append(path([(x, 11), (x + 20, 11)], style=f"stroke:{colour};stroke-width:2{dash}"))
        else:
            placed.append(marker(x + 10, 11, shape, fill=colour, title=label))
        placed.append(text(x + 26, 14.5, label))
        x += 44 + 6.4 * len(label)
    return drawing(max(width, x), 22, *placed, label=f"Legend: {', '.join(key[0] for key in keys)}")


def standalone(figure: Markup, margin: float = 16.0) -> str:
    """Return the figure as a file of its own, with its colours, on a ground with a margin."""
    width, height = (float(side) for side in re.findall(r'(?:width|height)="([0-9.]+)"', str(figure).partition(">")[0]))
    inside = el("g", figure, transform=f"translate({margin:g} {margin:g})")
    ground = el("rect", width="100%", height="100%", style="fill:var(--page)")
    label = "".join(re.findall(r'aria-label="([^"]*)"', str(figure).partition(">")[0]))
    style = el("style", Markup(css_variables() + STYLE))  # noqa: S704 - our own words
    whole = drawing(width + 2 * margin, height + 2 * margin, style, ground, inside, label=html.unescape(label))
    return f"{whole}\n"


def _plain(value: object) -> object:
    """Return numbers with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
