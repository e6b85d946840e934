"""The aggregates of a run: those that its suite names, else those that need nothing but the table."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

from attrs import frozen

from probe4d.aggregating import Aggregation
from probe4d.errors import Probe4dError, UsageError
from probe4d.registry import find
from probe4d.results import ResultsTable

__all__ = ["Aggregate", "aggregates_of"]

DEFAULT = ("mean_rank", "worst_task")


@frozen(kw_only=True)
class Aggregate:
    """One number per backbone.

    Attributes:
        name: with its options.
        problem: why there are none; empty where there are.
    """

    name: str
    summary: str = ""
    higher_is_better: bool = True
    values: Mapping[str, float] = {}
    problem: str = ""


def aggregates_of(results: ResultsTable, suite: str) -> tuple[Aggregate, ...]:
    """Return the aggregates over the backbones that have every column.

    Args:
        suite: text of `suite.toml`; empty where there is none.
    """
    return tuple(_aggregate(results, one) for one in _named(suite))


def _named(suite: str) -> list[Aggregation]:
    try:
        stated = tomllib.loads(suite).get("aggregates", ())
    except tomllib.TOMLDecodeError:
        stated = ()  # shown as text by the provenance, whatever it is
    found = []
    for item in stated if isinstance(stated, list) and stated else DEFAULT:
        try:
            found.append(Aggregation.of(item))
        except UsageError:
            found.append(Aggregation(str(item)))  # shown by its problem: there is none of that name
    return found


def _aggregate(results: ResultsTable, one: Aggregation) -> Aggregate:
    try:
        spec = find("aggregates", one.name).spec
        values = results.aggregate(one.name, **one.options)
    except (Probe4dError, ValueError, TypeError) as error:
        return Aggregate(name=one.label, problem=str(error))
    return Aggregate(name=one.label, summary=spec.summary, higher_is_better=spec.higher_is_better, values=values)
