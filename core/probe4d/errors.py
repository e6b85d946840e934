"""The errors that probe4d raises on purpose, and the exit code each ends a command with.

    Probe4dError                     1   something that was asked for could not be done
    ├── UsageError (ValueError)      2   the call or the configuration is wrong
    │   └── UnknownNameError (LookupError)   no such backbone, dataset, …
    ├── PluginError                  3   a plugin is broken or not to be had
    │   └── MissingExtraError (ImportError)  an optional dependency is not installed
    ├── DataError (ValueError)       4   a file from outside is not what it should be
    └── NothingSelectedError         5   the selection is empty

A message reads `<where>: expected <this>, got <that>. <What to do.>`
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from probe4d.names import name_key

__all__ = [
    "DataError",
    "MissingExtraError",
    "NothingSelectedError",
    "PluginError",
    "Probe4dError",
    "UnknownNameError",
    "UsageError",
    "did_you_mean",
]


class Probe4dError(Exception):
    """Base of every error that probe4d raises on purpose."""

    exit_code = 1


class UsageError(Probe4dError, ValueError):
    """The call, the configuration or a suite is wrong."""

    exit_code = 2


class UnknownNameError(UsageError, LookupError):
    """A name that no loaded plugin provides, or that several do."""


class PluginError(Probe4dError):
    """A plugin is broken, disabled or speaks another hook API."""

    exit_code = 3


class MissingExtraError(PluginError, ImportError):
    """An optional dependency is not installed; the message holds the pip line."""


class DataError(Probe4dError, ValueError):
    """A prediction, a dataset, a checkpoint or a video is not what it should be."""

    exit_code = 4


class NothingSelectedError(Probe4dError):
    """The selection names nothing to do."""

    exit_code = 5


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or an empty string where nothing is near.

    Args:
        name: what was asked for.
        known: the names that exist; `-`, `_` and case make no difference to nearness.
    """
    by_key = {name_key(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(name_key(name), by_key, n=3, cutoff=0.6)
    if not near:
        return ""
    return f" Did you mean {' or '.join(repr(by_key[key]) for key in near)}?"
