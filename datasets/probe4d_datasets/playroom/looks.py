"""Materials drawn from a stream: colours and patterns that a room's surfaces and things may have."""

from __future__ import annotations

import math

from probe4d_datasets.playroom.exact import Stream, Vec, turn
from probe4d_datasets.playroom.scene import Material

PATTERNS = ("checker", "stripes", "dots")
# What it is: (lowest and highest saturation, value of either colour, pattern cells and noise cells a metre, contrast)
RANGES = {
    "floor": ((0.25, 0.7), (0.25, 0.6), (1.2, 2.5), (3.0, 7.0), (0.3, 0.6)),
    "wall": ((0.1, 0.5), (0.45, 0.85), (1.0, 2.2), (2.0, 5.0), (0.15, 0.45)),
    "ceiling": ((0.0, 0.15), (0.75, 0.95), (1.0, 1.5), (1.5, 3.0), (0.05, 0.15)),
    "thing": ((0.55, 0.95), (0.3, 0.95), (4.0, 8.0), (6.0, 14.0), (0.3, 0.6)),
}


def draw_material(looks: Stream, what: str) -> Material:
    """Return a material for a `floor`, `wall`, `ceiling` or `thing`."""
    saturation, value, cells, grain, contrast = RANGES[what]
    hue = looks.unit()
    low = _rgb(hue, looks.uniform(*saturation), looks.uniform(*value))
    # A thing is of two colours; a room's surface of two shades that are near each other.
    other = hue + (looks.uniform(0.2, 0.8) if what == "thing" else looks.signed(0.08))
    high = _rgb(other, looks.uniform(*saturation), looks.uniform(*value))
    stripes = turn(2, looks.signed(1.5))[0]
    return Material(
        pattern="plain" if what == "ceiling" else PATTERNS[looks.below(len(PATTERNS))],
        low=low,
        high=high,
        frequency=looks.uniform(*cells),
        grain=looks.uniform(*grain),
        contrast=looks.uniform(*contrast),
        offset=(looks.uniform(0.0, 16.0), looks.uniform(0.0, 16.0), looks.uniform(0.0, 16.0)),
        axis=stripes,
        photo=looks.below(1 << 30),
    )


def _rgb(hue: float, saturation: float, value: float) -> Vec:
    """Return linear RGB of a colour whose displayed (square-root) RGB has that hue in turns."""

    def channel(shift: float) -> float:
        place = hue + shift
        wave = abs((place - math.floor(place)) * 6.0 - 3.0) - 1.0
        shown = value * (1.0 - saturation * (1.0 - min(max(wave, 0.0), 1.0)))
        return shown * shown

    return (channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0))
