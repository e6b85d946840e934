"""Small samples of equal shapes go to the metrics many at a time, where a metric takes batches.

A state's `update_batch` is the same to the last bit as one `update` after the other; what it saves
is the cost of a call per sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.contracts import MetricState
from probe4d.errors import DataError

__all__ = ["Batches"]

SAMPLES = 256
SMALL_BYTES = 64 << 10  # a larger sample costs more than its call

Side = Mapping[str, Any]


class Batches:
    """States that samples are added to.

    Args:
        states: by name; not changed, `finish` returns the new ones.
    """

    def __init__(self, states: Mapping[str, MetricState]) -> None:
        self._states = dict(states)
        self._waiting: list[tuple[str, Side, Side]] = []
        self._signature: Any = None
        self._takes_batches = all(hasattr(state, "update_batch") for state in states.values())

    def add(self, sample_id: str, predictions: Side, targets: Side) -> None:
        """Add one sample, now or with the next ones of its shapes."""
        signature = _signature(predictions, targets) if self._takes_batches else None
        if signature is None:
            self._flush()
            self._one(sample_id, predictions, targets)
            return
        if signature != self._signature or len(self._waiting) >= SAMPLES:
            self._flush()
            self._signature = signature
        self._waiting.append((sample_id, predictions, targets))

    def finish(self) -> dict[str, MetricState]:
        """Return the states with all samples."""
        self._flush()
        return self._states

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if len(waiting) == 1:
            self._one(*waiting[0])
        elif waiting:
            ids = [sample_id for sample_id, _, _ in waiting]
            stacked = [_stacked([item[side] for item in waiting]) for side in (1, 2)]
            try:
                self._states = {name: _batch(state, ids, *stacked) for name, state in self._states.items()}
            except (ValueError, ArithmeticError):
                # A batch's error does not say whose it is: one by one, the sample at fault raises its own.
                for item in waiting:
                    self._one(*item)

    def _one(self, sample_id: str, predictions: Side, targets: Side) -> None:
        try:
            self._states = {name: state.update(sample_id, predictions, targets) for name, state in self._states.items()}
        except (ValueError, ArithmeticError) as error:
            where = f"sample {sample_id!r}: "
            raise DataError(where + str(error).removeprefix(where)) from error


def _batch(state: Any, ids: list[str], predictions: Side, targets: Side) -> MetricState:
    updated: MetricState = state.update_batch(ids, predictions, targets)
    return updated


def _signature(*sides: Side) -> Any:
    """Return what has to be equal for samples to be stacked, None for one that is not to wait."""
    total = 0
    parts: list[tuple[Any, ...]] = []
    for side in sides:
        for name, value in side.items():
            if isinstance(value, np.ndarray):
                total += value.nbytes
                parts.append((name, value.shape, value.dtype))
            elif isinstance(value, str):
                parts.append((name, value))
            else:
                return None
    return tuple(parts) if total <= SMALL_BYTES else None


def _stacked(sides: list[Any]) -> dict[str, Any]:
    first = sides[0]
    return {
        name: value if isinstance(value, str) else np.stack([side[name] for side in sides])
        for name, value in first.items()
    }
