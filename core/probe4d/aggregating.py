"""Named aggregates with their options: as a suite lists them, as the command line writes them, checked before a run.

aggregates = ["mean_rank", {name = "relative_to_baseline", baseline = "pixels"}]
probe4d leaderboard RUN -a mean_rank -a relative_to_baseline,baseline=pixels
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d.registry import Entry, Registry, load_target
from probe4d.registry import registry as loaded_registry
from probe4d.spec_fields import ReadOnly

__all__ = ["Aggregation", "aggregations", "apply_aggregate", "check_aggregates"]

FIXED = ("table", "higher_is_better")  # what an aggregate is given by the results themselves


@frozen
class Aggregation:
    """An aggregate and what it is told beside the table."""

    name: str
    options: Mapping[str, Any] = field(factory=dict, converter=ReadOnly)

    @property
    def label(self) -> str:
        """Return what heads its column: `relative_to_baseline(baseline=pixels)`."""
        said = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return self.name.rpartition("/")[2] + (f"({said})" if said else "")

    @classmethod
    def of(cls, item: object) -> Aggregation:
        """Return that of a suite's entry: a name, or a table with `name` and options.

        Raises:
            UsageError: it is neither.
        """
        if isinstance(item, cls):
            return item
        if isinstance(item, str) and item:
            return cls(item)
        if isinstance(item, Mapping) and isinstance(item.get("name"), str) and item["name"]:
            return cls(item["name"], {key: value for key, value in item.items() if key != "name"})
        raise UsageError(f'aggregates: expected a name or a table {{name = "…", <option> = …}}, got {item!r}.')

    @classmethod
    def from_text(cls, text: str) -> Aggregation:
        """Return that of a command line: `NAME` or `NAME,OPTION=VALUE,…`.

        Raises:
            UsageError: a part is no option.
        """
        name, *parts = text.split(",")
        pairs = [part.partition("=") for part in parts]
        if not name or any(not key or not equals for key, equals, _ in pairs):
            raise UsageError(f"--aggregate: expected NAME or NAME,OPTION=VALUE, got {text!r}.")
        return cls(name, {key: value for key, _, value in pairs})


def aggregations(items: Iterable[object]) -> tuple[Aggregation, ...]:
    """Return a suite's entries; each once.

    Raises:
        UsageError: an entry is neither a name nor a table, or stands twice.
    """
    found = tuple(Aggregation.of(item) for item in items)
    for one in found:
        if found.count(one) > 1:
            raise UsageError(f"aggregates: expected each once, got {one.label} twice.")
    return found


def apply_aggregate(
    entry: Entry,
    table: Mapping[str, Mapping[str, float | None]],
    higher_is_better: Mapping[str, bool],
    options: Mapping[str, Any],
) -> dict[str, float]:
    """Return an aggregate's number by backbone.

    Args:
        table: value by backbone and column.

    Raises:
        UsageError: it has no such option.
        DataError: it is not defined on these values, or lacks an option.
    """
    function = load_target(entry.spec.target, entry.name)
    parameters = inspect.signature(function).parameters
    known = [name for name in parameters if name not in FIXED]
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        for key in options:
            if key not in known:
                has = f"expected options among {', '.join(known)}" if known else "it takes no options"
                raise UsageError(f"{entry.name}: {has}, got {key!r}.{did_you_mean(key, known)}")
    try:
        found: dict[str, float] = function(
            table, higher_is_better=higher_is_better, **{**entry.spec.options, **options}
        )
    except (TypeError, ValueError) as error:
        near = "".join(did_you_mean(value, table) for value in options.values() if isinstance(value, str))
        raise DataError(f"{entry.name}: {error}{near}") from error
    return found


def check_aggregates(
    items: Iterable[object], backbones: Sequence[str], tasks: Sequence[str], registry: Registry | None = None
) -> None:
    """Try the aggregates of a suite on a made-up table of its backbones and tasks, so that a typo shows before a run.

    Args:
        backbones: labels; none where they are not known yet, and then only the names are checked.

    Raises:
        UsageError: an aggregate or an option does not exist, or it has no result for these backbones.
    """
    known = registry or loaded_registry()
    for one in aggregations(items):
        entry = known.find("aggregates", one.name)
        if not backbones:
            continue
        table = {backbone: dict.fromkeys(tasks, 1.0) for backbone in backbones}
        try:
            apply_aggregate(entry, table, dict.fromkeys(tasks, True), one.options)
        except DataError as error:
            raise UsageError(f"aggregates: {error}") from error
