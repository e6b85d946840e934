"""Units that the checks of a runner carry out: they write a ledger of what ran, and some die."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

__all__ = ["die", "echo", "fail"]


def echo(ledger: str, name: str, value: Any = None, seconds: float = 0.0) -> Any:
    """Return the value, with `+name` and `-name` in the ledger around a pause."""
    _note(ledger, f"+{name}")
    time.sleep(seconds)
    _note(ledger, f"-{name}")
    return value


def fail(ledger: str, name: str) -> None:
    """Raise ValueError."""
    _note(ledger, f"+{name}")
    raise ValueError(f"unit {name} fails on purpose")


def die(ledger: str, name: str) -> None:
    """End the process at once, as a killed worker does."""
    _note(ledger, f"+{name}")
    os._exit(86)


def _note(ledger: str, line: str) -> None:
    # One short write in append mode is one line, whichever processes write at once.
    with Path(ledger).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
