"""docs/many-machines.md shows commands and options that there are."""

from __future__ import annotations

import re

import click
import pytest

from probe4d.cli import root


def shown(text: str) -> list[list[str]]:
    """Return the words of each command line of the page."""
    return [line[len("$ probe4d ") :].split() for line in text.splitlines() if line.startswith("$ probe4d ")]


@pytest.fixture(scope="module")
def page(repository) -> str:
    return (repository / "docs/many-machines.md").read_text(encoding="utf-8")


def test_every_command_line_of_the_page_is_one_of_ours(page):
    lines = shown(page)
    assert {words[0] for words in lines} == {"run", "status", "bundle", "verify"}
    for name, *words in lines:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known


def test_every_option_that_the_page_speaks_of_is_there(page):
    known = {"--workers"}
    for name in ("run", "status", "bundle", "verify", "cache"):
        command = root.get_command(click.Context(root), name)
        assert command is not None
        parts = [command, *getattr(command, "commands", {}).values()]
        known |= {
            option
            for part in parts
            for parameter in part.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) <= known


def test_the_page_has_the_outputs_of_real_runs(page):
    assert "@@" not in page
    assert "units of the plan are left to other parts" in page
    assert "verified" in page
