"""The commands that the root distribution brings, as specs."""

from __future__ import annotations

from probe4d.command_index import BUILTIN
from probe4d.specs import CommandSpec

COMMANDS = tuple(CommandSpec(name=name, target=target, summary=summary) for name, (target, summary) in BUILTIN.items())
