"""What a pretraining run reads, and how clips are cut from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.errors import UsageError
from probe4d.spec_fields import fail, flag, options, positive, text

__all__ = ["ClipData"]


def _size(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _two_positive(instance: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if len(value) != 2 or not all(isinstance(edge, int) and not isinstance(edge, bool) and edge > 0 for edge in value):
        fail(instance, attribute, "(height, width) in pixels, or one number for both", value)


def _number(low: float, high: float) -> Any:
    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            fail(instance, attribute, f"a number from {low} to {high}", value)

    return check


def _whole(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        fail(instance, attribute, "a whole number of at least 0", value)


@frozen(kw_only=True)
class ClipData:
    """Where clips come from and how each is cut: the paper's augmentation, and nothing else.

    Attributes:
        source: `playroom`; or by path or fsspec URL: a folder or glob of videos, a manifest
            (`.jsonl`, `.parquet`), WebDataset shards (a path, glob or `{000..099}` that ends in `.tar`).
        frames: frames of a clip. Source: paper A.1, as are `stride`, `size`, `margin` and `flip`.
        stride: frames of the video from one frame of the clip to the next. `playroom` has an option
            of its own for it, as its videos are no longer than a clip.
        size: (height, width) of the clip in pixels, or one number for both.
        margin: short side after resizing over the crop's.
        flip: mirror left and right every second time.
        batch_size: of all processes together.
        seed: of the order and of every crop; another seed, other clips.
        epochs: times that each video is shown; None: without end.
        workers: processes that read ahead; 0: a thread of this one.
        ahead: batches that the thread, or each process, has ready.
        max_broken: fraction of the videos that may be unreadable or too short.
        options: of the source.
    """

    source: str = field(validator=text)
    frames: int = field(default=16, validator=positive)
    stride: int = field(default=2, validator=positive)
    size: tuple[int, int] = field(default=(224, 224), converter=_size, validator=_two_positive)
    margin: float = field(default=1.15, validator=_number(1.0, 4.0))
    flip: bool = field(default=True, validator=flag)
    batch_size: int = field(validator=positive)
    seed: int = field(default=0, validator=_whole)
    epochs: int | None = field(default=None, validator=attrs.validators.optional(positive))
    workers: int = field(default=0, validator=_whole)
    ahead: int = field(default=2, validator=positive)
    max_broken: float = field(default=0.1, validator=_number(0.0, 1.0))
    options: Mapping[str, Any] = options()

    @property
    def short_side(self) -> int:
        """Pixels of the shorter side of a square clip's video after resizing, before the crop."""
        return round(self.margin * min(self.size))

    def share(self, process_index: int, process_count: int) -> range:
        """Return which positions of a global batch this process reads.

        Raises:
            UsageError: the batch does not divide, or there is no such process.
        """
        if not 0 <= process_index < process_count:
            raise UsageError(f"process_index: expected 0 to {process_count - 1}, got {process_index}.")
        if self.batch_size % process_count:
            raise UsageError(
                f"ClipData.batch_size: expected a multiple of the {process_count} processes, got {self.batch_size}. "
                f"Take {math.ceil(self.batch_size / process_count) * process_count}."
            )
        local = self.batch_size // process_count
        return range(process_index * local, (process_index + 1) * local)
