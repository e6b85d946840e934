"""Values under the names of the answer, with their bootstrap intervals, alone and in pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from probe4d.contracts import Kind, MetricState, Role
from probe4d.scoring.subject import Subject

__all__ = ["Draws", "Names", "intervals", "paired"]

LEVEL = 0.95


@frozen(kw_only=True)
class Draws:
    """A seeded bootstrap over samples."""

    resamples: int
    seed: int


class Names:
    """What the values of the metrics are called in the answer."""

    def __init__(self, subject: Subject, kind: Kind, meta: Mapping[Role, Mapping[str, Any]]) -> None:
        self._subject = subject
        self._rename: Callable[[str], str] = lambda name: name
        if hasattr(kind, "value_name"):
            self._rename = lambda name: str(kind.value_name(name, meta))
        taken = [value.name for metric in subject.metrics for value in metric.spec.values]
        self._shared = {name for name in taken if taken.count(name) > 1}

    def __call__(self, metric: str, name: str) -> str:
        """Return a value's name; that of two metrics alike carries the metric's."""
        renamed = self._rename(name)
        return f"{metric}.{renamed}" if name in self._shared else renamed

    def merge(self, states: Mapping[str, MetricState], ask: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any]:
        """Return what `ask` answers of each metric's state, under the names of the answer."""
        return {self(metric, name): value for metric, state in states.items() for name, value in ask(state).items()}

    def units(self) -> dict[str, str]:
        """Return the unit of each value."""
        plain = {self(m.name, v.name): (v.name, v.unit) for m in self._subject.metrics for v in m.spec.values}
        # A value that was renamed for having no unit has none.
        return {name: "" if "unscaled" in name else unit for name, (_, unit) in plain.items()}


def intervals(
    named: Names, states: Mapping[str, MetricState], defined: Mapping[str, float], draws: Draws
) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each defined value; none where the draws do not define one."""
    if draws.resamples == 0:
        return {}
    from probe4d_metrics.bootstrap import bootstrap_ci

    ends = named.merge(
        states, lambda state: bootstrap_ci(state, resamples=draws.resamples, seed=draws.seed, level=LEVEL)
    )
    return {name: pair for name in defined if (pair := _finite_pair(ends.get(name))) is not None}


def _finite_pair(ends: Any) -> tuple[float, float] | None:
    if ends is None:
        return None
    low, high = (float(end) for end in ends)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def paired(
    named: Names, first: Mapping[str, MetricState], second: Mapping[str, MetricState], draws: Draws
) -> Mapping[str, Mapping[str, Any]]:
    """Return by value the paired difference of two results over the samples that both have.

    Returns:
        `difference`, `ci95` (None without draws), `p`, `verdict` and `samples` of each value that both define.
    """
    from probe4d_metrics.bootstrap import paired_difference

    found = {
        named(metric, name): dict(facts)
        for metric in first
        for name, facts in paired_difference(
            first[metric], second[metric], resamples=max(draws.resamples, 1), seed=draws.seed, level=LEVEL
        ).items()
    }
    for facts in found.values():
        facts["ci95"] = _finite_pair(facts["ci95"]) if draws.resamples and facts["samples"] > 1 else None
    return {name: facts for name, facts in found.items() if math.isfinite(facts["difference"])}
