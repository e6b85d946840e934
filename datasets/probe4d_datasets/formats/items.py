"""What datasets of published layouts share: ids known from file names, frames checked, choices recorded."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from probe4d.contracts import MissingPart, Sample
from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.root import Root

__all__ = ["ItemDataset", "chosen"]


class ItemDataset(ABC):
    """One split of a published dataset; a `probe4d.contracts.Dataset` with its extras. Holds nothing open.

    A subclass sets `_items` (id to where it is) and `_states` (name to state of the files of the split)
    in `__init__`.
    """

    name: ClassVar[str] = ""

    def __init__(self, root: str | os.PathLike[str] | None, split: str) -> None:
        if root is None:
            raise UsageError(f"{self.name}: expected a root, got none. State where the dataset lies: --data-root.")
        self.root = Root(os.fspath(root))
        self.split = split
        self._items: dict[str, Any] = {}
        self._states: dict[str, str] = {}

    @abstractmethod
    def _length(self, sample_id: str) -> int:
        """Return the number of frames, or raise DataError."""

    @abstractmethod
    def _load(self, sample_id: str, frames: list[int]) -> Sample:
        """Return the sample at these frames, all of which exist, or raise DataError."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """Every choice that the targets depend on, as plain JSON values."""

    def sample_ids(self) -> Sequence[str]:
        """Return the ids, sorted by file and place in it."""
        return tuple(self._items)

    def num_frames(self, sample_id: str) -> int:
        """Return the length of a sample's video.

        Raises:
            DataError: the sample is missing or broken.
        """
        self._known(sample_id)
        return self._length(sample_id)

    def load(self, sample_id: str, frames: Sequence[int] | None = None) -> Sample:
        """Return the sample, or only the frames named.

        Raises:
            DataError: the sample is missing or broken, or has no such frame.
        """
        length = self.num_frames(sample_id)
        wanted = list(range(length)) if frames is None else [int(frame) for frame in frames]
        beyond = [frame for frame in wanted if not 0 <= frame < length]
        if beyond or not wanted:
            found = beyond[0] if beyond else "none"
            raise DataError(f"{sample_id}: expected frames from 0 to {length - 1}, got {found}.")
        return self._load(sample_id, wanted)

    def missing(self) -> Sequence[MissingPart]:
        """Return which files of the split are not there."""
        return ()

    def _unavailable(self) -> Mapping[str, str]:
        """Return the samples whose files are not there, and why, by names alone."""
        return {}

    def coverage(self) -> Mapping[str, Any]:
        """Return how many samples of the split have their files, and which lack which."""
        lost = self._unavailable()
        missing: dict[str, dict[str, Any]] = {}
        for sample_id, reason in lost.items():
            missing.setdefault(reason, {"count": 0, "ids": []})["ids"].append(sample_id)
            missing[reason]["count"] += 1
        total, there = len(self._items), len(self._items) - len(lost)
        summary = f"{there:,} of {total:,} samples"
        return {"total": total, "available": there, "missing": missing, "summary": summary}

    @property
    def revision(self) -> str:
        """A digest of the state of the files and of the choices, for the address of cached features."""
        lines = [f"{name} {state}" for name, state in sorted(self._states.items())]
        return hashlib.sha256("\n".join([repr(sorted(self.facts.items())), *lines]).encode()).hexdigest()[:16]

    def _known(self, sample_id: str) -> None:
        if sample_id not in self._items:
            raise DataError(f"{self.root.url}: expected a sample of the split {self.split!r}, got {sample_id!r}.")


def chosen(where: str, choices: Sequence[str], stated: str | None, preferred: str | None = None) -> str:
    """Return the name that is stated, or preferred, or the only one there is.

    Raises:
        DataError: there is no such name, or which of several is not stated.
    """
    if stated is None:
        if preferred in choices:
            return str(preferred)
        if len(choices) == 1:
            return choices[0]
        raise DataError(f"{where}: expected one, got {', '.join(choices) or 'none'}. State which.")
    if stated not in choices:
        raise DataError(f"{where}: expected {stated!r}, got {', '.join(choices) or 'nothing'}. Check the root.")
    return stated
