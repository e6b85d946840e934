"""`probe4d data`: its commands, a module each."""

from __future__ import annotations

import click

from probe4d.commands.data_check import check
from probe4d.commands.data_convert import convert
from probe4d.commands.data_show import show


@click.group("data")
def command() -> None:
    """Look at the samples of datasets, check a layout, write copies."""


command.add_command(show)
command.add_command(check)
command.add_command(convert)
