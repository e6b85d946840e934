"""TAP-Vid-Kinetics as it is published: a csv of tracks over YouTube clips that everyone fetches.

A row is a track: `youtube_id[, start, end], x, y, occluded, x, y, occluded, …` at 25 frames a
second, x and y in [0, 1].
Source: tapnet, `tapnet/tapvid/generate_tapvid.py`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.video_index import VideoIndex

__all__ = ["CsvTracks", "nearest_frames", "read_csv_tracks"]

FPS = 25.0
MAX_COLUMNS = 100_000
FARTHEST = 1e4  # frames; what lies beyond is no position


@frozen
class CsvTracks:
    """The tracks of one clip: points (n, t, 2) x y in [0, 1], visible (n, t)."""

    points: Array
    visible: Array


def read_csv_tracks(text: str, where: str) -> Mapping[str, CsvTracks | str]:
    """Return the tracks by the name of the clip's file: `id_000010_000020`, or `id` where no times stand.

    A clip with a row that cannot be read is the error message of it.

    Raises:
        DataError: the file is no csv.
    """
    rows: dict[str, list[Array]] = {}
    broken: dict[str, str] = {}
    try:
        lines = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise DataError(f"{where}: expected a csv file, got {error}. Replace the file.") from error
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        timed = len(line) % 3 == 0
        place = f"{where}, line {number}"
        try:
            name = f"{line[0]}_{int(line[1]):06}_{int(line[2]):06}" if timed else line[0]
            values = np.array(line[3 if timed else 1 :][:MAX_COLUMNS], np.float64)
        except (ValueError, IndexError) as error:
            broken[line[0]] = f"{place}: expected id, times, then x, y, occluded of each frame, got {error}."
            continue
        # NUL or a separator in a name would lead elsewhere when the file is looked for.
        if not name or "/" in name or "\\" in name or "\0" in name or len(line) % 3 == 2 or not len(values):
            broken[line[0]] = (
                f"{place}: expected id, times, then x, y, occluded of each frame, got {len(line)} columns."
            )
            continue
        track = values.reshape(-1, 3)
        if not (np.abs(track) < FARTHEST).all() or not np.isin(track[:, 2], (0, 1)).all():
            broken[name] = f"{place}: expected finite x and y, and 0 or 1, got another value."
        elif name in rows and len(rows[name][0]) != len(track):
            broken[name] = (
                f"{place}: expected {len(rows[name][0])} frames as the clip's other tracks, got {len(track)}."
            )
        else:
            rows.setdefault(name, []).append(track)
    found: dict[str, CsvTracks | str] = {}
    for name, tracks in rows.items():
        stacked = np.stack(tracks)
        found[name] = CsvTracks(stacked[..., :2], stacked[..., 2] == 0)
    return {**found, **broken}


def nearest_frames(index: VideoIndex, count: int, where: str) -> Sequence[int]:
    """Return the frames of a video at 25 frames a second, as many as the clip has, `count` at most.

    Raises:
        DataError: the video's frames have no times.
    """
    times = index.seconds()
    if not index.seekable or times[0] is None:
        raise DataError(f"{where}: expected a video whose frames have times, got one without. Encode it again.")
    seconds = np.asarray(times, np.float64) - float(times[0])
    wanted = np.arange(count) / FPS
    wanted = wanted[wanted <= seconds[-1] + 0.5 / FPS]
    right = np.searchsorted(seconds, wanted).clip(0, len(seconds) - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.abs(seconds[left] - wanted) <= np.abs(seconds[right] - wanted)
    return [int(frame) for frame in np.where(nearer, left, right)]
