"""Which sweeps of a suite can run, which cannot, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from probe4d.errors import Probe4dError
from probe4d.planning.adoption import Stored
from probe4d.planning.clips import Clips, clips_of
from probe4d.planning.preflight import (
    Problem,
    backbone_problems,
    pair_name,
    pair_problems,
    problems_of,
    root_problems,
    sweep_name,
    task_problems,
)
from probe4d.planning.resolve import Backbone, Protocol, Selection, Task, layers_of
from probe4d.planning.sets import feature_set, target_set
from probe4d.planning.units import Sweep
from probe4d.registry import Registry
from probe4d.store.errors import NotExtractedError
from probe4d.suites import Suite

__all__ = ["Found", "Sweeper", "chosen_problems", "find_sweeps", "names_of"]


@frozen(kw_only=True)
class Found:
    """The sweeps that can run, what cannot, and the problems that it has."""

    sweeps: tuple[Sweep, ...]
    blocked: tuple[tuple[Backbone, Task, Protocol], ...]
    problems: tuple[Problem, ...]


def chosen_problems(
    chosen: Selection, suite: Suite, registry: Registry, roots: Mapping[str, str], *, trains: bool
) -> list[Problem]:
    """Return what backbones, tasks and protocols lack before any data is opened.

    Args:
        trains: whether readouts are trained and scored, or features extracted and no more.
    """
    problems = [problem for backbone in chosen.backbones for problem in backbone_problems(backbone)]
    if trains:
        problems += [problem for task in chosen.tasks for problem in task_problems(task, registry)]
    problems += [problem for task in chosen.tasks for problem in root_problems(task, suite, registry, roots)]
    pairs = [(backbone, protocol) for backbone in chosen.backbones for protocol in chosen.protocols]
    return problems + [problem for pair in pairs for problem in pair_problems(*pair, trains=trains)]


def find_sweeps(
    chosen: Selection, sweeper: Sweeper, problems: Sequence[Problem], stored: Stored, *, extracts: bool
) -> Found:
    """Return the sweeps of a selection.

    Args:
        problems: what is known to be missing; see `chosen_problems`.
        stored: where features of other platforms are looked for: those of a backbone that does not run here.
        extracts: whether features may be extracted; without, all are looked for there.
    """
    known = list(problems)
    sweeps: list[Sweep] = []
    blocked: list[tuple[Backbone, Task, Protocol]] = []
    for triple in _triples(chosen):
        found, caches = problems_of(known, names_of(*triple)), triple[2].settings.views > 0
        if not found or (caches and all(problem.of_extracting for problem in found)):
            try:
                sweep = sweeper.sweep(*triple)
                sweeps.append(stored.taken(sweep) if caches and (found or not extracts) else sweep)
                continue
            except NotExtractedError as error:
                of = sweep_name(triple[0], triple[1])
                known.append(Problem(of=of, reason=str(error), exit_code=error.exit_code, lacks="stored features"))
            except Probe4dError as error:
                known.append(Problem(of=triple[1].name, reason=str(error), exit_code=error.exit_code))
        blocked.append(triple)
    # What only keeps from extracting is no problem where nothing had to be extracted.
    needed = {backbone.ref.label for backbone, _, _ in blocked}
    kept = [problem for problem in known if not problem.of_extracting or problem.of in needed]
    return Found(sweeps=tuple(sweeps), blocked=tuple(blocked), problems=tuple(kept))


def names_of(backbone: Backbone, task: Task, protocol: Protocol) -> tuple[str, ...]:
    """Return what a problem may name that keeps these three from running together."""
    return backbone.ref.label, task.name, pair_name(backbone, protocol), sweep_name(backbone, task)


def _triples(chosen: Selection) -> Iterator[tuple[Backbone, Task, Protocol]]:
    return ((b, task, protocol) for protocol in chosen.protocols for task in chosen.tasks for b in chosen.backbones)


class Sweeper:
    """Makes sweeps whose clips and targets are shared where they are the same."""

    def __init__(self, suite: Suite, registry: Registry, roots: Mapping[str, str], limit: int | None) -> None:
        self._suite, self._registry, self._roots, self._limit = suite, registry, roots, limit
        self._clips: dict[tuple[str, str], tuple[Clips, Clips]] = {}

    def sweep(self, backbone: Backbone, task: Task, protocol: Protocol) -> Sweep:
        """Return the sweep of a backbone on a task under a protocol."""
        settings = protocol.settings
        layers = layers_of(self._suite, backbone, task, protocol)
        train, evaluate = self._both(task, protocol)
        kind, batch = task.spec.kind, settings.extract_batch_size
        return Sweep(
            backbone=backbone,
            task=task,
            protocol=protocol,
            layers=layers,
            train=feature_set(backbone, train, layers, settings.dtype, batch),
            evaluate=feature_set(backbone, evaluate, layers, settings.dtype, batch),
            train_targets=target_set(train, (kind,), settings.target_settings("train").get(kind, {})),
            evaluate_targets=target_set(evaluate, (kind,), settings.target_settings("evaluate").get(kind, {})),
        )

    def _both(self, task: Task, protocol: Protocol) -> tuple[Clips, Clips]:
        key = (task.name, protocol.name)
        if key not in self._clips:
            spec, settings = task.spec, protocol.settings
            # What is streamed begins with the view that a cache of one view holds.
            first = settings.seed if spec.train_clip.drawn else 0
            train_views = tuple(range(first, first + max(settings.views, 1)))
            self._clips[key] = (
                self._clips_of(spec.train, spec.train_clip, train_views),
                self._clips_of(spec.evaluate, spec.evaluate_clip, (0,)),
            )
        return self._clips[key]

    def _clips_of(self, ref: Any, sampling: Any, views: tuple[int, ...]) -> Clips:
        return clips_of(
            ref,
            sampling,
            views,
            suite=self._suite,
            registry=self._registry,
            roots=self._roots,
            limit=self._limit,
        )
