"""`probe4d plugins`: list, check, new, enable, disable, install, uninstall.

None of these imports a plugin in this process; `check` does it in another one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

import click

from probe4d.errors import NothingSelectedError, PluginError, UnknownNameError, UsageError, did_you_mean
from probe4d.listing import table
from probe4d.loader import Switches, discover, distribution_of
from probe4d.names import dist_key
from probe4d.registry import load_target
from probe4d.settings import disabled_plugins, set_disabled_plugins, settings_file

LAZY = {
    "check": ("probe4d.commands.plugins_check:command", "Run the conformance kit on a plugin."),
    "new": ("probe4d.commands.plugins_new:command", "Write a new plugin package from the template."),
}


class PluginsGroup(click.Group):
    """The group with `check` and `new` imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return sorted([*super().list_commands(ctx), *LAZY])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing it where it is lazy."""
        if cmd_name in LAZY:
            command: click.Command = load_target(LAZY[cmd_name][0])
            return command
        return super().get_command(ctx, cmd_name)


@click.group("plugins", cls=PluginsGroup)
def command() -> None:
    """List, check, make, install and switch plugins; none is imported by list, disable or uninstall."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_plugins(as_json: bool) -> None:
    """Show the installed plugins and whether they are switched on. Imports none of them."""
    options: tuple[str, ...] = click.get_current_context().find_root().params.get("plugin_options", ())
    switches = Switches.of_environment(options, disabled_plugins())
    rows: list[dict[str, Any]] = []
    for entry in discover():
        name, version = distribution_of(entry)
        off = switches.against(entry.name, name)
        rows.append(
            {
                "name": entry.name,
                "distribution": name,
                "version": version,
                "module": entry.value,
                "enabled": off is None,
                "reason": off,
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        click.echo(table([[r["name"], f"{r['distribution']} {r['version']}", r["reason"] or "on"] for r in rows]))
        click.echo("`probe4d doctor` loads them and says what fails.", err=True)
    else:
        click.echo("No plugin is installed. `probe4d plugins new NAME --kind backbone` writes one.")


@command.command()
@click.argument("names", nargs=-1, required=True)
def disable(names: tuple[str, ...]) -> None:
    """Keep these plugins from loading, from now on."""
    known = _known()
    for name in names:
        if dist_key(name) not in known:
            raise UnknownNameError(f"{name!r}: no such plugin is installed.{did_you_mean(name, known)}")
    set_disabled_plugins({*disabled_plugins(), *(known[dist_key(name)].name for name in names)})
    click.echo(f"Disabled {', '.join(names)} (in {settings_file()}).", err=True)


@command.command()
@click.argument("names", nargs=-1, required=True)
def enable(names: tuple[str, ...]) -> None:
    """Let these plugins load again."""
    off = disabled_plugins()
    known = _known()
    wanted = {dist_key(known[dist_key(name)].name) if dist_key(name) in known else dist_key(name) for name in names}
    if missing := wanted - {dist_key(name) for name in off}:
        listed = ", ".join(off) or "none"
        raise UsageError(f"{', '.join(sorted(missing))}: expected plugins that are disabled ({listed}).")
    set_disabled_plugins(name for name in off if dist_key(name) not in wanted)
    click.echo(f"Enabled {', '.join(names)}.", err=True)


@command.command()
@click.argument("packages", nargs=-1, required=True)
@click.option("-U", "--upgrade", is_flag=True, help="Take the newest version.")
def install(packages: tuple[str, ...], upgrade: bool) -> None:
    """Install PACKAGES with pip into the Python that runs probe4d."""
    for package in packages:
        if package.startswith("-"):
            raise UsageError(f"{package!r}: expected a package, got an option.")
    click.echo("Installing a plugin runs its author's code on this machine, now and whenever it is used.", err=True)
    _pip("install", *(["--upgrade"] if upgrade else []), *packages)


@command.command()
@click.argument("names", nargs=-1, required=True)
def uninstall(names: tuple[str, ...]) -> None:
    """Uninstall the distributions of these plugins (by plugin or distribution name)."""
    known = _known()
    distributions = []
    for name in names:
        if dist_key(name) == "probe4d":
            raise UsageError("probe4d: expected a plugin, got probe4d itself. Use pip for that.")
        if dist_key(name) not in known:
            raise UnknownNameError(f"{name!r}: no such plugin is installed.{did_you_mean(name, known)}")
        distributions.append(distribution_of(known[dist_key(name)])[0])
    _pip("uninstall", "--yes", *distributions)


def _pip(*arguments: str) -> None:
    """Run pip of this interpreter; its output goes to stderr.

    Raises:
        PluginError: there is no pip, or it failed.
    """
    line = [sys.executable, "-m", "pip", *arguments]
    if os.environ.get("PROBE4D_OFFLINE") == "1" and arguments[0] == "install":
        line.insert(4, "--no-index")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        uv = shutil.which("uv")
        hint = f"Use: uv pip {' '.join(arguments)}" if uv else "Use the tool that made this environment."
        raise PluginError(f"{sys.executable}: has no pip. {hint}")
    done = subprocess.run(line, stdout=sys.stderr, check=False)
    if done.returncode:
        raise PluginError(f"pip {arguments[0]}: failed with exit code {done.returncode}; its words are above.")


def _known() -> dict[str, EntryPoint]:
    """Return the installed plugins by name and by distribution name."""
    found: Sequence[EntryPoint] = discover()
    if not found:
        raise NothingSelectedError("No plugin is installed.")
    by_distribution = {dist_key(distribution_of(entry)[0]): entry for entry in found}
    return by_distribution | {dist_key(entry.name): entry for entry in found}
