"""Several sources as one, each shown as often an epoch as it is told."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.contracts import Array
from probe4d.errors import UsageError
from probe4d.spec_fields import options, positive, text
from probe4d_datasets.own.options import settings
from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.draws import Draws
from probe4d_datasets.pretraining.sources import ClipSource, open_source

__all__ = ["Mix", "MixOptions", "Part"]


@frozen(kw_only=True)
class Part:
    """One source of a mix.

    Attributes:
        source, options: as in `ClipData`.
        repeat: clips that are cut from each of its videos in an epoch, each at a place of its own.
    """

    source: str = field(validator=text)
    options: Mapping[str, Any] = options()
    repeat: int = field(default=1, validator=positive)


def _parts(tables: Sequence[Any]) -> tuple[Part, ...]:
    return tuple(settings(Part, table, f"parts[{i}]") for i, table in enumerate(tables))


@frozen(kw_only=True)
class MixOptions:
    """What `ClipData.options` holds for `mix`.

    Attributes:
        parts: tables of `source`, `options` and `repeat`.
    """

    parts: tuple[Part, ...] = field(converter=_parts)


@frozen
class Mix:
    """The videos of all parts, in their order, each as often as its part repeats.

    Attributes:
        ends: per part, how many numbers it and those before it take.
    """

    parts: tuple[ClipSource, ...]
    repeats: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def open(cls, data: ClipData) -> Mix:
        """Return the mix that the data describes.

        Raises:
            UsageError: it has no part, or one is a mix.
        """
        found = settings(MixOptions, data.options, "options of the mix").parts
        if not found or any(part.source == "mix" for part in found):
            got = [part.source for part in found]
            raise UsageError(f"options of the mix, parts: expected sources that are no mix themselves, got {got}.")
        parts = tuple(open_source(attrs.evolve(data, source=part.source, options=part.options)) for part in found)
        repeats = tuple(part.repeat for part in found)
        sizes = (len(part) * repeat for part, repeat in zip(parts, repeats, strict=True))
        return cls(parts, repeats, tuple(accumulate(sizes)))

    def __len__(self) -> int:
        return self.ends[-1]

    def name(self, index: int) -> str:
        """Return the name in the part."""
        part, within = self._place(index)
        return self.parts[part].name(within)

    def identity(self) -> str:
        """Return a digest of the parts and of how often each is repeated."""
        pairs = zip(self.parts, self.repeats, strict=True)
        return hashlib.sha256(" ".join(f"{part.identity()} {repeat}" for part, repeat in pairs).encode()).hexdigest()

    def cut_clip(self, index: int, drawn: Draws, out: Array) -> None:
        """Write a clip of the video into `out` `(t, h, w, 3)` uint8.

        Raises:
            SkippedVideo: there is none in it.
        """
        part, within = self._place(index)
        self.parts[part].cut_clip(within, drawn, out)

    def _place(self, index: int) -> tuple[int, int]:
        part = bisect_right(self.ends, index)
        before = self.ends[part - 1] if part else 0
        return part, (index - before) % len(self.parts[part])
