"""Files of one sample each: a single one, those of a folder, or those that a pattern with one `*` names."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path

from probe4d.errors import UsageError
from probe4d.scoring.files import digest_file, digest_folder, digest_named, is_url
from probe4d.scoring.source import check_id, fail

__all__ = ["digest_places", "find_places"]

SINGLE = "sequence"  # the id of a file that stands alone: the same on both sides


def find_places(path: str, ending: str) -> dict[str, str]:
    """Return sample ids with the file (or folder) of each.

    `data/*/gt.txt` gives one sample per match, called by what the `*` stands for; a folder means
    `<folder>/*<ending>`; a single file is the sample `sequence`.

    Args:
        ending: of the files of a folder, as `.txt`; empty where samples are folders themselves.

    Raises:
        UsageError: it is a URL, or a pattern with more than one `*`.
        DataError: nothing is there.
    """
    if is_url(path):
        raise UsageError(f"{path}: expected a local path for this format, got a URL. Download it first.")
    if path.count("*") > 1 or "**" in path:
        raise UsageError(f"{path}: expected one '*', which stands for the sample's id, got several.")
    if "*" in path:
        return _matches(path)
    if Path(path).is_dir() and ending:
        return _matches(f"{glob.escape(path.rstrip('/'))}/*{ending}", plain=f"{path.rstrip('/')}/*{ending}")
    if not Path(path).exists():
        fail(path, "a file, a folder or a pattern", "nothing: it does not exist", "Check the path.")
    return {SINGLE: path}


def _matches(pattern: str, plain: str | None = None) -> dict[str, str]:
    before, _, after = (plain or pattern).partition("*")
    # The part before the star is literal, whatever signs of patterns it holds.
    escaped = pattern if plain else f"{glob.escape(before)}*{glob.escape(after)}"
    found = {match[len(before) : len(match) - len(after)]: match for match in sorted(glob.glob(escaped))}
    if not found:
        fail(plain or pattern, "files that it names", "none", "Quote a pattern, so that the shell leaves it alone.")
    return {check_id(plain or pattern, sample_id): match for sample_id, match in found.items()}


def digest_places(places: Mapping[str, str]) -> str:
    """Return the sha256 of the one file, or over lines `<id> <sha256>` of several."""
    digests = {
        sample_id: digest_folder(place) if Path(place).is_dir() else digest_file(place)
        for sample_id, place in places.items()
    }
    return next(iter(digests.values())) if list(digests) == [SINGLE] else digest_named(digests)
