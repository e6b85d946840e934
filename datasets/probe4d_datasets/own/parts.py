"""What the datasets of one's own files share: items, cut into samples by the rule and the windows."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.contracts import Sample
from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.options import settings
from probe4d_datasets.own.root import Root, under
from probe4d_datasets.own.splits import Rule, read_rule

__all__ = ["OwnDataset", "Part", "Windows"]

VIDEO_SUFFIXES = (
    *(".avi", ".flv", ".gif", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts"),
    *(".webm", ".wmv"),
)


def _count(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{attribute.name}: expected an integer of at least 1, got {value!r}.")


@frozen(kw_only=True)
class Windows:
    """Samples of `frames` frames, one `every` so many frames (`frames`, where it is not stated).

    What is left at the end of an item and shorter than `frames` is no sample.
    """

    frames: int = field(validator=_count)
    every: int | None = field(default=None, validator=_count)

    def cut(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the frames `[start, stop)` of each window."""
        for first in range(start, stop - self.frames + 1, self.every or self.frames):
            yield first, first + self.frames


@frozen
class Part:
    """The frames `[start, stop)` of an item; `stop` is None where it is the item's end."""

    item: str
    start: int = 0
    stop: int | None = None


class OwnDataset(ABC):
    """One split of the user's own files; a `probe4d.contracts.Dataset`.

    An item is what lies on the disk: a video, a sequence. A sample is an item or a part of one.
    An item that cannot be read stays in the list under its own name: loading it says why.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        split: str,
        rule: Any = None,
        windows: Any = None,
    ) -> None:
        if root is None:
            raise UsageError(f"{type(self).__name__}: expected a root, got none. State where your files lie.")
        self.root = Root(os.fspath(root))
        self.split = split
        self.rule: Rule = read_rule({"by": "folder"} if rule is None else rule)
        self.windows = None if windows is None else settings(Windows, windows, "windows")

    @abstractmethod
    def _length(self, item: str) -> int:
        """Return the number of frames of an item, or raise DataError."""

    @abstractmethod
    def _load(self, item: str, span: range, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        """Return `(video, targets, provenance)` of an item's frames, or raise DataError.

        Args:
            span: all frames of the sample. It decides which tracks the sample has, so that they are
                the same whatever frames are asked for.
            frames: those asked for, counted in the item.
        """

    def _plan(self, items: Sequence[str]) -> None:
        """Cut the items of the split into samples. Called once, at the end of `__init__`."""
        self._parts: dict[str, Part] = {}
        for item in self.rule.select(self.split, items, self.root):
            for part in self._cut(item):
                name = item if part.stop is None else f"{item}@{part.start}-{part.stop}"
                self._parts[name] = part
        if not self._parts:
            raise DataError(
                f"{self.root.url}: expected samples in the split {self.split!r}, got none from {len(items)} items. "
                "Check the rule, and that windows are not longer than the items."
            )

    def _cut(self, item: str) -> list[Part]:
        if not self.rule.by_time and self.windows is None:
            return [Part(item)]
        try:
            start, stop = self.rule.span(self.split, self._length(item))
        except DataError:
            return [Part(item)]  # a broken item is one sample, which `load` refuses with the reason
        spans = [(start, stop)] if self.windows is None else self.windows.cut(start, stop)
        return [Part(item, first, last) for first, last in spans if last > first]

    def sample_ids(self) -> Sequence[str]:
        """Return the ids: the item's path, and `@start-stop` where the sample is a part of it."""
        return tuple(self._parts)

    def num_frames(self, sample_id: str) -> int:
        """Return the length of a sample's video.

        Raises:
            DataError: the item is missing or broken.
        """
        part = self._part(sample_id)
        return self._length(part.item) if part.stop is None else part.stop - part.start

    def load(self, sample_id: str, frames: Sequence[int] | None = None) -> Sample:
        """Return the sample, or only the frames named, counted from the sample's own start.

        Raises:
            DataError: the item is missing or broken, or has no such frame.
        """
        part = self._part(sample_id)
        length = self.num_frames(sample_id)
        wanted = list(range(length)) if frames is None else [int(frame) for frame in frames]
        if not wanted:
            raise DataError(f"{sample_id}: expected frames from 0 to {length - 1}, got none.")
        if beyond := [frame for frame in wanted if not 0 <= frame < length]:
            raise DataError(f"{sample_id}: expected frames from 0 to {length - 1}, got {beyond[0]}.")
        video, targets, provenance = self._load(
            part.item, range(part.start, part.start + length), [part.start + frame for frame in wanted]
        )
        where = {"root": self.root.url, "item": part.item, "start": part.start, "frames": wanted}
        return Sample(id=sample_id, video=video, targets=targets, provenance=where | dict(provenance))

    @property
    def revision(self) -> str:
        """A digest of the state of the files that the split is made of, for the address of cached features."""
        states = self.root.states()
        files = sorted(states)
        items = {part.item for part in self._parts.values()}
        mine = {name for item in items for name in under(files, item) if name[len(item) :][:1] in ("", "/", ".")}
        facts = [self._facts(), *(f"{name} {states[name]}" for name in sorted(mine))]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]

    def _facts(self) -> str:
        """Return what else of the files decides the targets."""
        return ""

    def _part(self, sample_id: str) -> Part:
        try:
            return self._parts[sample_id]
        except KeyError:
            raise DataError(
                f"{self.root.url}: expected a sample of the split {self.split!r}, got {sample_id!r}."
            ) from None
