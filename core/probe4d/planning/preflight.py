"""What is missing before anything runs: extras, weights, data, metrics that fail on a one-sample fake."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from probe4d.backbones import local_weights, packaged_weights
from probe4d.errors import DataError, Probe4dError
from probe4d.opening import missing_root
from probe4d.planning.clips import options_of
from probe4d.planning.resolve import Backbone, Protocol, Task
from probe4d.registry import Entry, Registry, make
from probe4d.suites import Suite

__all__ = [
    "Problem",
    "backbone_problems",
    "pair_name",
    "pair_problems",
    "problems_of",
    "root_problems",
    "sweep_name",
    "task_problems",
]


@frozen(kw_only=True)
class Problem:
    """Something that keeps cells from running.

    Attributes:
        of: the backbone's label, the task's name, `pair_name` of a backbone and a protocol, or `sweep_name` of a
            backbone and a task.
        lacks: the same in a word or two, for a table.
        exit_code: of `probe4d run`, were it to refuse for this alone.
        of_extracting: whether it only keeps features from being extracted here: those that are stored do instead.
    """

    of: str
    reason: str
    exit_code: int = 3
    lacks: str = ""
    of_extracting: bool = False


def backbone_problems(backbone: Backbone) -> list[Problem]:
    """Return what a backbone lacks: packages, or weights that the user has to bring."""
    spec, label = backbone.spec, backbone.ref.label
    found = [evolve(problem, of_extracting=True) for problem in _packages(backbone.entry, label)]
    weights = spec.weights
    if backbone.ref.weights is not None:
        try:
            local_weights(backbone.ref.weights)
        except DataError as error:
            found.append(Problem(of=label, reason=str(error), exit_code=error.exit_code, lacks="weights"))
    elif weights is not None and packaged_weights(backbone.entry) is None:
        if not weights.public:
            near = f"; the nearest public model is {weights.nearest}" if weights.nearest else ""
            found.append(
                Problem(
                    of=label,
                    reason=f"its weights are not public{near}. Bring a file",
                    exit_code=4,
                    lacks="weights (not public)",
                )
            )
        else:
            found.append(
                Problem(
                    of=label, reason=f"its weights are at {weights.url}. Bring the file", exit_code=4, lacks="weights"
                )
            )
    return found


def pair_name(backbone: Backbone, protocol: Protocol) -> str:
    """Return how a problem names the two together."""
    return f"{backbone.ref.label} under {protocol.name}"


def sweep_name(backbone: Backbone, task: Task) -> str:
    """Return how a problem names these two together."""
    return f"{backbone.ref.label} on {task.name}"


def pair_problems(backbone: Backbone, protocol: Protocol, *, trains: bool = True) -> list[Problem]:
    """Return what a protocol lacks to evaluate a backbone: packages to train, or the contract that it needs."""
    of, spec = pair_name(backbone, protocol), backbone.spec
    found = _packages(protocol.entry, of) if trains else []
    if protocol.spec.mode == "finetune" and not spec.trainable:
        reason = f"{backbone.entry.name} offers frozen features only, and this protocol trains the backbone"
        found.append(Problem(of=of, reason=reason, exit_code=2, lacks="a trainable backbone"))
    if protocol.spec.mode == "frozen" and not spec.frozen:
        reason = f"{backbone.entry.name} offers no frozen features"
        found.append(Problem(of=of, reason=reason, exit_code=2, lacks="frozen features"))
    return found


def task_problems(task: Task, registry: Registry) -> list[Problem]:
    """Return what a task lacks: packages of its readout, metrics and kind, or a metric that does not work."""
    spec = task.spec
    found: list[Problem] = []
    try:
        readout = registry.find("readouts", spec.readout)
        kind = registry.find("kinds", spec.kind)
        metrics = [registry.find("metrics", name) for name in spec.metrics]
    except Probe4dError as error:
        return [Problem(of=task.name, reason=str(error), exit_code=error.exit_code)]
    for entry in (readout, kind, *metrics):
        found += _packages(entry, task.name)
        if getattr(entry.spec, "kind", spec.kind) != spec.kind:
            reason = f"{entry.name} is of kind {entry.spec.kind!r}, the task of {spec.kind!r}"
            found.append(Problem(of=task.name, reason=reason, exit_code=2))
    return found or _fake_score(task, kind, metrics)


def root_problems(task: Task, suite: Suite, registry: Registry, roots: Mapping[str, str]) -> list[Problem]:
    """Return which datasets of a task nobody said the place of."""
    found: dict[Problem, None] = {}
    for ref in (task.spec.train, task.spec.evaluate):
        try:
            lacking = missing_root(registry.find("datasets", ref.dataset), options_of(ref, suite, registry, roots))
        except Probe4dError:
            continue  # another thing is wrong with it, which opening it says
        if lacking is not None:
            lacks = f"data {ref.dataset.rpartition('/')[2]}"
            found[Problem(of=task.name, reason=lacking, exit_code=DataError.exit_code, lacks=lacks)] = None
    return list(found)


def _fake_score(task: Task, kind: Entry, metrics: Sequence[Entry]) -> list[Problem]:
    """Score a perfect prediction of one made-up sample, so that a broken metric shows now and not in an hour."""
    try:
        described = make(kind)
        predictions, targets = described.read(*described.example(0))
        for metric in metrics:
            values = make(metric).empty().update("example", predictions, targets).compute()
            undefined = [
                value.name for value in metric.spec.values if not math.isfinite(values.get(value.name, math.nan))
            ]
            if metric.spec.values[0].name in undefined:
                reason = f"{metric.name} has no {undefined[0]} for a perfect prediction"
                return [Problem(of=task.name, reason=reason, exit_code=3)]
    except Exception as error:  # noqa: BLE001 - a plugin's metric; what it raises is the finding
        reason = f"its metrics fail on a one-sample fake: {type(error).__name__}: {error}"
        return [Problem(of=task.name, reason=reason, exit_code=3)]
    return []


def _packages(entry: Entry, of: str) -> list[Problem]:
    if missing := entry.unmet:
        return [
            Problem(
                of=of, reason=f"{entry.name} needs {', '.join(missing)}. Run: {entry.install_line}", lacks="packages"
            )
        ]
    return []


def problems_of(problems: Iterable[Problem], names: Iterable[str]) -> list[Problem]:
    """Return the problems that belong to any of these names."""
    wanted = set(names)
    return [problem for problem in problems if problem.of in wanted]
