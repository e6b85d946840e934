"""The plugin that the root distribution is: first-party specs through the public hooks."""

from __future__ import annotations

from probe4d.builtin.commands_specs import COMMANDS
from probe4d.hookspecs import hookimpl
from probe4d.specs import CommandSpec


@hookimpl
def probe4d_commands() -> tuple[CommandSpec, ...]:
    """Return the built-in commands."""
    return COMMANDS
