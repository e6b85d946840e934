"""Point tracks as a file states them, to pixels of the video, and the queries of a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import field, frozen

from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.options import one_of

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["TrackMeta", "Tracks", "canonical", "queries", "usable_rows"]


def _choice(*choices: str) -> Any:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        one_of(attribute.name, value, choices)

    return check


def _size(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    right = isinstance(value, list | tuple) and len(value) == 2
    if value is not None and not (right and all(type(side) is int and side > 0 for side in value)):
        raise UsageError(f"{attribute.name}: expected [height, width] in pixels, got {value!r}.")


@frozen(kw_only=True)
class TrackMeta:
    """What the numbers of a track file mean.

    Attributes:
        order: of the last axis of `tracks` (`query_points` are (t, y, x) always).
        coords: `pixels` of `frame_size` (the video's own, where it is not stated), or `normalized` to [0, 1].
        pixel_origin: with pixels, whether (0, 0) is the `corner` of the first pixel or its `center`.
    """

    order: str = field(validator=_choice("xy", "yx"))
    coords: str = field(validator=_choice("pixels", "normalized"))
    pixel_origin: str = field(default="corner", validator=_choice("corner", "center"))
    frame_size: Sequence[int] | None = field(default=None, validator=_size)


@frozen(kw_only=True)
class Tracks:
    """`positions (n, t, 2)` x y in pixels of the video, `visible (n, t)`, `query_points (n, 3)` t y x or None."""

    positions: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]
    query_points: npt.NDArray[np.float32] | None


def canonical(
    arrays: Mapping[str, npt.NDArray[Any]], meta: TrackMeta, length: int, size: tuple[int, int], where: str
) -> Tracks:
    """Return the tracks of a video of `length` frames and `size` (height, width), corner origin.

    Raises:
        DataError: a field is missing, of another shape or type, or not finite where the point is visible.
    """
    if "tracks" not in arrays:
        raise DataError(f"{where}: expected tracks (n, t, 2), got {', '.join(arrays) or 'nothing'}.")
    tracks = arrays["tracks"]
    if tracks.ndim != 3 or tracks.shape[1:] != (length, 2) or tracks.dtype.kind not in "fiu":
        raise DataError(
            f"{where}, tracks: expected numbers (n, {length}, 2), as the video has {length} frames, "
            f"got {tracks.dtype} {tracks.shape}."
        )
    visible = _visible(arrays, tracks.shape[:2], where)
    height, width = size
    tall, wide = meta.frame_size or size
    if meta.coords == "normalized":
        tall, wide = 1, 1
        if meta.pixel_origin == "center":
            raise DataError(
                f"{where}, meta: expected pixel_origin = 'corner' with normalized coordinates, got 'center'."
            )
    shift = 0.5 if meta.pixel_origin == "center" else 0.0
    positions = tracks[..., ::-1] if meta.order == "yx" else tracks
    positions = ((positions.astype(np.float64) + shift) * [width / wide, height / tall]).astype(np.float32)
    if not np.isfinite(positions[visible]).all():
        raise DataError(f"{where}, tracks: expected finite positions wherever visible, got NaN or infinity.")
    points = arrays.get("query_points")
    if points is not None:
        if points.shape != (len(tracks), 3) or points.dtype.kind not in "fiu" or not np.isfinite(points).all():
            raise DataError(f"{where}, query_points: expected finite numbers ({len(tracks)}, 3), got {points.shape}.")
        if ((points[:, 0] < 0) | (points[:, 0] > length - 1)).any():
            raise DataError(f"{where}, query_points: expected frames from 0 to {length - 1}, got another.")
        moved = points.astype(np.float64) + np.array([0.0, shift, shift])
        points = (moved * [1.0, height / tall, width / wide]).astype(np.float32)
    return Tracks(positions=positions, visible=visible, query_points=points)


def usable_rows(tracks: Tracks, span: Sequence[int]) -> npt.NDArray[np.intp]:
    """Return the rows that are visible in one of the frames, or have their query there."""
    usable = np.asarray(tracks.visible[:, list(span)].any(axis=1))
    if tracks.query_points is not None:
        usable |= np.isin(np.round(tracks.query_points[:, 0]), list(span))
    return np.flatnonzero(usable)


def queries(tracks: Tracks, frames: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return `query_points (n, 3)` = (t, y, x), where t counts in `frames`: 0 is the first of them.

    It is the file's own where its frame is among `frames`; else where the point is first visible in
    them; else (nobody can ask for it there) the first of them, at the position stated, or 0 where
    there is none.
    """
    first = tracks.visible[:, list(frames)].argmax(axis=1)
    at = tracks.positions[np.arange(len(first)), np.asarray(frames)[first]]
    points = np.nan_to_num(np.stack([first, at[:, 1], at[:, 0]], axis=1), posinf=0.0, neginf=0.0)
    if tracks.query_points is not None:
        place = {frame: number for number, frame in reversed(list(enumerate(frames)))}
        for row, query in enumerate(tracks.query_points):
            if (found := place.get(round(float(query[0])))) is not None:
                points[row] = [found, query[1], query[2]]
    return np.asarray(points, np.float32)


def _visible(arrays: Mapping[str, npt.NDArray[Any]], shape: tuple[int, ...], where: str) -> npt.NDArray[np.bool_]:
    given = [name for name in ("visible", "occluded") if name in arrays]
    if len(given) != 1:
        raise DataError(f"{where}: expected visible or occluded (n, t), got {' and '.join(given) or 'neither'}.")
    values = arrays[given[0]]
    if values.shape != shape or values.dtype.kind not in "biu" or not np.isin(values, (0, 1)).all():
        raise DataError(f"{where}, {given[0]}: expected true or false {shape}, got {values.dtype} {values.shape}.")
    return values.astype(np.bool_) if given[0] == "visible" else ~values.astype(np.bool_)
