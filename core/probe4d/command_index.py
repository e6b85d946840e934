"""Which commands there are, known without importing specs or plugins where that can be helped.

`probe4d --help` and shell completion want only names and summaries. Those of plugins are kept in
a file, good for as long as nothing that decides them has changed: the folders that distributions
are installed in, the plugins' entry modules, the settings and the environment. Calling a command
never uses the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from probe4d import __version__
from probe4d.paths import cache_dir, config_dir

__all__ = ["BUILTIN", "plugin_commands"]

# name -> (target, summary), in the order of `probe4d --help`
BUILTIN = {
    "list": ("probe4d.commands.list:command", "Show what the plugins provide."),
    "info": ("probe4d.commands.info:command", "Show all that is known of one name."),
    "plan": ("probe4d.commands.plan:command", "Show what a suite comes to before anything runs."),
    "run": ("probe4d.commands.run:command", "Evaluate backbones on a suite."),
    "status": ("probe4d.commands.status:command", "Show how far a run is."),
    "bundle": ("probe4d.commands.bundle:command", "Write a run as one archive that can be checked."),
    "verify": ("probe4d.commands.verify:command", "Score a bundle again and compare every number."),
    "suite": ("probe4d.commands.suite:command", "Look at suites, check them, write a new one."),
    "compare": ("probe4d.commands.compare:command", "Compare two runs, paired by sample."),
    "leaderboard": ("probe4d.commands.leaderboard:command", "Show the results of runs in one table."),
    "score": ("probe4d.commands.score:command", "Score predictions that any program made."),
    "data": ("probe4d.commands.data:command", "Look at datasets, check a layout, write copies."),
    "cache": ("probe4d.commands.cache:command", "List, verify, prune and export cached features."),
    "features": ("probe4d_runners.features:command", "Write the features that a backbone has of your videos."),
    "plugins": ("probe4d.commands.plugins:command", "List, check, make and install plugins."),
    "doctor": ("probe4d.commands.doctor:command", "Say what is wrong with this install."),
    "completion": ("probe4d.commands.completion:command", "Print the shell's completion script."),
}


def plugin_commands(options: Iterable[str] = ()) -> dict[str, str]:
    """Return name and summary of the commands that plugins add.

    Args:
        options: what `-p` said, part of what decides.
    """
    state = _state(options)
    stored = _read()
    if stored is not None and stored["state"] == state and stored["modules"] == _stamps(stored["modules"]):
        commands: dict[str, str] = stored["commands"]
        return commands
    return _load_and_write(state)


def _load_and_write(state: list[Any]) -> dict[str, str]:
    from probe4d.registry import registry

    found = registry()
    commands = {
        entry.spec.name: entry.spec.summary for entry in found.entries("commands") if entry.spec.name not in BUILTIN
    }
    files = [getattr(sys.modules.get(record.module.partition(":")[0]), "__file__", None) for record in found.records]
    content = {"state": state, "modules": _stamps(file for file in files if file), "commands": commands}
    # A cache that cannot be written costs time, nothing else.
    with contextlib.suppress(OSError):
        from probe4d.atomic import write_text

        write_text(_file(), json.dumps(content))
    return commands


def _read() -> dict[str, Any] | None:
    """Return the file's content, or None where there is none to be had."""
    try:
        content = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(content, dict) and {"state", "modules", "commands"} <= set(content)
    return content if whole and isinstance(content["modules"], dict) else None


def _file() -> Path:
    return cache_dir() / "commands.json"


def _state(options: Iterable[str]) -> list[Any]:
    folders = [folder for folder in sys.path if folder]
    switches = [os.environ.get(name) for name in ("PROBE4D_PLUGINS", "PROBE4D_DISABLE_PLUGINS")]
    return [
        [__version__, sys.version, sys.prefix],
        [*switches, list(options)],
        _stamps([*folders, str(config_dir() / "plugins.toml")]),
    ]


def _stamps(files: Iterable[str]) -> dict[str, int]:
    """Return when each file or folder was last changed, in nanoseconds; 0 for one that is not there."""
    stamps = {}
    for file in files:
        try:
            stamps[file] = os.stat(file).st_mtime_ns
        except OSError:
            stamps[file] = 0
    return stamps
