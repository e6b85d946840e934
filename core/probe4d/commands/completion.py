"""`probe4d completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL; put `eval "$(probe4d completion bash)"` in its profile."""
    from probe4d.cli import root

    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"expected a shell that click completes for, got {shell!r}")
    click.echo(completion(root, {}, "probe4d", "_PROBE4D_COMPLETE").source())
