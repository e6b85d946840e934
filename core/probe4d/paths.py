"""Where probe4d keeps what it makes: cache, data and configuration of this user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_dir", "config_dir", "data_dir"]


def cache_dir() -> Path:
    """Return the folder of things that can be made again: `$PROBE4D_CACHE_DIR` or the platform's."""
    return _user_dir("PROBE4D_CACHE_DIR", "XDG_CACHE_HOME", ".cache", "Library/Caches", "Cache")


def data_dir() -> Path:
    """Return the folder that datasets are looked for in: `$PROBE4D_DATA_DIR` or the platform's."""
    return _user_dir("PROBE4D_DATA_DIR", "XDG_DATA_HOME", ".local/share", "Library/Application Support", "Data")


def config_dir() -> Path:
    """Return the folder of settings: `$PROBE4D_CONFIG_DIR` or the platform's."""
    return _user_dir("PROBE4D_CONFIG_DIR", "XDG_CONFIG_HOME", ".config", "Library/Preferences", "Config")


def _user_dir(variable: str, xdg: str, linux: str, macos: str, windows: str) -> Path:
    if stated := os.environ.get(variable):
        return Path(stated).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / "probe4d" / windows
    if sys.platform == "darwin":
        return Path.home() / macos / "probe4d"
    # The XDG rule: a relative path in the variable is to be ignored.
    base = os.environ.get(xdg, "")
    return (Path(base) if base.startswith("/") else Path.home() / linux) / "probe4d"
