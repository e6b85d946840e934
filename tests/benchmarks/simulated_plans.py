"""Plans of up to 10,000 units over 1,000,000 samples that nobody means to carry out."""

from __future__ import annotations

from pathlib import Path

from probe4d.planning.plan import Plan
from toy_plans import PIXELS_ON_LABELS, planned, playroom_suite

SIZES = (1_000, 3_000, 10_000)  # units
SAMPLES_PER_SHARD = 200  # 5,000 shards of features and as many of targets are 1,000,000 samples
LIMIT = 1e-3  # seconds of our own a unit


def simulated_plan(folder: Path, count: int) -> Plan:
    """Return a plan of so many units, where `units.ROWS_PER_SHARD` is `SAMPLES_PER_SHARD`."""
    samples = count * SAMPLES_PER_SHARD // 2
    return planned(folder, playroom_suite(PIXELS_ON_LABELS, train=samples * 9 // 10, val=samples // 10))
