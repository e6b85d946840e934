"""The Python door of the main job: `probe4d.evaluate(backbones, suite)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from probe4d import suites
from probe4d.planning import make_plan
from probe4d.records import RunFolder
from probe4d.running import RunResult, check_plan, make_runner, run_plan

__all__ = ["evaluate"]


def evaluate(
    backbones: str | Sequence[str | Mapping[str, Any]],
    suite: str | Path | suites.Suite,
    output_dir: str | Path,
    *,
    runner: str = "local",
    workers: int | None = None,
    roots: Mapping[str, str] | None = None,
    store: str | None = None,
    limit: int | None = None,
) -> RunResult:
    """Return the records of these backbones on a suite, computing what is not there yet.

    Args:
        backbones: names, or mappings with name, label, weights, seed, options; added to the suite's own.
        suite: a file, an installed suite's name, or a `Suite`.
        output_dir: folder of the run; a second call goes on where the first was stopped.
        runner, workers: what carries out the units.
        roots: by dataset, where its data lie.
        store: root of the feature store, any fsspec URL; the user's cache by default.
        limit: use the first so many samples of each split.

    Raises:
        UsageError: a name or field is unknown.
        Probe4dError: something is missing; says what and how to get it.
    """
    read = suite if isinstance(suite, suites.Suite) else suites.find_suite(str(suite))
    added = [backbones] if isinstance(backbones, str) else list(backbones)
    plan = make_plan(read, RunFolder(output_dir), backbones=added, roots=roots, store=store, limit=limit)
    check_plan(plan)
    return run_plan(plan, make_runner(runner, workers), suite_text=suites.to_toml(read))
