"""The `probe4d` program: finds the command, and turns errors into messages and exit codes.

Built-in commands are known without loading a plugin, so that `probe4d plugins` works when
every plugin is broken. A command's module is imported only when it is called.
"""

from __future__ import annotations

import os
import sys
import traceback

import click

from probe4d import __version__
from probe4d.command_index import BUILTIN, plugin_commands
from probe4d.errors import Probe4dError

__all__ = ["main", "root"]


class LazyGroup(click.Group):
    """A group whose commands are specs until one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the built-in commands in their order, then those of plugins."""
        return [*BUILTIN, *sorted(plugin_commands(ctx.params.get("plugin_options", ())))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of that name."""
        from probe4d.registry import load_target, registry

        if cmd_name in BUILTIN:
            return _as_command(load_target(BUILTIN[cmd_name][0]), cmd_name)
        if not registry().matches("commands", cmd_name):
            return None
        entry = registry().find("commands", cmd_name)
        return _as_command(load_target(entry.spec.target, entry.name), cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Add near names to click's message for an unknown command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from probe4d.errors import did_you_mean
            from probe4d.registry import registry

            near = did_you_mean(args[0], self.list_commands(ctx))
            message = f"{error.message.partition('.')[0]}.{near}{registry().absent_plugins()}"
            raise click.UsageError(message, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands by their summaries, importing none of them."""
        added = plugin_commands(ctx.params.get("plugin_options", ()))
        rows = [(name, summary) for name, (_, summary) in BUILTIN.items()] + sorted(added.items())
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _as_command(value: object, name: str) -> click.Command:
    if not isinstance(value, click.Command):
        raise Probe4dError(f"command {name!r}: expected a click.Command, got {type(value).__name__}.")
    return value


def _switch_off(ctx: click.Context, _: click.Parameter, options: tuple[str, ...]) -> tuple[str, ...]:
    """Check what `-p` says and tell the registry."""
    for option in options:
        if not option.startswith("no:") or not option.removeprefix("no:"):
            raise click.BadParameter(f"expected no:NAME, got {option!r}", ctx, param_hint="-p")
    if options:
        from probe4d.registry import configure

        configure(options)
    return options


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "PROBE4D"})
@click.version_option(__version__, "-V", "--version", prog_name="probe4d")
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks of errors.")
@click.option(
    "-p",
    "plugin_options",
    multiple=True,
    is_eager=True,  # before --help, which lists commands of plugins
    callback=_switch_off,
    metavar="no:NAME",
    help="Do not load this plugin (repeatable).",
)
def root(verbose: bool, plugin_options: tuple[str, ...]) -> None:
    """Measure what a video backbone knows of the 4-D world."""


def main(args: list[str] | None = None) -> None:
    """Run the program and exit: 0 done, 1 failed, 2 usage, 3 plugin, 4 data, 5 nothing selected, 130 interrupted."""
    arguments = sys.argv[1:] if args is None else args
    verbose = any(argument in ("-v", "--verbose") for argument in arguments) or bool(os.environ.get("PROBE4D_VERBOSE"))
    try:
        code = root.main(arguments, prog_name="probe4d", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        code = _say("Interrupted.", 130)
    except KeyboardInterrupt:
        code = _say("Interrupted.", 130)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except Probe4dError as error:
        if verbose:
            traceback.print_exc()
        code = _say(f"Error: {error}", error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to say, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        # A disk that is full or a folder that may not be written is no fault of the program.
        if verbose or error.filename is None:
            traceback.print_exc()
        code = _say(f"Error: {error.filename}: {error.strerror}.", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str, code: int) -> int:
    click.echo(message, err=True)
    return code
