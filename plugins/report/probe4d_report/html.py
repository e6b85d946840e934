"""HTML out of templates that escape every name."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

import jinja2
from attrs import frozen
from markupsafe import Markup

from probe4d_report.axes import count_text
from probe4d_report.names import layer_text, short

__all__ = ["Key", "figure_grid", "html_problem", "legend", "render", "render_text"]

VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])


@frozen(kw_only=True)
class Key:
    """An entry of a legend."""

    label: str
    colour: str
    shape: int | None = 0
    dashed: bool = False
    note: str = ""


def render(template: str, /, **values: Any) -> Markup:
    """Return a template of this package filled in; every value is escaped unless it is `Markup`."""
    # Autoescaped, so what comes out is markup.
    return Markup(_environment().get_template(template).render(**values))  # noqa: S704


def render_text(source: str, /, **values: Any) -> Markup:
    """Return a template given as text filled in, escaped as by `render`."""
    return Markup(_environment().from_string(source).render(**values))  # noqa: S704


def figure_grid(
    figures: Sequence[Markup],
    *,
    text: str = "",
    keys: Sequence[Key] = (),
    captions: Sequence[str] = (),
    note: str = "",
    large: bool = False,
) -> Markup:
    """Return figures side by side under a text and a legend, each with its caption if there are any."""
    return render(
        "figures.html",
        figures=figures,
        text=text,
        legend=legend(keys) if keys else "",
        captions=captions,
        note=note,
        large=large,
    )


def legend(keys: Sequence[Key]) -> Markup:
    """Return names beside their colours and marks."""
    return render("legend.html", keys=keys)


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("probe4d_report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"short": short, "layer": layer_text, "count": count_text, "value": value_text, "plain": plain}
    return made


def value_text(value: float | None) -> str:
    """Return a value of a table: four significant digits, three decimals at least."""
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) >= 0.1 or value == 0 else f"{value:.4g}"


def plain(value: Any) -> str:
    """Return any JSON value as one line of text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={plain(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value) or "–"
    return "–" if value is None or value == "" else str(value)


def html_problem(text: str) -> str:
    """Return what would spoil the page around a panel: tags that do not close, scripts; empty where all is well."""
    checker = _Balance()
    checker.feed(text)
    checker.close()
    if not checker.problem and checker.open:
        return f"<{checker.open[-1]}> is never closed"
    return checker.problem


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problem = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "script":
            self.problem = self.problem or "it holds a script, which the page does not run"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """A tag that closes itself changes nothing."""

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open[-1] != tag:
            expected = f"</{self.open[-1]}>" if self.open else "nothing to close"
            self.problem = self.problem or f"expected {expected}, got </{tag}>"
        else:
            self.open.pop()
