"""Frames of video files, exactly those asked for.

Seeking by `frame / fps` returns wrong frames on real files. Here a file is decoded once for an
index of its frames' times and checksums; a frame is then reached by a seek and *recognised* by
both. Whatever a seek does not bring back as the index knows it is decoded from the start.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from probe4d.errors import DataError
from probe4d_datasets.decoder import Threads, checksum, open_video, rgb_converter
from probe4d_datasets.files import Location
from probe4d_datasets.video_index import VideoIndex, video_index

if TYPE_CHECKING:
    import numpy as np

__all__ = ["read_frames"]

# How far before the wanted frame to seek, in keyframes, one try after the other: to the frame
# itself; where that lands too late (MPEG program streams: always by one), two keyframes earlier.
MARGINS = (0, 2)


def read_frames(
    location: Location,
    frames: Sequence[int] | None = None,
    *,
    index: VideoIndex | None = None,
    threads: Threads = "none",
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the named frames of a video, `(t, h, w, 3)` uint8 RGB.

    Only these frames are held in memory, whatever the length of the video.

    Args:
        location: a path, or any fsspec URL (`zip://a.mp4::s3://bucket/videos.zip`).
        frames: positions in order of presentation, in any order, repeats allowed; None means all.
        index: what `video_index(location)` returns, where the caller has it.
        threads: `"auto"` decodes in several threads.

    Raises:
        DataError: the file is missing, truncated or no video, or has no such frame.
    """
    import numpy as np

    index = video_index(location) if index is None else index
    frames = range(len(index)) if frames is None else [int(frame) for frame in frames]
    if beyond := [frame for frame in frames if not 0 <= frame < len(index)]:
        raise DataError(f"{location}: expected frames from 0 to {len(index) - 1}, got {beyond[0]}. Ask for fewer.")
    video = np.empty((len(frames), index.height, index.width, 3), np.uint8)
    places: dict[int, list[int]] = {}
    for place, frame in enumerate(frames):
        places.setdefault(frame, []).append(place)

    missing = set(places)
    rgb = rgb_converter()

    def take(found: Iterator[tuple[int, Any]]) -> None:
        for position, picture in found:
            video[places[position]] = rgb(picture)
            missing.discard(position)

    for margin in MARGINS if index.seekable else ():
        # A decoder may stumble over what comes first after a seek; what is missing then is decoded
        # from the start, where an error is the file's own.
        with suppress(DataError):
            take(_by_seek(location, sorted(missing), index, threads, margin))
    take(_from_start(location, sorted(missing), index, threads))
    if missing:
        raise DataError(f"{location}: expected frame {min(missing)} as indexed, got another. Did the file change?")
    return video


def _by_seek(
    location: Location, wanted: list[int], index: VideoIndex, threads: Threads, margin: int
) -> Iterator[tuple[int, Any]]:
    """Yield `(position, picture)` of the wanted frames that come back as the index knows them.

    Args:
        margin: how many keyframes before the wanted frame to aim at; 0 aims at the frame itself.
    """
    if not wanted:
        return
    position_of = {value: position for position, value in enumerate(index.pts)}
    with open_video(location, threads) as (container, stream):
        for group in _groups(wanted, index.keyframes):
            aim = index.keyframes[max(0, bisect_right(index.keyframes, group[0]) - margin)] if margin else group[0]
            container.seek(index.pts[aim], stream=stream, backward=True, any_frame=False)
            todo = iter(group)
            due = next(todo)
            for frame in container.decode(stream):
                position = position_of.get(frame.pts, -1)
                if position == due and checksum(frame) == index.checksums[position]:
                    yield position, frame
                    due = next(todo, -1)
                if position >= due:  # done, or gone past: a later frame does not bring it back
                    break


def _groups(wanted: list[int], keyframes: Sequence[int]) -> Iterator[list[int]]:
    """Yield runs of wanted frames between which a seek skips at least one whole group of pictures."""
    group: list[int] = []
    for frame in wanted:
        if group and bisect_right(keyframes, frame) > bisect_right(keyframes, group[-1]) + 1:
            yield group
            group = []
        group.append(frame)
    if group:
        yield group


def _from_start(
    location: Location, wanted: list[int], index: VideoIndex, threads: Threads
) -> Iterator[tuple[int, Any]]:
    """Yield `(position, picture)` of the wanted frames while decoding from the first frame."""
    todo = set(wanted)
    if not todo:
        return
    with open_video(location, threads) as (container, stream):
        for position, frame in enumerate(container.decode(stream)):
            if position in todo:
                if frame.pts != index.pts[position]:
                    return
                yield position, frame
                todo.discard(position)
            if not todo:
                return
