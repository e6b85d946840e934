"""What the loaders of published datasets share: ids, what is missing, checks of frames, facts for the record."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from attrs import frozen

from probe4d.contracts import MissingPart, Sample
from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d_datasets.own.options import fraction, one_of
from probe4d_datasets.own.root import Root

__all__ = ["Policy", "Published"]

POLICIES = ("keep", "drop")


@frozen(kw_only=True)
class Policy:
    """What becomes of samples that the annotations name and the disk does not have.

    Attributes:
        missing: `keep`: they stay among the ids, loading one says why it cannot, and a run counts
            them; `drop`: they are no ids, and counted in `facts`.
        max_missing: with `drop`, the fraction that may be missing; one more is an error on opening.
    """

    missing: str = "keep"
    max_missing: float = 0.1


class Published(ABC):
    """One split of a published dataset; a `probe4d.contracts.Dataset`."""

    name: ClassVar[str]
    splits: ClassVar[tuple[str, ...]]
    unit: ClassVar[str] = "clips"

    def __init__(self, root: str | os.PathLike[str] | None, split: str, policy: Policy) -> None:
        if root is None:
            raise UsageError(f"{self.name}: expected a root, got none. State the folder or URL where the data lie.")
        if split not in self.splits:
            near = did_you_mean(split, self.splits)
            raise UsageError(f"{self.name} split: expected {', '.join(self.splits)}, got {split!r}.{near}")
        one_of(f"{self.name} missing", policy.missing, POLICIES)
        fraction(f"{self.name} max_missing", policy.max_missing)
        self.root = Root(os.fspath(root))
        self.split = split
        self.policy = policy

    def _plan(self, ids: Sequence[str], absent: Mapping[str, str]) -> None:
        """Fix the ids. Called once, at the end of `__init__`.

        Args:
            absent: by id, why a sample cannot be had: a few words that many samples share, `: `, and the path expected.

        Raises:
            DataError: an id is there twice, there are none, or more are missing than the policy allows.
        """
        where = f"{self.root.url}, split {self.split!r}"
        if len(set(ids)) < len(ids):
            twice = next(one for one in ids if list(ids).count(one) > 1)
            raise DataError(f"{where}: expected each id once, got {twice!r} twice. Repair the annotations.")
        if not ids:
            raise DataError(f"{where}: expected samples, got none. Check the root.")
        self._absent = dict(absent)
        drop = self.policy.missing == "drop"
        self._ids = tuple(one for one in ids if not (drop and one in absent))
        self._total = len(ids)
        if drop and len(absent) > self.policy.max_missing * len(ids) + 1e-9:
            raise DataError(
                f"{where}: expected at most {self.policy.max_missing:.0%} of {len(ids)} {self.unit} to be missing, got "
                f"{self._sum()}; the first: {next(iter(absent.values()))}. Fetch them, or state max_missing."
            )
        if not self._ids:
            raise DataError(f"{where}: expected samples, got {self._sum()}. Check the root.")
        self._known = frozenset(self._ids)

    def _sum(self) -> str:
        return f"{self._total - len(self._absent):,} of {self._total:,} {self.unit}"

    @abstractmethod
    def _length(self, sample_id: str) -> int:
        """Return the number of frames of a sample that is not absent, or raise DataError."""

    @abstractmethod
    def _load(self, sample_id: str, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        """Return `(video, targets, provenance)` at these frames, which are in range, or raise DataError."""

    def _options(self) -> Mapping[str, Any]:
        """Return every open choice and its value, as plain JSON values."""
        return {}

    def _states(self) -> Sequence[str]:
        """Return what changes when the files do."""
        return ()

    def sample_ids(self) -> Sequence[str]:
        """Return the ids, in the order of the annotations."""
        return self._ids

    def num_frames(self, sample_id: str) -> int:
        """Return the length of a sample's video.

        Raises:
            DataError: it is missing or broken.
        """
        self._check(sample_id)
        return self._length(sample_id)

    def load(self, sample_id: str, frames: Sequence[int] | None = None) -> Sample:
        """Return the sample, or only the frames named.

        Raises:
            DataError: it is missing or broken, or has no such frame.
        """
        length = self.num_frames(sample_id)
        wanted = list(range(length)) if frames is None else [int(frame) for frame in frames]
        if beyond := [frame for frame in wanted if not 0 <= frame < length] or ([-1] if not wanted else []):
            got = "none" if not wanted else str(beyond[0])
            raise DataError(f"{sample_id}: expected frames from 0 to {length - 1}, got {got}.")
        video, targets, provenance = self._load(sample_id, wanted)
        where = {"dataset": self.name, "root": self.root.url, "split": self.split, "frames": wanted}
        return Sample(id=sample_id, video=video, targets=targets, provenance=where | dict(provenance))

    def _check(self, sample_id: str) -> None:
        if sample_id not in self._known:
            raise DataError(f"{self.root.url}: expected a sample of the split {self.split!r}, got {sample_id!r}.")
        if sample_id in self._absent:
            raise DataError(f"{sample_id}: expected its data, got {self._absent[sample_id]}.")

    def coverage(self) -> Mapping[str, Any]:
        """Return how many samples the annotations name and the root has, and the others by reason."""
        reasons: dict[str, list[str]] = {}
        for sample_id, reason in self._absent.items():
            reasons.setdefault(reason.partition(": ")[0], []).append(sample_id)
        return {
            "summary": self._sum(),
            "total": self._total,
            "available": self._total - len(self._absent),
            "missing": {reason: {"count": len(ids), "ids": sorted(ids)} for reason, ids in sorted(reasons.items())},
        }

    def missing(self) -> Sequence[MissingPart]:
        """Return which files of the split are not there, by what was listed on opening."""
        parts = ((one, *reason.partition(": ")) for one, reason in self._absent.items())
        return tuple(MissingPart(id=one, expected=path, reason=reason) for one, reason, _, path in parts)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a record says of the data: every open choice with its value, and what is missing."""
        policy = {"missing": self.policy.missing, "max_missing": self.policy.max_missing}
        return {"options": {**self._options(), **policy}, "coverage": self.coverage()}

    @property
    def revision(self) -> str:
        """A digest of the split's annotations and of the state of its files, for the address of cached features."""
        facts = [json.dumps(self.facts, sort_keys=True), *self._states()]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
