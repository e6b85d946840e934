"""Where people keep the frames of RealEstate10K: the YouTube videos, or images named by their timestamps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Protocol

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.own.images import read_colour, stack
from probe4d_datasets.own.parts import VIDEO_SUFFIXES
from probe4d_datasets.own.root import Root
from probe4d_datasets.places import Folder, locate
from probe4d_datasets.re10k.cameras import Cameras
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import video_index

__all__ = ["Images", "Match", "Storage", "Videos", "longest_run", "nearest_frames"]

IMAGE = re.compile(r"(?P<stamp>\d{1,18})\.(png|jpg|jpeg|webp)", re.IGNORECASE)
MAX_IMAGE = 64 << 20
NAMES = ("us", "ms", "us-cut")


@frozen(kw_only=True, eq=False)
class Match:
    """Which stored frame belongs to each timestamp: `places (n,)`, and `ok (n,)` where there is one."""

    places: Array
    ok: Array


class Storage(Protocol):
    """One way to keep frames."""

    def absent(self, key: str, video_id: str) -> str | None:
        """Return why a clip has no frames here, by what was listed on opening; None where it may have."""
        ...

    def match(self, key: str, cameras: Cameras) -> Match:
        """Return the frames of a clip's timestamps."""
        ...

    def read(self, key: str, cameras: Cameras, places: Sequence[int]) -> tuple[Array, Mapping[str, Any]]:
        """Return frames `(t, h, w, 3)` by their places, and where they are from."""
        ...

    def states(self, key: str, video_id: str) -> Sequence[str]:
        """Return what changes when the frames of a clip do."""
        ...


def nearest_frames(stamps: Array, seconds: Sequence[float | None], tolerance: float, where: str) -> Match:
    """Return the frame whose presentation time is nearest to each timestamp, and whether it is near enough.

    Args:
        stamps: microseconds.
        seconds: per frame of the video.
        tolerance: in seconds.

    Raises:
        DataError: a frame has no time.
    """
    if any(second is None for second in seconds):
        raise DataError(f"{where}: expected a time for every frame, got some without. Remux the video.")
    times = np.rint(np.asarray(seconds, np.float64) * 1e6).astype(np.int64)  # whole numbers, where ties are ties
    order = np.argsort(times, kind="stable")
    wanted, ordered = np.asarray(stamps, np.int64), times[order]
    right = np.searchsorted(ordered, wanted).clip(0, len(times) - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.where(np.abs(ordered[left] - wanted) <= np.abs(ordered[right] - wanted), left, right)
    return Match(places=order[nearer], ok=np.abs(ordered[nearer] - wanted) <= tolerance * 1e6)


def longest_run(ok: Array) -> tuple[int, int]:
    """Return `[start, stop)` of the longest run of true values, the first of equals."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(ok, np.int8), [0]])))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    best = int(np.argmax(stops - starts))
    return int(starts[best]), int(stops[best])


@frozen(kw_only=True)
class Videos:
    """`<YouTube id>.mp4`, whole; a timestamp is the frame with the nearest presentation time.

    Attributes:
        tolerance: in seconds; the data set's authors advise 8 ms.
    """

    folders: tuple[Folder, ...]
    tolerance: float

    def absent(self, key: str, video_id: str) -> str | None:
        """Return whether the video was not there."""
        return None if self._location(video_id) else f"no video: {video_id}.mp4"

    def _location(self, video_id: str) -> str | None:
        return next((found for suffix in VIDEO_SUFFIXES if (found := locate(self.folders, video_id + suffix))), None)

    def _video(self, cameras: Cameras) -> str:
        if (location := self._location(cameras.video_id)) is None:
            raise DataError(f"{cameras.video_id}.mp4: expected the video, got none. Fetch it, or drop its clips.")
        return location

    def match(self, key: str, cameras: Cameras) -> Match:
        """Return the nearest frames."""
        location = self._video(cameras)
        return nearest_frames(cameras.stamps, video_index(location).seconds(), self.tolerance, location)

    def read(self, key: str, cameras: Cameras, places: Sequence[int]) -> tuple[Array, Mapping[str, Any]]:
        """Return frames of the video."""
        location = self._video(cameras)
        index = video_index(location)
        video = read_frames(location, places, index=index)
        return video, {"video": location, "sha256": index.digest, "decoder": index.decoder}

    def states(self, key: str, video_id: str) -> Sequence[str]:
        """Return the state of the video."""
        for folder in self.folders:
            for suffix in VIDEO_SUFFIXES:
                if video_id + suffix in folder.names:
                    return (f"{video_id} {folder.root.state(folder.file(video_id + suffix))}",)
        return ()


@frozen(kw_only=True)
class Images:
    """`<split>/<key>/<timestamp>.png` or `.jpg`.

    Attributes:
        naming: what the number is: `us`, the timestamp; `ms`, its whole milliseconds; `us-cut`,
            microseconds with the last three digits 0, as by ffmpeg with a stamp cut to
            milliseconds; `auto`, per clip, whichever finds the most images.
    """

    root: Root
    folder: str
    keys: frozenset[str]
    naming: str = "auto"

    def absent(self, key: str, video_id: str) -> str | None:
        """Return whether the folder was not there."""
        return None if key in self.keys else f"no images: {self._path(key)}/"

    def _path(self, key: str) -> str:
        return f"{self.folder}/{key}" if self.folder else key

    def _found(self, key: str, cameras: Cameras) -> list[str]:
        """Return the name of each timestamp's image, empty where there is none."""
        names = {int(m["stamp"]): m[0] for name in self.root.names(self._path(key)) if (m := IMAGE.fullmatch(name))}
        keep = {"us": cameras.stamps, "ms": cameras.stamps // 1000, "us-cut": cameras.stamps // 1000 * 1000}
        tried = [keep[naming] for naming in (NAMES if self.naming == "auto" else (self.naming,))]
        found = [[names.get(int(number), "") for number in numbers] for numbers in tried]
        return max(found, key=lambda one: sum(map(bool, one)))  # the first of equals

    def match(self, key: str, cameras: Cameras) -> Match:
        """Return each timestamp's own place where it has an image."""
        names = self._found(key, cameras)
        return Match(places=np.arange(len(names)), ok=np.array([bool(name) for name in names]))

    def read(self, key: str, cameras: Cameras, places: Sequence[int]) -> tuple[Array, Mapping[str, Any]]:
        """Return images, which all have one size."""
        names = self._found(key, cameras)
        unique = sorted(set(places))
        if lacking := [place for place in unique if not names[place]]:
            raise DataError(f"{key}: expected an image of {cameras.stamps[lacking[0]]} µs, got none.")
        paths = [str(PurePosixPath(self._path(key), names[place])) for place in unique]
        where = [self.root.location(path) for path in paths]
        images = [read_colour(self.root.read_up_to(p, MAX_IMAGE), w) for p, w in zip(paths, where, strict=True)]
        return stack(images, where)[np.searchsorted(unique, places)], {"images": self.root.location(self._path(key))}

    def states(self, key: str, video_id: str) -> Sequence[str]:
        """Return the names of the images: their times are not looked at, as there are millions."""
        return (f"{key} {' '.join(self.root.names(self._path(key)))}",)
