"""The user's settings file, `plugins.toml` in the configuration folder: which plugins are off."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from probe4d.atomic import write_text
from probe4d.errors import UsageError
from probe4d.paths import config_dir

__all__ = ["disabled_plugins", "set_disabled_plugins", "settings_file"]


def settings_file() -> Path:
    """Return where the settings are, whether the file exists or not."""
    return config_dir() / "plugins.toml"


def disabled_plugins() -> tuple[str, ...]:
    """Return the plugins that `probe4d plugins disable` turned off.

    Raises:
        UsageError: the file is not what this module writes.
    """
    file = settings_file()
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: expected TOML, {error}. Mend or delete it.") from error
    names = content.get("disabled", [])
    if set(content) - {"disabled"} or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f'{file}: expected only disabled = ["name", …], got {content!r}. Mend or delete it.')
    return tuple(names)


def set_disabled_plugins(names: Iterable[str]) -> None:
    """Write the list, whole or not at all."""
    # Plugin names hold no quotes or backslashes, so a TOML basic string is the name in quotes.
    listed = ", ".join(f'"{name}"' for name in sorted(set(names)))
    write_text(settings_file(), f"# Written by `probe4d plugins disable|enable`.\ndisabled = [{listed}]\n")
