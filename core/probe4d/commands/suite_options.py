"""What `plan` and `run` are told alike: suite, backbones, data, store, run folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click
from attrs import frozen

from probe4d import suites
from probe4d.commands.set_options import put
from probe4d.errors import UsageError, did_you_mean

__all__ = ["SuiteOptions", "make", "suite_options"]

OPTIONS = (
    click.argument("suite"),
    click.option("-b", "--backbone", "backbones", multiple=True, help="One more backbone (repeatable)."),
    click.option("-t", "--task", "tasks", multiple=True, help="Only this task of the suite (repeatable)."),
    click.option("--weights", multiple=True, metavar="LABEL=FILE", help="A checkpoint for a backbone (repeatable)."),
    click.option("--data-root", "roots", multiple=True, metavar="DATASET=URL", help="Where data lie (repeatable)."),
    click.option("--set", "settings", multiple=True, metavar="A.B=C", help="Override, as in the suite (repeatable)."),
    click.option("--limit", type=click.IntRange(min=1), help="Use the first so many samples of each split."),
    click.option("--only", type=click.Choice(["extract", "probe"]), help="Fill the store; or use it as it is."),
    click.option("--store", help="Root of the feature store: a folder or URL."),
    click.option("-o", "--output-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run."),
)


def suite_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


@frozen(kw_only=True)
class SuiteOptions:
    """What was said of a suite; each field is the option of `OPTIONS` of that name."""

    suite: str
    backbones: Sequence[str]
    tasks: Sequence[str]
    weights: Sequence[str]
    roots: Sequence[str]
    settings: Sequence[str]
    limit: int | None
    only: str | None
    store: str | None
    output_dir: Path | None


def make(**options: Any) -> tuple[Any, str]:
    """Return the plan, and the suite's text as it stands with what the command line changed.

    Args:
        **options: the fields of `SuiteOptions`.
    """
    from probe4d.planning import make_plan
    from probe4d.records import RunFolder

    said = SuiteOptions(**options)
    read = _with_settings(suites.find_suite(said.suite), said.settings)
    if said.tasks:
        read = _with_tasks(read, _only(read.tasks, said.tasks))
    run = RunFolder(said.output_dir or Path("runs") / re.sub(r"[^A-Za-z0-9._-]", "-", read.name))
    chosen = attrs.evolve(read, backbones=_with_weights((*read.backbones, *said.backbones), said.weights))
    roots = _pairs("--data-root", said.roots)
    plan = make_plan(chosen, run, roots=roots, store=said.store, limit=said.limit, only=said.only)
    return plan, suites.to_toml(chosen)


def _only(known: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    short = {name.rpartition("/")[2]: name for name in known}
    for name in wanted:
        if name not in known and name not in short:
            raise UsageError(f"--task: expected one of {', '.join(short)}, got {name!r}.{did_you_mean(name, short)}")
    return tuple(name if name in known else short[name] for name in wanted)


def _with_tasks(suite: suites.Suite, tasks: tuple[str, ...]) -> suites.Suite:
    """Return the suite with these of its tasks, without what it says of the others."""
    gone = {name for task in suite.tasks if task not in tasks for name in (task, task.rpartition("/")[2])}
    overrides = {name: fields for name, fields in suite.overrides.items() if name not in gone}
    return attrs.evolve(suite, tasks=tasks, overrides=overrides)


def _pairs(option: str, values: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, what = value.partition("=")
        if not equals or not name or not what:
            raise UsageError(f"{option}: expected NAME=VALUE, got {value!r}.")
        pairs[name] = what
    return pairs


def _with_weights(backbones: Sequence[Any], weights: Sequence[str]) -> tuple[Any, ...]:
    files = _pairs("--weights", weights)
    found = []
    for item in backbones:
        stated = {"name": item} if isinstance(item, str) else dict(item)
        label = stated.get("label", stated["name"].rpartition("/")[2])
        if label in files:
            stated["weights"] = files.pop(label)
        found.append(item if stated == {"name": item} else stated)
    if files:
        raise UsageError(f"--weights: {', '.join(files)}: no backbone of the suite has that label.")
    return tuple(found)


def _with_settings(suite: suites.Suite, settings: Sequence[str]) -> suites.Suite:
    """Return the suite with `data.playroom.size=[64,64]` or `overrides.frozen-quick.steps=100` applied.

    `frozen-quick.steps=100` is short for the latter.
    """
    data, overrides = _copy(suite.data), _copy(suite.overrides)
    for setting in settings:
        path, equals, text = setting.partition("=")
        parts = path.removeprefix("overrides.").split(".")
        if not equals or len(parts) < 2 or not all(parts):
            raise UsageError(f"--set: expected NAME.FIELD=VALUE, got {setting!r}.")
        if parts[0] == "data":
            put(data, parts[1:], text, setting)
        else:
            put(overrides, parts, text, setting)
    return attrs.evolve(suite, data=data, overrides=overrides)


def _copy(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in table.items()}
