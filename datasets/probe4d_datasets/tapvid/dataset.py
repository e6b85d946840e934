"""`tapvid_davis`, `tapvid_rgb_stacking`, `tapvid_kinetics`: point tracks for evaluation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from probe4d.contracts import Array, MissingPart
from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.options import one_of
from probe4d_datasets.own.tracks import Tracks, queries
from probe4d_datasets.published import Policy, Published
from probe4d_datasets.tapvid.csv_tracks import CsvTracks, nearest_frames, read_csv_tracks
from probe4d_datasets.tapvid.pickles import PickledVideo, pickled_videos
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import video_index

__all__ = ["TapVid"]

SUBSETS = ("davis", "rgb_stacking", "kinetics")
PART = re.compile(r"(?P<number>\d{4,})_of_(?P<count>\d{4,})\.pkl")


class Place(NamedTuple):
    """Where a video is: a pickle and its name in it, or a video file and its tracks in the csv."""

    file: str
    name: str


class TapVid(Published):
    """Videos and tracks of `<root>[/tapvid_<subset>]/*.pkl`; for Kinetics also the csv over videos.

    Ids are the names of the videos, or `<file>/<place>` where they have none.

    Args:
        subset: `davis`, `rgb_stacking` or `kinetics`.
        query_mode: `first`: where each point is first seen; `strided`: on every `query_stride`-th frame
            on which it is seen, a row for each.
        half_pixel: whether positions of the csv are moved by half a pixel towards the origin, as the
            script that makes the pickles of it does.
        missing, max_missing: see `probe4d_datasets.published.Policy`.
    """

    name = "tapvid"
    splits = ("test",)
    unit = "videos"

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        split: str = "test",
        *,
        subset: str = "davis",
        query_mode: str = "first",
        query_stride: int = 5,
        half_pixel: bool = True,
        missing: str = "keep",
        max_missing: float = 0.1,
    ) -> None:
        super().__init__(root, split, Policy(missing=missing, max_missing=max_missing))
        self.subset = one_of("tapvid subset", subset, SUBSETS)
        self.query_mode = one_of("tapvid query_mode", query_mode, ("first", "strided"))
        if isinstance(query_stride, bool) or not isinstance(query_stride, int) or query_stride < 1:
            raise UsageError(f"tapvid query_stride: expected an integer of at least 1, got {query_stride!r}.")
        self.query_stride = query_stride
        self.half_pixel = bool(half_pixel)
        self._csv: Mapping[str, CsvTracks | str] = {}
        self._places: dict[str, Place] = {}
        wanted = f"tapvid_{subset}"
        folder = wanted if f"{wanted}/" in self.root.names() else ""
        names = self.root.names(folder)
        self._pickles = [name for name in names if self._is_mine(name)]
        self.layout = "pickle" if self._pickles else "csv"
        absent: dict[str, str] = {}
        if self._pickles:
            self._find_pickles(folder)
        else:
            absent = self._find_csv(folder, names)
        self._plan(tuple(self._places), absent)

    def _is_mine(self, name: str) -> bool:
        return bool(PART.fullmatch(name)) if self.subset == "kinetics" else name == f"tapvid_{self.subset}.pkl"

    def _find_pickles(self, folder: str) -> None:
        """Fill the places of every video."""
        for name in self._pickles:
            path = f"{folder}/{name}".strip("/")
            try:
                videos = list(pickled_videos(self.root, path))
            except DataError:
                # The file is one sample, which `load` refuses with the reason.
                self._places[path] = Place(path, "")
                continue
            stem = name.removesuffix(".pkl")
            for video in videos:
                unnamed = video.isdecimal() and len(video) == 4
                self._places[f"{stem}/{video}" if unnamed else video] = Place(path, video)

    def _lost_parts(self) -> list[str]:
        """Return the parts of Kinetics that the names of the others tell of; how many videos they have nobody knows."""
        counts = {int(m["count"]) for name in self._pickles if (m := PART.fullmatch(name))}
        expected = [f"{n:04d}_of_{count:04d}.pkl" for count in sorted(counts) for n in range(min(count, 10_000))]
        return [name for name in expected if name not in self._pickles]

    def missing(self) -> Sequence[MissingPart]:
        """Return the videos of the csv, or the parts of the set, that are not there."""
        lost = [MissingPart("", name, "a part of the set") for name in self._lost_parts()]
        return (*super().missing(), *lost)

    def _find_csv(self, folder: str, names: Sequence[str]) -> dict[str, str]:
        """Fill the places of every clip of the csv, and return which have no video."""
        tables = [name for name in names if name.endswith(".csv")]
        if len(tables) != 1 or self.subset != "kinetics":
            wanted = "0000_of_0010.pkl … or one csv" if self.subset == "kinetics" else f"tapvid_{self.subset}.pkl"
            raise DataError(
                f"{self.root.url}: expected {wanted}, got {', '.join(names[:5]) or 'nothing'}. Check the root."
            )
        path = f"{folder}/{tables[0]}".strip("/")
        self._csv = read_csv_tracks(self.root.read_text(path), self.root.location(path))
        videos = [file for file in self.root.files() if file.endswith(".mp4")]
        there = {file.rpartition("/")[2].removesuffix(".mp4"): file for file in videos}
        self._places = {name: Place(there.get(name, ""), name) for name in self._csv}
        return {name: f"no video: {name}.mp4" for name, place in self._places.items() if not place.file}

    def _options(self) -> Mapping[str, Any]:
        return {
            "subset": self.subset,
            "layout": self.layout,
            "parts_missing": len(self._lost_parts()),
            "query_mode": self.query_mode,
            "query_stride": self.query_stride if self.query_mode == "strided" else None,
            "half_pixel": self.half_pixel if self.layout == "csv" else None,
        }

    def _states(self) -> Sequence[str]:
        files = {place.file for name, place in self._places.items() if place.file and name not in self._absent}
        tracks = [repr(sorted(self._csv))] if self._csv else []
        return [*tracks, *(f"{file} {self.root.state(file)}" for file in sorted(files))]

    def _pickled(self, sample_id: str) -> PickledVideo:
        place = self._places[sample_id]
        videos = pickled_videos(self.root, place.file)
        if place.name not in videos:
            raise DataError(f"{self.root.location(place.file)}: expected {place.name!r}, got another file by now.")
        found = videos[place.name]
        if isinstance(found, str):
            raise DataError(found)
        return found

    def _tracked(self, sample_id: str) -> tuple[str, CsvTracks, Sequence[int]]:
        """Return the video file of a csv clip, its tracks, and the frames that they are on."""
        place, found = self._places[sample_id], self._csv[sample_id]
        if isinstance(found, str):
            raise DataError(found)
        location = self.root.location(place.file)
        return location, found, nearest_frames(video_index(location), found.points.shape[1], location)

    def _length(self, sample_id: str) -> int:
        return self._pickled(sample_id).length if self.layout == "pickle" else len(self._tracked(sample_id)[2])

    def _load(self, sample_id: str, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        where = f"{self.root.url}, {sample_id}"
        if self.layout == "pickle":
            found = self._pickled(sample_id)
            video, (points, visible) = found.video(frames, where), found.tracks(where)
        else:
            location, tracks, places = self._tracked(sample_id)
            video = read_frames(location, [places[frame] for frame in frames])
            points, visible = tracks.points[:, : len(places)], tracks.visible[:, : len(places)]
        height, width = video.shape[1:3]
        positions = points * (width, height)
        if self.layout == "csv" and self.half_pixel:
            positions = positions - 0.5
        rows, asked = self._queries(positions, visible)
        fields = {
            "tracks": asked.positions[:, frames],
            "visible": asked.visible[:, frames],
            "query_points": queries(asked, frames),
        }
        return (
            video,
            {"points": fields},
            {"file": self._places[sample_id].file, "rows": rows, "options": self._options()},
        )

    def _queries(self, positions: Array, visible: Array) -> tuple[list[int], Tracks]:
        """Return which tracks are asked for (a row for each time), and themselves."""
        if self.query_mode == "first":
            rows, times = np.flatnonzero(visible.any(1)), visible.argmax(1)[visible.any(1)]
        else:
            columns = np.arange(0, visible.shape[1], self.query_stride)
            times, rows = (part for part in np.nonzero(visible[:, columns].T))
            times = columns[times]
        at = positions[rows, times]
        points = np.stack([times, at[:, 1], at[:, 0]], axis=1).astype(np.float32)
        kept = positions[rows].astype(np.float32)
        return [int(row) for row in rows], Tracks(positions=kept, visible=visible[rows], query_points=points)
