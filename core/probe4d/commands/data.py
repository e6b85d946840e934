"""`probe4d data`: its commands, a module each."""

from __future__ import annotations

import click

from probe4d.commands.data_show import show


@click.group("data")
def command() -> None:
    """Look at the samples of datasets."""


command.add_command(show)
