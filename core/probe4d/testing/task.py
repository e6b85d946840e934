"""Checks of a task: every name in it resolves, and its parts are of one kind."""

from __future__ import annotations

from probe4d.registry import load_target
from probe4d.specs import DataRef
from probe4d.testing.arrays import names
from probe4d.testing.battery import Checks
from probe4d.testing.result import require, skip
from probe4d.testing.subject import Subject

__all__ = ["TASK", "TaskSubject"]


class TaskSubject(Subject):
    """A task."""

    @property
    def data(self) -> dict[str, DataRef]:
        """Its two references to data."""
        return {"train": self.spec.train, "evaluate": self.spec.evaluate}


TASK: Checks[TaskSubject] = Checks()


@TASK()
def target_imports(subject: TaskSubject) -> None:
    """The target can be imported and called."""
    if missing := subject.entry.unmet:
        skip(f"needs {', '.join(missing)}: {subject.entry.install_line}")
    require(callable(load_target(subject.spec.target, subject.entry.name)), "expected a target that can be called")


@TASK()
def kind_resolves(subject: TaskSubject) -> None:
    """The kind exists."""
    subject.find("kinds", subject.spec.kind)


@TASK()
def datasets_resolve(subject: TaskSubject) -> None:
    """Both datasets exist and have the splits named."""
    for role, data in subject.data.items():
        spec = subject.find("datasets", data.dataset).spec
        known = not spec.splits or data.split in spec.splits
        require(known, f"{role}: {data.dataset} has the splits {names(spec.splits)}, not {data.split!r}")


@TASK()
def readout_resolves(subject: TaskSubject) -> None:
    """The readout exists."""
    subject.find("readouts", subject.spec.readout)


@TASK()
def metrics_resolve(subject: TaskSubject) -> None:
    """There is a metric, each exists, and none is named twice."""
    found = [subject.find("metrics", name).name for name in subject.spec.metrics]
    require(found, "expected at least one metric, got none")
    require(len(set(found)) == len(found), f"expected each metric once, got {', '.join(found)}")


@TASK("metrics_resolve")
def primary_is_a_value_of_its_metric(subject: TaskSubject) -> None:
    """`primary` is `metric.value`, and the metric declares that value."""
    metric, _, value = subject.spec.primary.partition(".")
    values = [one.name for one in subject.find("metrics", metric).spec.values]
    require(value in values, f"primary: {metric} has the values {names(values)}, not {value!r}")


@TASK("kind_resolves", "datasets_resolve", "readout_resolves", "metrics_resolve")
def parts_are_of_one_kind(subject: TaskSubject) -> None:
    """Datasets serve the task's kind; readout and metrics are of it."""
    kind = subject.spec.kind
    for role, data in subject.data.items():
        kinds = subject.find("datasets", data.dataset).spec.kinds
        served = any(subject.same("kinds", one, kind) for one in kinds)
        require(served, f"{role}: {data.dataset} serves {names(kinds)}, not {kind!r}")
    readout = subject.find("readouts", subject.spec.readout).spec
    require(subject.same("kinds", readout.kind, kind), f"readout {readout.name} is of {readout.kind!r}, not {kind!r}")
    for name in subject.spec.metrics:
        metric = subject.find("metrics", name).spec
        require(subject.same("kinds", metric.kind, kind), f"metric {name} is of {metric.kind!r}, not {kind!r}")


@TASK()
def clips_have_a_size(subject: TaskSubject) -> None:
    """Both clips have a height and a width of at least 1."""
    for role, clip in (("train_clip", subject.spec.train_clip), ("evaluate_clip", subject.spec.evaluate_clip)):
        ok = len(clip.size) == 2 and min(clip.size) >= 1
        require(ok, f"{role}: expected (height, width) of at least 1, got {clip.size}")
