"""Processor time of calls that are compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any


def seconds_of(calls: Sequence[Callable[[], Any]], rounds: int = 5) -> list[float]:
    """Return the median processor time of each call, measured in turns; a first round does not count."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds + 1):
        for place, call in enumerate(calls):
            started = time.process_time()
            call()
            taken[place].append(time.process_time() - started)
    return [statistics.median(seconds[1:]) for seconds in taken]
