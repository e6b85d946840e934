"""The aggregates of a run: those that its suite names, else those that need nothing but the table."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

from attrs import frozen

from probe4d.errors import Probe4dError
from probe4d.registry import find
from probe4d.results import ResultsTable

__all__ = ["Aggregate", "aggregates_of"]

DEFAULT = ("mean_rank", "worst_task")


@frozen(kw_only=True)
class Aggregate:
    """One number per backbone.

    Attributes:
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
    return tuple(_aggregate(results, name) for name in _named(suite))


def _named(suite: str) -> list[str]:
    try:
        stated = tomllib.loads(suite).get("aggregates", ())
    except tomllib.TOMLDecodeError:
        stated = ()  # shown as text by the provenance, whatever it is
    return [str(name) for name in stated] if isinstance(stated, list) and stated else list(DEFAULT)


def _aggregate(results: ResultsTable, name: str) -> Aggregate:
    try:
        spec = find("aggregates", name).spec
        values = results.aggregate(name)
    except (Probe4dError, ValueError, TypeError) as error:
        return Aggregate(name=name, problem=str(error))
    return Aggregate(name=name, summary=spec.summary, higher_is_better=spec.higher_is_better, values=values)
