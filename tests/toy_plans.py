"""Small suites over `playroom` at 32 x 32 pixels, and the plans that they come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probe4d import suites
from probe4d.planning import make_plan
from probe4d.planning.plan import Plan
from probe4d.records import RunFolder

__all__ = ["PIXELS_ON_LABELS", "THREE_STEPS", "planned", "playroom_suite"]

PIXELS_ON_LABELS = """
name = "small"
backbones = ["pixels"]
tasks = ["playroom-labels"]
protocols = ["frozen-quick"]
"""

# For `more`: probes that train in a second.
THREE_STEPS = """
[overrides.frozen-quick]
steps = 3
warmup_steps = 1
batch_size = 4
learning_rates = [1e-3]
readout = {width = 16, heads = 2}
"""


def playroom_suite(head: str, train: int, val: int, more: str = "") -> str:
    """Return a suite as TOML.

    Args:
        head: its lines before the tables: name, backbones, tasks, protocols.
        train, val: how many samples each split has.
        more: its other tables.
    """
    return f"""{head.strip()}
[clip]
size = [32, 32]
[data.playroom]
size = 32
[data.playroom.train]
length = {train}
[data.playroom.val]
length = {val}
{more.lstrip()}"""


def planned(folder: Path, text: str, **options: Any) -> Plan:
    """Return the plan of a suite whose run and store are in the folder, with options of `make_plan`."""
    return make_plan(suites.parse(text, "test"), RunFolder(folder / "run"), store=str(folder / "store"), **options)
