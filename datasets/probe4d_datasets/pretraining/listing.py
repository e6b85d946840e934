"""Files by folder, glob or `{000..099}`, here or at any fsspec URL, each with a name and a location."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from attrs import frozen

from probe4d.errors import DataError
from probe4d_datasets.own.root import CACHES, Root

__all__ = ["FileList", "Listed", "Stated", "files", "inner_link", "without_query"]

MAX_BRACES = 1_000_000
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
WILD = re.compile(r"[*\[]")  # no `?`: in a URL it begins a query


class FileList(Protocol):
    """Files by number; picklable."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def name(self, index: int) -> str:
        """Return what a file is called in reports."""
        ...

    def location(self, index: int) -> str:
        """Return the path or URL of a file."""
        ...


@frozen
class Listed:
    """Files found under a folder; they are called by their path in it."""

    root: Root
    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Return the path under the root."""
        return self.paths[index]

    def location(self, index: int) -> str:
        """Return the path or URL.

        Raises:
            DataError: it leads out of the root.
        """
        return self.root.location(self.paths[index])


@frozen
class Stated:
    """Files that were stated one by one."""

    names: Sequence[str]
    locations: Sequence[str]

    def __len__(self) -> int:
        return len(self.locations)

    def name(self, index: int) -> str:
        """Return the stated name."""
        return self.names[index]

    def location(self, index: int) -> str:
        """Return the stated location."""
        return self.locations[index]


def files(pattern: str, suffixes: Iterable[str]) -> FileList:
    """Return the files that a pattern names, in the order of their names.

    Args:
        pattern: a file or folder, with `*`, `**`, `[…]` or braces; of a chained URL its first link.
        suffixes: of the files that a folder is searched for.

    Raises:
        DataError: there is no such folder, or no such file in it.
    """
    ends = tuple(suffixes)
    inner = inner_link(pattern)
    if BRACES.search(pattern):
        stated = [*itertools.islice(_expanded(pattern), MAX_BRACES + 1)]
        if len(stated) > MAX_BRACES:
            raise DataError(f"{pattern}: expected at most {MAX_BRACES:,} files, got more. Write a manifest.")
        before = len(os.path.dirname(pattern[: pattern.index("{")]))
        return Stated([one[before:].lstrip("/") for one in stated], stated)
    if WILD.search(inner):
        folder, wild = _split(inner)
        root = Root(pattern.replace(inner, folder, 1))
        matches = re.compile(_regex(wild)).fullmatch
        found = Listed(root, [path for path in root.files() if matches(path)])
    elif without_query(pattern).endswith(ends):
        return Stated([PurePosixPath(inner).name], [pattern])
    else:
        root = Root(pattern)
        found = Listed(root, [path for path in root.files() if path.lower().endswith(ends)])
    if not found.paths:
        raise DataError(f"{pattern}: expected files such as *{ends[0]}, got none of them. Check the path.")
    return found


def inner_link(url: str) -> str:
    """Return the link of a chained URL that names the files: the first, unless that is a cache of fsspec's."""
    links = url.split("::")
    return next((link for link in links if link not in CACHES), links[0])


def without_query(url: str) -> str:
    """Return the inner link in lower case, without what follows a `?`: its end is the file's suffix."""
    return inner_link(url).lower().partition("?")[0]


def _expanded(pattern: str) -> Iterator[str]:
    """Yield the pattern once for each alternative of its braces: `{000..002}` or `{a,b}`."""
    found = BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    if span := RANGE.fullmatch(found[1]):
        width = len(span[1])
        choices: Iterable[str] = (f"{number:0{width}d}" for number in range(int(span[1]), int(span[2]) + 1))
    else:
        choices = found[1].split(",")
    for choice in choices:
        yield from _expanded(pattern[: found.start()] + choice + pattern[found.end() :])


def _split(link: str) -> tuple[str, str]:
    """Return the folder before the first wildcard, and the rest."""
    at = link.rfind("/", 0, WILD.search(link).start()) + 1  # type: ignore[union-attr]
    return link[:at] or ".", link[at:]


def _regex(wild: str) -> str:
    """Return the regular expression of a glob in which `*` stays within a folder and `**/` does not."""
    out, at = "", 0
    while at < len(wild):
        rest = wild[at:]
        if rest.startswith("**/"):
            out, at = out + "(?:.*/)?", at + 3
        elif rest.startswith("**"):
            out, at = out + ".*", at + 2
        elif found := re.match(r"\[(!?)([^\]]+)\]", rest):
            letters = ("^" if found[1] else "") + re.escape(found[2]).replace(r"\-", "-")
            out, at = f"{out}[{letters}]", at + found.end()
        else:
            out, at = out + ("[^/]*" if rest[0] == "*" else re.escape(rest[0])), at + 1
    return out
