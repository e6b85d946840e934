"""The commands that the root distribution brings; `summary` is what `probe4d --help` shows."""

from __future__ import annotations

from probe4d.specs import CommandSpec

COMMANDS = (
    CommandSpec(name="list", target="probe4d.commands.list:command", summary="Show what the plugins provide."),
    CommandSpec(name="info", target="probe4d.commands.info:command", summary="Show all that is known of one name."),
    CommandSpec(
        name="score", target="probe4d.commands.score:command", summary="Score predictions that any program made."
    ),
    CommandSpec(
        name="plugins", target="probe4d.commands.plugins:command", summary="List, check, make, install plugins."
    ),
    CommandSpec(
        name="doctor", target="probe4d.commands.doctor:command", summary="Say what is wrong with this install."
    ),
    CommandSpec(
        name="completion", target="probe4d.commands.completion:command", summary="Print the shell's completion script."
    ),
)
