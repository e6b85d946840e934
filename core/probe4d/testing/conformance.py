"""The doors of the kit: `check_…(spec)` for each category of spec, and one that picks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from probe4d import loader
from probe4d.errors import UsageError, did_you_mean
from probe4d.registry import Registry
from probe4d.specs import (
    AggregateSpec,
    BackboneSpec,
    CommandSpec,
    DatasetSpec,
    KindSpec,
    MetricSpec,
    ProtocolSpec,
    ReadoutSpec,
    ReportPanelSpec,
    RunnerSpec,
    SuiteSpec,
    TaskSpec,
)
from probe4d.testing.backbone import AGREEMENT, FROZEN, TRAINABLE, BackboneSubject
from probe4d.testing.battery import Battery, Check
from probe4d.testing.dataset import DATASET, DatasetSubject
from probe4d.testing.kind import KIND, KindSubject
from probe4d.testing.metric import METRIC, MetricSubject
from probe4d.testing.readout import READOUT, ReadoutSubject
from probe4d.testing.result import CheckResult
from probe4d.testing.runner import RUNNER, RunnerSubject
from probe4d.testing.simple import AGGREGATE, COMMAND, PROTOCOL, REPORT_PANEL, SimpleSubject
from probe4d.testing.subject import Given, Subject, entry_of, hermetic_registry
from probe4d.testing.suite import SUITE, SuiteSubject
from probe4d.testing.task import TASK, TaskSubject

__all__ = [
    "battery",
    "category_of",
    "check_aggregate",
    "check_backbone",
    "check_command",
    "check_dataset",
    "check_kind",
    "check_metric",
    "check_protocol",
    "check_readout",
    "check_report_panel",
    "check_runner",
    "check_spec",
    "check_suite",
    "check_task",
    "checks_of",
]


@frozen
class _Kit:
    subject: type[Subject]
    checks: list[Check[Any]]


KITS: Mapping[str, _Kit] = {
    "datasets": _Kit(DatasetSubject, DATASET.all),
    "tasks": _Kit(TaskSubject, TASK.all),
    "readouts": _Kit(ReadoutSubject, READOUT.all),
    "metrics": _Kit(MetricSubject, METRIC.all),
    "kinds": _Kit(KindSubject, KIND.all),
    "protocols": _Kit(SimpleSubject, PROTOCOL.all),
    "aggregates": _Kit(SimpleSubject, AGGREGATE.all),
    "runners": _Kit(RunnerSubject, RUNNER.all),
    "suites": _Kit(SuiteSubject, SUITE.all),
    "report_panels": _Kit(SimpleSubject, REPORT_PANEL.all),
    "commands": _Kit(SimpleSubject, COMMAND.all),
}


def category_of(spec: object) -> str:
    """Return the category, plural, that a spec is of: `"backbones"` for a BackboneSpec."""
    for category, cls in loader.HOOKS.items():
        if type(spec) is cls:
            return category
    raise UsageError(f"expected a spec of probe4d, got {spec!r}.")


def checks_of(category: str, spec: Any) -> list[Check[Any]]:
    """Return the checks that apply to a spec, by what it declares."""
    if category == "backbones":
        if spec.frozen and spec.trainable:
            return AGREEMENT.all
        return TRAINABLE.all if spec.trainable else FROZEN.all
    if category == "tasks" and not spec.target:
        return [check for check in TASK.all if check.name != "target_imports"]
    return _kit(category).checks


def _kit(category: str) -> _Kit:
    if category == "backbones":
        return _Kit(BackboneSubject, [])
    if category not in KITS:
        known = tuple(loader.HOOKS)
        raise UsageError(
            f"category: expected one of {', '.join(known)}, got {category!r}.{did_you_mean(category, known)}"
        )
    return KITS[category]


def battery(
    category: str,
    spec: Any,
    *,
    registry: Registry | None = None,
    given: Given | None = None,
    expected_failed_checks: Mapping[str, str] | None = None,
) -> Battery[Any]:
    """Return the checks of a spec, none run yet; the arguments are those of `check_spec`."""
    where = registry or hermetic_registry()
    subject = _kit(category).subject(entry_of(category, spec, where), where, given or Given())
    return Battery(checks_of(category, spec), subject, expected_failed_checks)


def check_spec(
    category: str,
    spec: Any,
    *,
    registry: Registry | None = None,
    given: Given | None = None,
    expected_failed_checks: Mapping[str, str] | None = None,
) -> list[CheckResult]:
    """Return the results of all checks of a spec.

    Args:
        category: plural, as in the registry: `"backbones"`.
        registry: where the names in the spec are looked up; the built-ins alone unless given.
        given: roots of datasets, small configurations of large backbones, …
        expected_failed_checks: check names, each with the reason why it fails. One that passes
            all the same is a failure.
    """
    return battery(
        category, spec, registry=registry, given=given, expected_failed_checks=expected_failed_checks
    ).results()


def check_backbone(spec: BackboneSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a backbone; options are those of `check_spec`."""
    return check_spec("backbones", spec, **options)


def check_dataset(spec: DatasetSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a dataset; options are those of `check_spec`."""
    return check_spec("datasets", spec, **options)


def check_task(spec: TaskSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a task; options are those of `check_spec`."""
    return check_spec("tasks", spec, **options)


def check_readout(spec: ReadoutSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a readout; options are those of `check_spec`."""
    return check_spec("readouts", spec, **options)


def check_metric(spec: MetricSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a metric; options are those of `check_spec`."""
    return check_spec("metrics", spec, **options)


def check_kind(spec: KindSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a prediction kind; options are those of `check_spec`."""
    return check_spec("kinds", spec, **options)


def check_protocol(spec: ProtocolSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a protocol; options are those of `check_spec`."""
    return check_spec("protocols", spec, **options)


def check_runner(spec: RunnerSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a runner; options are those of `check_spec`."""
    return check_spec("runners", spec, **options)


def check_suite(spec: SuiteSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a suite; options are those of `check_spec`."""
    return check_spec("suites", spec, **options)


def check_aggregate(spec: AggregateSpec, **options: Any) -> list[CheckResult]:
    """Return the results for an aggregate; options are those of `check_spec`."""
    return check_spec("aggregates", spec, **options)


def check_report_panel(spec: ReportPanelSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a report panel; options are those of `check_spec`."""
    return check_spec("report_panels", spec, **options)


def check_command(spec: CommandSpec, **options: Any) -> list[CheckResult]:
    """Return the results for a command; options are those of `check_spec`."""
    return check_spec("commands", spec, **options)
