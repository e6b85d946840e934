"""Broken samples cost themselves: which were left out and why, up to a stated fraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from probe4d.contracts import Dataset, Sample
from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.options import fraction

__all__ = ["Coverage"]


def _fraction(_: Any, attribute: Any, value: float) -> None:
    fraction(attribute.name, value)


@frozen(kw_only=True)
class Coverage:
    """What of the samples asked for could be used. Immutable: every step returns the next state.

    Attributes:
        total: how many samples will be asked for.
        max_broken: the fraction of `total` that may be left out; one more is an error.
        used: how many were.
        left_out: `(id, reason)` of each that was not, in the order of their ids.
    """

    total: int
    max_broken: float = field(default=0.05, validator=_fraction)
    used: int = 0
    left_out: tuple[tuple[str, str], ...] = ()

    def load(
        self, dataset: Dataset, sample_id: str, frames: Sequence[int] | None = None
    ) -> tuple[Coverage, Sample | None]:
        """Return the next state, and the sample, or None where it is broken.

        Raises:
            DataError: too many are broken by now; the message names them.
        """
        try:
            sample = dataset.load(sample_id, frames)
        except DataError as error:
            return self.without(sample_id, str(error)), None
        return self.with_one(), sample

    def with_one(self) -> Coverage:
        """Return the state after a sample that could be used."""
        return self._next(self.used + 1, self.left_out)

    def without(self, sample_id: str, reason: str) -> Coverage:
        """Return the state after a sample that could not.

        Raises:
            DataError: that was one too many.
        """
        return self._next(self.used, (*self.left_out, (sample_id, reason)))

    def merge(self, other: Coverage) -> Coverage:
        """Return the state of both parts of the same `total`.

        Raises:
            DataError: together they left too many out.
            UsageError: they are not parts of one.
        """
        if (self.total, self.max_broken) != (other.total, other.max_broken):
            raise UsageError(f"coverage: expected parts of one set, got {self.total} and {other.total} samples.")
        return self._next(self.used + other.used, self.left_out + other.left_out)

    def as_record(self) -> Mapping[str, Any]:
        """Return what a record holds, as plain JSON values."""
        broken = [{"id": sample_id, "reason": reason} for sample_id, reason in self.left_out]
        return {"total": self.total, "used": self.used, "left_out": broken, "max_broken": self.max_broken}

    def _next(self, used: int, left_out: tuple[tuple[str, str], ...]) -> Coverage:
        if len(left_out) > self.max_broken * self.total + 1e-9:
            first = " ".join(reason for _, reason in sorted(left_out)[:3])
            raise DataError(
                f"samples: expected at most {self.max_broken:.0%} of {self.total} to be broken, "
                f"got {len(left_out)} after {used + len(left_out)}: {first} Repair them, or allow more."
            )
        return Coverage(total=self.total, max_broken=self.max_broken, used=used, left_out=tuple(sorted(left_out)))
