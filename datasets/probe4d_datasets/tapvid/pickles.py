"""What a TAP-Vid pickle holds: videos by name, their tracks, and where their frames are in the file."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.files import open_binary
from probe4d_datasets.formats.pickled_arrays import Bytes, PickledArray, read_array, read_bytes
from probe4d_datasets.formats.restricted_pickle import read_pickle
from probe4d_datasets.own.images import read_colour, stack
from probe4d_datasets.own.root import Root

__all__ = ["PickledVideo", "pickled_videos"]

MAX_FRAME_BYTES = 1 << 28
FARTHEST = 1e4  # frames; what lies beyond is no position


@frozen
class PickledVideo:
    """One entry of a file: nothing but the tracks is read until frames are asked for.

    Attributes:
        frames: an array (t, h, w, 3) uint8, or the JPEG of each frame.
        points, occluded: (n, t, 2) x y in [0, 1] of the frame, (n, t).
    """

    location: str
    frames: PickledArray | Sequence[Bytes]
    points: PickledArray
    occluded: PickledArray

    @property
    def length(self) -> int:
        """The number of frames."""
        return self.frames.shape[0] if isinstance(self.frames, PickledArray) else len(self.frames)

    def video(self, frames: Sequence[int], where: str) -> Array:
        """Return these frames, `(t, h, w, 3)` uint8; only their bytes are read.

        Raises:
            DataError: a frame is no image, or the file changed.
        """
        with open_binary(self.location) as file:
            if isinstance(self.frames, PickledArray) and self.frames.dtype == np.uint8:
                return read_array(file, self.frames, where, frames)
            if isinstance(self.frames, PickledArray):  # JPEGs padded with zeros to one length
                jpegs = [bytes(jpeg) for jpeg in read_array(file, self.frames, where, frames)]
            else:
                jpegs = [read_bytes(file, self.frames[frame], where) for frame in frames]
        names = [f"{where}, frame {frame}" for frame in frames]
        return stack([read_colour(jpeg, name) for jpeg, name in zip(jpegs, names, strict=True)], names)

    def tracks(self, where: str) -> tuple[Array, Array]:
        """Return points (n, t, 2) float64, 0 where nothing is known, and visible (n, t).

        Raises:
            DataError: they are no positions where visible, or the file changed.
        """
        with open_binary(self.location) as file:
            points = read_array(file, self.points, where).astype(np.float64)
            occluded = read_array(file, self.occluded, where)
        if not np.isin(occluded, (0, 1)).all():
            raise DataError(f"{where}, occluded: expected true or false, got other values. Replace the file.")
        visible = ~occluded.astype(bool)
        near: Array = np.asarray((np.abs(points) < FARTHEST).all(-1))
        if not near[visible].all():
            raise DataError(f"{where}, points: expected finite positions wherever visible, got NaN or a huge one.")
        return np.where(near[..., None], points, 0.0), visible


def pickled_videos(root: Root, path: str) -> Mapping[str, PickledVideo | str]:
    """Return the videos of a file by name (a dict's keys; else their places, as `0003`).

    A broken entry is its own error message, in place of the video.

    Raises:
        DataError: the file is missing, cut off, or no pickle of plain arrays.
    """
    return _videos(root.location(path), root.state(path))


@functools.lru_cache(maxsize=32)
def _videos(location: str, state: str) -> Mapping[str, PickledVideo | str]:  # noqa: ARG001 - the state is in the key
    with open_binary(location) as file:
        found = read_pickle(file, location)
    if isinstance(found, list):
        found = {f"{number:04d}": entry for number, entry in enumerate(found)}
    if not isinstance(found, dict) or not found:
        raise DataError(f"{location}: expected a dict or a list of videos, got {type(found).__name__}.")
    return {str(name): _entry(entry, location, f"{location}, {name}") for name, entry in found.items()}


def _entry(entry: Any, location: str, where: str) -> PickledVideo | str:
    try:
        return _video(entry, location, where)
    except DataError as error:
        return str(error)


def _video(entry: Any, location: str, where: str) -> PickledVideo:
    if not isinstance(entry, dict) or not {"video", "points", "occluded"} <= entry.keys():
        raise DataError(f"{where}: expected video, points and occluded, got {_keys(entry)}. Replace the file.")
    frames, points, occluded = entry["video"], entry["points"], entry["occluded"]
    if isinstance(frames, PickledArray) and frames.items is not None:
        frames = frames.items
    if isinstance(frames, PickledArray):
        dtype, raw = frames.dtype, len(frames.shape) == 4 and frames.shape[3:] == (3,)
        jpegs = len(frames.shape) == 1 and dtype is not None and dtype.kind == "S"
        if not (raw and dtype == np.uint8) and not jpegs:
            raise DataError(f"{where}, video: expected uint8 (t, h, w, 3) or JPEGs, got {dtype} {frames.shape}.")
        if raw and np.prod(frames.shape[1:], dtype=float) > MAX_FRAME_BYTES:
            raise DataError(f"{where}, video: expected frames of a video, got {frames.shape}.")
    elif not isinstance(frames, list) or not all(isinstance(jpeg, Bytes) for jpeg in frames):
        raise DataError(f"{where}, video: expected an array or a list of JPEGs, got {type(frames).__name__}.")
    made = PickledVideo(location, frames, points, occluded)
    for name, array, kinds, dims in (("points", points, "f", 3), ("occluded", occluded, "bui", 2)):
        shape = array.shape if isinstance(array, PickledArray) and array.dtype is not None else ()
        if len(shape) != dims or array.dtype.kind not in kinds or shape[1] != made.length:
            raise DataError(f"{where}, {name}: expected (n, {made.length}, …) as the video has, got {shape}.")
    if points.shape != (*occluded.shape, 2) or not made.length:
        raise DataError(f"{where}: expected points {(*occluded.shape, 2)} as occluded has, got {points.shape}.")
    return made


def _keys(entry: Any) -> str:
    return ", ".join(str(key) for key in list(entry)[:5]) if isinstance(entry, dict) else type(entry).__name__
