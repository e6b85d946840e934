"""What is scored: a kind with its metrics, or a task with its own; found by name in the registry."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from probe4d.contracts import Kind, Metric
from probe4d.errors import NothingSelectedError, UnknownNameError, UsageError, did_you_mean
from probe4d.loader import BUILTIN
from probe4d.registry import Entry, entries, find, load_target, make, registry

__all__ = ["Subject", "find_subject", "make_kind", "make_metrics"]


@frozen(kw_only=True)
class Subject:
    """A kind, the metrics that score it, and the task that they come from, if any."""

    kind: Entry
    metrics: tuple[Entry, ...]
    task: Entry | None = None

    @property
    def label(self) -> str:
        """The kind's short name where it is first-party, else the canonical one."""
        return str(self.kind.spec.name) if self.kind.plugin == BUILTIN else self.kind.name


def find_subject(name: str, metric_names: Sequence[str] = ()) -> Subject:
    """Return the kind or the task of that name.

    Args:
        metric_names: only these metrics; none means all of the kind, or the task's.

    Raises:
        UnknownNameError: neither a kind nor a task has that name.
        NothingSelectedError: no metric scores the kind.
    """
    kind = _find_or_none("kinds", name)
    if kind is not None:
        wanted = [find("metrics", metric) for metric in metric_names] or _metrics_of(kind)
        return _checked(Subject(kind=kind, metrics=tuple(wanted)))
    task = _find_or_none("tasks", name)
    if task is None:
        known = [entry.spec.name for group in ("kinds", "tasks") for entry in entries(group)]
        raise UnknownNameError(
            f"{name!r}: expected a kind ({', '.join(entry.spec.name for entry in entries('kinds'))}) or a task, "
            f"got neither.{did_you_mean(name, known)} `probe4d list kinds` and `probe4d list tasks` show all."
        )
    kind = find("kinds", task.spec.kind)
    wanted = [find("metrics", metric) for metric in metric_names or task.spec.metrics]
    return _checked(Subject(kind=kind, metrics=tuple(wanted), task=task))


def _find_or_none(group: str, name: str) -> Entry | None:
    """Return the entry, None where there is none; ambiguity stays an error."""
    return find(group, name) if registry().matches(group, name) else None


def _metrics_of(kind: Entry) -> list[Entry]:
    return [entry for entry in entries("metrics") if _is_of(entry, kind)]


def _is_of(metric: Entry, kind: Entry) -> bool:
    # A short kind name means the metric's own plugin's first, then whatever is unique.
    name = metric.spec.kind
    return name == kind.name or (name == kind.spec.name and (metric.plugin == kind.plugin or _unique(name, kind)))


def _unique(name: str, kind: Entry) -> bool:
    return [entry.name for entry in entries("kinds") if entry.spec.name == name] == [kind.name]


def _checked(subject: Subject) -> Subject:
    for metric in subject.metrics:
        if not _is_of(metric, subject.kind):
            raise UsageError(
                f"metric {metric.name}: expected one of kind {subject.kind.name}, got {metric.spec.kind!r}."
            )
    if not subject.metrics:
        raise NothingSelectedError(
            f"{subject.kind.name}: expected at least one metric of this kind, got none installed."
        )
    return subject


def make_kind(entry: Entry, options: Mapping[str, str | None]) -> tuple[Kind, dict[str, str]]:
    """Return the kind with the options of `probe4d score` that it takes, and these.

    Args:
        options: `match`, `align`, `align_per` as given; None where not.

    Raises:
        UsageError: an option is given that the kind does not take, has another value, or is missing.
    """
    plain: Kind = make(entry)
    choices: Mapping[str, tuple[str, ...]] = plain.choices() if hasattr(plain, "choices") else {}
    chosen: dict[str, str] = {}
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if name not in choices:
            if value is not None:
                raise UsageError(f"{option}: {entry.name} does not take it, got {value!r}. Leave it out.")
            continue
        allowed = [choice for choice in choices[name] if choice]
        chosen[name] = choices[name][0] if value is None else value
        if chosen[name] not in allowed:
            what = "got nothing" if value is None else f"got {value!r}"
            near = did_you_mean(value or "", allowed)
            raise UsageError(f"{option}: expected one of {', '.join(allowed)} for {entry.name}, {what}.{near}")
    return (make(entry, **chosen) if chosen else plain), chosen


def make_metrics(subject: Subject, options: Mapping[str, Any]) -> dict[str, Metric]:
    """Return the metrics by canonical name; each gets those of the kind's options that it takes."""
    made: dict[str, Metric] = {}
    for entry in subject.metrics:
        taken = inspect.signature(load_target(entry.spec.target, entry.name)).parameters
        made[entry.name] = make(entry, **{name: value for name, value in options.items() if name in taken})
    return made
