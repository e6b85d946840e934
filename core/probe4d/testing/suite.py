"""Checks of a suite: the file is there, says nothing unknown, and every name in it resolves."""

from __future__ import annotations

from functools import cached_property

from probe4d import suites
from probe4d.aggregating import aggregations
from probe4d.testing.battery import Checks
from probe4d.testing.result import require
from probe4d.testing.subject import Subject

__all__ = ["SUITE", "SuiteSubject"]


class SuiteSubject(Subject):
    """A suite and what its file holds."""

    @cached_property
    def suite(self) -> suites.Suite:
        """The suite that the file describes."""
        return suites.load(self.spec.resource)


SUITE: Checks[SuiteSubject] = Checks()


@SUITE()
def the_file_is_a_suite(subject: SuiteSubject) -> None:
    """The resource is there, is TOML, and has only keys that a suite has, of the right types."""
    require(subject.suite.tasks, "tasks: expected at least one, got none")


@SUITE("the_file_is_a_suite")
def its_name_is_that_of_the_spec(subject: SuiteSubject) -> None:
    """The file's `name` is the spec's."""
    require(
        subject.suite.name == subject.spec.name, f"expected name = {subject.spec.name!r}, got {subject.suite.name!r}"
    )


@SUITE("the_file_is_a_suite")
def every_name_resolves(subject: SuiteSubject) -> None:
    """Backbones, tasks, protocols and aggregates exist."""
    suite = subject.suite
    named = {
        "backbones": suite.backbone_names(),
        "tasks": suite.tasks,
        "protocols": suite.protocols,
        "aggregates": [one.name for one in aggregations(suite.aggregates)],
    }
    for kind, names in named.items():
        for name in names:
            subject.find(kind, name)


@SUITE("the_file_is_a_suite")
def no_name_stands_twice(subject: SuiteSubject) -> None:
    """Backbones, tasks, protocols, layers and aggregates are each listed once."""
    for key in ("backbones", "tasks", "protocols", "layers", "aggregates"):
        values = list(getattr(subject.suite, key))
        require(all(values.count(value) == 1 for value in values), f"{key}: expected each once, got {values}")
