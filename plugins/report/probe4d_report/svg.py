"""SVG elements as escaped text: a tag is a function call, and no name can break out of it."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from probe4d_report.colours import css_variables

__all__ = ["STYLE", "drawing", "el", "marker", "path", "standalone", "text"]

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


def standalone(figure: Markup) -> str:
    """Return the figure as a file of its own, with its colours."""
    head, _, rest = str(figure).partition(">")
    ground = '<rect width="100%" height="100%" fill="var(--page)"/>'
    return f"{head}><style>{css_variables()}{STYLE}</style>{ground}{rest}\n"


def _plain(value: object) -> object:
    """Return numbers with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
