"""When two names mean the same: how people type them makes no difference."""

from __future__ import annotations

import re

__all__ = ["dist_key", "name_key"]


def name_key(name: str) -> str:
    """Return what names of specs are compared by: case, `-` and `_` are one."""
    return name.lower().replace("_", "-")


def dist_key(name: str) -> str:
    """Return what plugins and distributions are compared by. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
