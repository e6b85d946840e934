"""Videos that no clip could be cut from: counted, named, and too many of them an error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from probe4d.errors import DataError

__all__ = ["Health", "Skip"]

NAMED = 1000  # videos that a state names; a checkpoint is not the place for a list without end
SIGMAS = 4.0

Skip = tuple[str, str, str]  # video, reason, message


@frozen(kw_only=True)
class Health:
    """What became of the examples that were tried. Immutable: each batch returns the next state.

    Attributes:
        read: examples delivered; each one skipped was replaced by another, so none is missing.
        skipped: per reason, how often a video was skipped, in all epochs together.
        named: per video the message of its first time; the first thousand videos.
        distinct: videos that were skipped at least once, as far as they are named.
    """

    read: int = 0
    skipped: Mapping[str, int] = field(factory=dict)
    named: Mapping[str, str] = field(factory=dict)

    def after(self, read: int, skips: list[Skip]) -> Health:
        """Return the state after a batch."""
        if not skips:
            return Health(read=self.read + read, skipped=self.skipped, named=self.named)
        skipped, named = dict(self.skipped), dict(self.named)
        for video, reason, message in skips:
            skipped[reason] = skipped.get(reason, 0) + 1
            if video not in named and len(named) < NAMED:
                named[video] = message
        return Health(read=self.read + read, skipped=skipped, named=named)

    def require(self, max_broken: float, count: int) -> None:
        """Raise DataError where more of `count` videos are broken than the fraction allows.

        That is so when the distinct videos found broken are too many of all there are, or, long before
        all were seen, when so many of the tries failed as chance does not explain: four standard
        deviations above the fraction.
        """
        skips = sum(self.skipped.values())
        tried = self.read + skips
        likely = max_broken * tried
        if len(self.named) <= max_broken * count and skips <= likely + SIGMAS * math.sqrt(likely):
            return
        some = " ".join(list(self.named.values())[:3])
        raise DataError(
            f"videos: expected at most {max_broken:.0%} of {count} to be broken, got {len(self.named)} "
            f"({skips} of {tried} tries): {some} Repair or remove them, or raise max_broken."
        )

    def as_record(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        named = [{"video": video, "message": message} for video, message in self.named.items()]
        return {"read": self.read, "skipped": dict(self.skipped), "named": named}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Health:
        """Return the state that `as_record` gave."""
        named = {item["video"]: item["message"] for item in record["named"]}
        return cls(read=record["read"], skipped=dict(record["skipped"]), named=named)
