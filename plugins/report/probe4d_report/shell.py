"""What every page has around its content: style, script, and the rule that no other script runs."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from attrs import frozen
from markupsafe import Markup

from probe4d import __version__
from probe4d_report.colours import css_variables
from probe4d_report.svg import STYLE

__all__ = ["Shell", "shell"]


@frozen(kw_only=True)
class Shell:
    """Values of `base.html`; `script_digest` is what the page's content security policy allows."""

    style: Markup
    script: Markup
    script_digest: str
    version: str = __version__


def shell() -> Shell:
    """Return style and script of this package, to be written into a page."""
    script = _asset("script.js")
    return Shell(
        style=Markup(css_variables() + STYLE + _asset("style.css")),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _asset(name: str) -> str:
    return (files("probe4d_report") / "static" / name).read_text(encoding="utf-8")
