"""Checks of protocols, aggregates, report panels and commands: the target is what it is said to be."""

from __future__ import annotations

import importlib
from typing import Any

from probe4d.registry import load_target
from probe4d.testing.arrays import require_refusal
from probe4d.testing.battery import Checks
from probe4d.testing.result import require, skip
from probe4d.testing.subject import Subject

__all__ = ["AGGREGATE", "COMMAND", "PROTOCOL", "REPORT_PANEL", "SimpleSubject"]


class SimpleSubject(Subject):
    """A spec whose target is looked at, not run."""

    @property
    def target(self) -> Any:
        """What the target names."""
        if missing := self.entry.unmet:
            skip(f"needs {', '.join(missing)}: {self.entry.install_line}")
        return load_target(self.spec.target, self.entry.name)


PROTOCOL: Checks[SimpleSubject] = Checks()


@PROTOCOL()
def target_constructs(subject: SimpleSubject) -> None:
    """The target takes exactly the settings, as keywords."""
    subject.target(**subject.spec.options, **subject.spec.settings)


@PROTOCOL("target_constructs")
def an_unknown_setting_is_refused(subject: SimpleSubject) -> None:
    """A setting that is misspelt raises, it is never ignored."""
    settings = {**subject.spec.options, **subject.spec.settings, "no_such_setting": 1}
    require_refusal("no_such_setting=1", Exception, lambda: subject.target(**settings))


@PROTOCOL()
def views_suit_the_mode(subject: SimpleSubject) -> None:
    """Cached views are at least 0."""
    require(subject.spec.views >= 0, f"views: expected at least 0, got {subject.spec.views}")


AGGREGATE: Checks[SimpleSubject] = Checks()


@AGGREGATE()
def target_is_callable(subject: SimpleSubject) -> None:
    """The target can be called."""
    require(callable(subject.target), f"expected a function, got {subject.target!r}")


REPORT_PANEL: Checks[SimpleSubject] = Checks()
REPORT_PANEL.all.extend(AGGREGATE.all)


COMMAND: Checks[SimpleSubject] = Checks()


@COMMAND()
def target_is_a_command(subject: SimpleSubject) -> None:
    """The target is a `click.Command`."""
    click = importlib.import_module("click")
    require(isinstance(subject.target, click.Command), f"expected a click.Command, got {subject.target!r}")


@COMMAND("target_is_a_command")
def help_can_be_shown(subject: SimpleSubject) -> None:
    """`--help` prints a usage line."""
    click = importlib.import_module("click")
    with click.Context(subject.target, info_name=subject.spec.name) as context:
        text = subject.target.get_help(context)
    require("Usage:" in text, f"expected a usage line, got {text[:80]!r}")
