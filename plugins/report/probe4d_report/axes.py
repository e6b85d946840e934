"""Scales from values to pixels, and round ticks for them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from attrs import frozen

__all__ = ["Scale", "count_text", "number_text", "scale_of"]


@frozen(kw_only=True)
class Scale:
    """A line from values `low .. high` to pixels `start .. end`; `log` for a logarithmic one."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Return round values inside, about so many."""
        if self.log:
            return _log_ticks(self.low, self.high)
        step = _round_step((self.high - self.low) / max(1, count))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def scale_of(values: Iterable[float], start: float, end: float, *, log: bool = False, pad: float = 0.06) -> Scale:
    """Return a scale with room around the values.

    Raises:
        ValueError: there is no finite value, or one that is not positive on a logarithmic scale.
    """
    found = [value for value in values if math.isfinite(value)]
    if not found:
        raise ValueError("values: expected at least one that is finite, got none.")
    if log and min(found) <= 0:
        raise ValueError(f"values: expected positive ones for a logarithmic scale, got {min(found)}.")
    low, high = (math.log10(v) if log else v for v in (min(found), max(found)))
    room = (high - low) * pad or (0.3 if log else abs(low) * 0.1 or 0.5)
    # A range too small for its numbers' digits would have ticks that all read alike.
    room = max(room, 1e-6 * max(abs(low), abs(high)), 1e-9)
    low, high = low - room, high + room
    return Scale(low=10**low if log else low, high=10**high if log else high, start=start, end=end, log=log)


def number_text(value: float) -> str:
    """Return a value of a tick: as short as it is exact."""
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.4g}"


def count_text(count: float) -> str:
    """Return a number of parameters: `24M`, `1.8B`."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size * 0.9995:
            return f"{count / size:.3g}{unit}" if count < 100 * size else f"{count / size:.0f}{unit}"
    return f"{count:g}"


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * step for step in (1, 2, 2.5, 5, 10) if power * step >= rough * (1 - 1e-9))


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if len(decades) > 3 else (1, 3) if len(decades) > 2 else (1, 2, 5)
    return [step * 10.0**d for d in decades for step in steps if low <= step * 10.0**d <= high]
