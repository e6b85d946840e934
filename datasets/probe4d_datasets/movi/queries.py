"""Which points of a video are asked for: on a grid, drawn with more of the small objects."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from attrs import field, frozen

from probe4d.contracts import Array
from probe4d.errors import UsageError
from probe4d_datasets.own.options import one_of

__all__ = ["QueryDraw", "draw_queries", "quotas"]


def _whole(low: int) -> Any:
    def check(_: object, attribute: Any, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise UsageError(f"{attribute.name}: expected an integer of at least {low}, got {value!r}.")

    return check


def _share(_: object, attribute: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise UsageError(f"{attribute.name}: expected a share above 0, 1 at most, got {value!r}.")


def _flag(_: object, attribute: Any, value: object) -> None:
    if not isinstance(value, bool):
        raise UsageError(f"{attribute.name}: expected true or false, got {value!r}.")


def _where(_: object, attribute: Any, value: object) -> None:
    one_of(attribute.name, value, ("first", "any"))


@frozen(kw_only=True)
class QueryDraw:
    """How points are drawn. Source: kubric, `challenges/point_tracking/dataset.py`, its defaults but `tracks`.

    Attributes:
        tracks: how many at most. Source: 4DS paper, A.2.3.
        on: `first` of the frames that are loaded, or `any` frame of the video (the original).
        stride: of the grid, whose offset is drawn.
        max_share: of the grid's points of one segment.
        replacement: whether a point may be drawn twice, as in the original.
        max_segments: objects beyond are never drawn.
        seed: of the draw, with the record's name and the first frame.
    """

    tracks: int = field(default=64, validator=_whole(1))
    on: str = field(default="first", validator=_where)
    stride: int = field(default=4, validator=_whole(1))
    max_share: float = field(default=0.1, validator=_share)
    replacement: bool = field(default=True, validator=_flag)
    max_segments: int = field(default=25, validator=_whole(1))
    seed: int = field(default=0, validator=_whole(0))


def draw_queries(segments: Array, frames: Array, draw: QueryDraw, name: str) -> Array:
    """Return pixels `(n, 3)` = frame of the video, row, column.

    Args:
        segments: `(t, h, w)` of the frames that may be asked.
        frames: their numbers in the video, `(t,)`.
        name: of the sample; the same name and first frame give the same points on every machine.
    """
    digest = hashlib.sha256(f"{draw.seed}\0{name}\0{int(frames[0])}".encode()).digest()
    random = np.random.default_rng(list(digest[:16]))
    starts = random.integers(draw.stride, size=3)
    every = slice(int(starts[0]) % len(frames), None, draw.stride) if draw.on == "any" else slice(0, 1)
    height, width = segments.shape[1:]
    grid = np.meshgrid(
        np.arange(len(frames))[every],
        np.arange(int(starts[1]) % height, height, draw.stride),
        np.arange(int(starts[2]) % width, width, draw.stride),
        indexing="ij",
    )
    t, y, x = (axis.ravel() for axis in grid)
    found = segments[t, y, x].astype(np.int64)
    counts = np.bincount(found, minlength=1)
    chosen: list[Array] = [np.empty(0, np.intp)]
    for segment, quota in enumerate(quotas(counts, draw)[: draw.max_segments]):
        if quota:
            here = np.flatnonzero(found == segment)
            chosen.append(random.choice(here, quota, replace=draw.replacement))
    rows = np.concatenate(chosen)
    return np.stack([frames[t[rows]], y[rows], x[rows]], axis=1).astype(np.int64)


def quotas(counts: Array, draw: QueryDraw) -> list[int]:
    """Return how many points each segment gives: its even share of what is left, from the smallest up.

    Args:
        counts: the grid's points of each segment.
    """
    quota = [0] * len(counts)
    left = draw.tracks
    for place, segment in enumerate(np.argsort(counts, kind="stable")):
        share = int(np.round(np.float32(left) / np.float32(len(counts) - place)))
        most = int(np.round(np.float32(counts[segment]) * np.float32(draw.max_share)))
        quota[segment] = min(share, most)
        left -= quota[segment]
    return quota
