"""Bootstrap over samples: intervals of a metric's values, and of the difference of two results.

Any state will do that offers `per_sample` and `resample` (the contract of a metric state). Samples
are drawn in the sorted order of their ids, so that an interval depends on the samples and the seed
alone; resamples are drawn a few at a time, so that memory is bounded with many samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from probe4d_metrics.state import State

__all__ = ["TOO_CLOSE", "bootstrap_ci", "paired_difference"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

TOO_CLOSE = "too close to call"
CHUNK = 1 << 21  # counts drawn at a time: 16 MB, and as much for those before them


class Resampled(Protocol):
    """What a state needs to be bootstrapped; see `probe4d.contracts.MetricState`."""

    def compute(self) -> Mapping[str, float]:
        """Return every value."""
        ...

    def per_sample(self) -> Mapping[str, Mapping[str, float]]:
        """Return the values of each sample, by id."""
        ...

    def resample(self, counts: Array) -> Mapping[str, Array]:
        """Return each value `(r,)` under `counts (r, n)`."""
        ...


def bootstrap_ci(
    state: Resampled, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Return the percentile interval of every value; (NaN, NaN) for one that nothing defines.

    Args:
        state: of any metric.
        resamples: how often as many samples are drawn, with replacement, as there are.
        seed: of numpy's PCG64.
        level: share of the resampled values that the interval holds, in the middle.

    >>> from probe4d_metrics import Accuracy
    >>> state = Accuracy().empty().update_batch(
    ...     ["a", "b", "c", "d"], {"label": np.array([0, 1, 1, 3])}, {"label": np.array([0, 1, 2, 3])}
    ... )
    >>> bootstrap_ci(state)["top1"]
    (0.25, 1.0)
    """
    _check_options(resamples, level)
    ids = _ids(state)
    drawn: dict[str, list[Array]] = {name: [] for name in state.compute()}
    if ids:
        place = _places(ids, sorted(ids))
        for counts in _draws(len(ids), resamples, seed):
            for name, values in state.resample(_spread(counts, place, len(ids))).items():
                drawn[name].append(values)
    return {name: _interval(np.concatenate([*parts, np.empty(0)]), level) for name, parts in drawn.items()}


def paired_difference(
    state: Resampled, other: Resampled, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, dict[str, Any]]:
    """Return how each value of `state` differs from that of `other` on the samples that both have.

    Both are resampled by the same draws, so that what makes a sample hard for both cancels out.

    Returns:
        By value: `difference`; its interval, `ci95` at a level of 0.95; `p`, two-sided, the share of draws
        on the far side of 0; `samples`, how many are common; and `verdict`: `higher`, `lower`, or
        `too close to call` where the interval holds 0. NaN and None where a value is not defined.

    Raises:
        ValueError: no sample is common, or an option is out of range.

    >>> from probe4d_metrics import Accuracy
    >>> targets = {"label": np.zeros(20, int)}
    >>> ids = [f"clip {i}" for i in range(20)]
    >>> good = Accuracy().empty().update_batch(ids, {"label": np.zeros(20, int)}, targets)
    >>> bad = Accuracy().empty().update_batch(ids, {"label": np.arange(20) % 2}, targets)
    >>> found = paired_difference(good, bad)["top1"]
    >>> found["difference"], found["verdict"]
    (0.5, 'higher')
    """
    _check_options(resamples, level)
    sides = [(one, _ids(one)) for one in (state, other)]
    common = sorted(set(sides[0][1]).intersection(sides[1][1]))
    if not common:
        raise ValueError("paired difference: expected samples that both results have, got none in common.")
    here, there = (_on_common(one, ids, common) for one, ids in sides)
    drawn: dict[str, list[Array]] = {name: [] for name in here if name in there}
    places = [_places(ids, common) for _, ids in sides]
    for counts in _draws(len(common), resamples, seed):
        first, second = (
            one.resample(_spread(counts, place, len(ids))) for (one, ids), place in zip(sides, places, strict=True)
        )
        for name, parts in drawn.items():
            parts.append(first[name] - second[name])
    return {
        name: _verdict(here[name] - there[name], np.concatenate(parts), level) | {"samples": len(common)}
        for name, parts in drawn.items()
    }


def _ids(state: Resampled) -> Sequence[str]:
    # Our own state knows its samples without making their values, which counts with a million of them.
    return state.ids if isinstance(state, State) else list(state.per_sample())


def _on_common(state: Resampled, ids: Sequence[str], common: Sequence[str]) -> Mapping[str, float]:
    """Return the values on the common samples; the exact ones where these are all there are."""
    if len(ids) == len(common):
        return state.compute()
    chosen = _spread(np.ones((1, len(common))), _places(ids, common), len(ids))
    return {name: float(values[0]) for name, values in state.resample(chosen).items()}


def _verdict(difference: float, drawn: Array, level: float) -> dict[str, Any]:
    low, high = _interval(drawn, level)
    drawn = drawn[~np.isnan(drawn)]
    out: dict[str, Any] = {"difference": difference, f"ci{100 * level:g}": (low, high), "p": math.nan, "verdict": None}
    if drawn.size and not math.isnan(difference):
        tail = 1 + min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))  # the result itself is one draw
        out["p"] = min(1.0, 2 * tail / (drawn.size + 1))
        out["verdict"] = TOO_CLOSE if low <= 0 <= high else "higher" if low > 0 else "lower"
    return out


def _draws(samples: int, resamples: int, seed: int) -> Iterator[Array]:
    """Yield `(r, n)` counts, how often each resample draws each sample; the same for every chunk size."""
    random = np.random.Generator(np.random.PCG64(seed))
    rows = max(1, CHUNK // samples)
    for start in range(0, resamples, rows):
        counts = np.empty((min(rows, resamples - start), samples))
        for row in counts:
            row[:] = np.bincount(random.integers(samples, size=samples), minlength=samples)
        yield counts


def _places(ids: Sequence[str], wanted: Sequence[str]) -> Array:
    """Return where each wanted id stands in `ids`."""
    at = {sample_id: i for i, sample_id in enumerate(ids)}
    return np.array([at[sample_id] for sample_id in wanted], dtype=np.intp)


def _spread(counts: Array, place: Array, samples: int) -> Array:
    """Return the counts `(r, samples)` in a state's own order, 0 for samples that are not drawn from."""
    if len(place) == samples and np.array_equal(place, np.arange(samples)):
        return counts
    out = np.zeros((len(counts), samples))
    out[:, place] = counts
    return out


def _interval(values: Array, level: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not values.size:
        return (math.nan, math.nan)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return (float(low), float(high))


def _check_options(resamples: int, level: float) -> None:
    if resamples < 1:
        raise ValueError(f"resamples: expected at least 1, got {resamples}.")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share between 0 and 1, got {level}.")
