"""`probe4d data`: its commands, a module each."""

from __future__ import annotations

import click

from probe4d.commands.data_check import check
from probe4d.commands.data_show import show


@click.group("data")
def command() -> None:
    """Look at the samples of datasets, and whether they lie right."""


command.add_command(show)
command.add_command(check)
