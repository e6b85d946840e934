"""`tapvid_davis`, `tapvid_rgb_stacking`, `tapvid_kinetics`: point tracks for evaluation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar, NamedTuple

import numpy as np

from probe4d.contracts import Array, MissingPart, Sample
from probe4d.errors import DataError, UsageError
from probe4d_datasets.formats.items import ItemDataset
from probe4d_datasets.formats.listing import list_folder
from probe4d_datasets.own.options import one_of
from probe4d_datasets.own.tracks import Tracks, queries
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


class TapVid(ItemDataset):
    """Videos and tracks of `<root>[/tapvid_<subset>]/*.pkl`; for Kinetics also the csv over videos.

    Ids are the names of the videos, or `<file>/<place>` where they have none.

    Args:
        subset: `davis`, `rgb_stacking` or `kinetics`.
        query_mode: `first`: where each point is first seen; `strided`: on every `query_stride`-th frame
            on which it is seen, a row for each.
        half_pixel: whether positions of the csv are moved by half a pixel towards the origin, as the
            script that makes the pickles of it does.
    """

    name: ClassVar[str] = "tapvid"

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        split: str = "test",
        *,
        subset: str = "davis",
        query_mode: str = "first",
        query_stride: int = 5,
        half_pixel: bool = True,
    ) -> None:
        super().__init__(root, split)
        self.subset = one_of("tapvid subset", subset, SUBSETS)
        self.query_mode = one_of("tapvid query_mode", query_mode, ("first", "strided"))
        one_of("tapvid split", split, ("test",))
        if isinstance(query_stride, bool) or not isinstance(query_stride, int) or query_stride < 1:
            raise UsageError(f"tapvid query_stride: expected an integer of at least 1, got {query_stride!r}.")
        self.query_stride = query_stride
        self.half_pixel = bool(half_pixel)
        folder, names = self._folder()
        self._csv: Mapping[str, CsvTracks | str] = {}
        pickles = sorted(name for name in names if name.endswith(".pkl"))
        self.layout = "pickle" if pickles else "csv"
        self._states = dict(names)
        if pickles:
            self._find_pickles(folder, pickles)
        else:
            self._find_csv(folder, names)
        if not self._items:
            raise DataError(f"{self.root.url}: expected videos of tapvid_{subset}, got none. Check the root.")

    def _folder(self) -> tuple[str, dict[str, str]]:
        """Return the folder of the subset, and the files in it."""
        wanted = f"tapvid_{self.subset}"
        here = list_folder(self.root, "") or {}
        folder = wanted if here.get(wanted) == "/" else ""
        names = (list_folder(self.root, folder) or {}) if folder else here
        kept = {n: s for n, s in names.items() if n.endswith((".pkl", ".csv")) or s == "/"}
        return folder, {name: state for name, state in kept.items() if not name.endswith(".pkl") or self._is_mine(name)}

    def _is_mine(self, name: str) -> bool:
        return bool(PART.fullmatch(name)) if self.subset == "kinetics" else name == f"tapvid_{self.subset}.pkl"

    def _find_pickles(self, folder: str, names: Sequence[str]) -> None:
        self._parts = {int(m["number"]): int(m["count"]) for name in names if (m := PART.fullmatch(name))}
        for name in names:
            path = f"{folder}/{name}".strip("/")
            try:
                videos = list(pickled_videos(self.root.location(path)))
            except DataError:
                # The file is one sample, which `load` refuses with the reason.
                self._items[path] = Place(path, "")
                continue
            stem = name.removesuffix(".pkl")
            for video in videos:
                unnamed = video.isdecimal() and len(video) == 4
                self._items[f"{stem}/{video}" if unnamed else video] = Place(path, video)

    def _find_csv(self, folder: str, names: Mapping[str, str]) -> None:
        self._parts = {}
        tables = sorted(name for name in names if name.endswith(".csv"))
        if len(tables) != 1 or self.subset != "kinetics":
            raise DataError(
                f"{self.root.url}: expected tapvid_{self.subset}/*.pkl"
                f"{' or one csv' if self.subset == 'kinetics' else ''}, got {', '.join(names) or 'nothing'}. "
                "Check the root."
            )
        path = f"{folder}/{tables[0]}".strip("/")
        self._csv = read_csv_tracks(self.root.read_text(path), self.root.location(path))
        videos = {file: state for file, state in self.root.states().items() if file.endswith(".mp4")}
        self._states |= videos
        there = {file.rpartition("/")[2].removesuffix(".mp4"): file for file in videos}
        self._items = {name: Place(there.get(name, ""), name) for name in self._csv}

    def missing(self) -> Sequence[MissingPart]:
        """Return the parts of Kinetics, or the videos of the csv, that are not there."""
        if self.layout == "csv":
            lost = [name for name, place in self._items.items() if not place.file]
            return [MissingPart(name, f"{name}.mp4", "the video of these tracks") for name in lost]
        count = max(self._parts.values(), default=0)
        lost_parts = [number for number in range(min(count, 100_000)) if number not in self._parts]
        return [MissingPart("", f"{n:04d}_of_{count:04d}.pkl", "a part of the set") for n in lost_parts]

    def _unavailable(self) -> Mapping[str, str]:
        if self.layout == "pickle":
            return {}
        return {name: "no video" for name, place in self._items.items() if not place.file}

    @property
    def facts(self) -> Mapping[str, Any]:
        """Every choice that the targets depend on."""
        stride = self.query_stride if self.query_mode == "strided" else None
        half = self.half_pixel if self.layout == "csv" else None
        return {
            "subset": self.subset,
            "layout": self.layout,
            "query_mode": self.query_mode,
            "query_stride": stride,
            "half_pixel": half,
        }

    def _pickled(self, sample_id: str) -> PickledVideo:
        place = self._items[sample_id]
        videos = pickled_videos(self.root.location(place.file))
        if place.name not in videos:
            raise DataError(f"{self.root.location(place.file)}: expected {place.name!r}, got another file by now.")
        found = videos[place.name]
        if isinstance(found, str):
            raise DataError(found)
        return found

    def _tracked(self, sample_id: str) -> tuple[str, CsvTracks, Sequence[int]]:
        """Return the video file of a csv clip, its tracks, and the frames that they are on."""
        place, found = self._items[sample_id], self._csv[sample_id]
        if isinstance(found, str):
            raise DataError(found)
        if not place.file:
            raise DataError(f"{self.root.url}: expected the video {sample_id}.mp4, which is not there. Fetch it.")
        location = self.root.location(place.file)
        return location, found, nearest_frames(video_index(location), found.points.shape[1], location)

    def _length(self, sample_id: str) -> int:
        return self._pickled(sample_id).length if self.layout == "pickle" else len(self._tracked(sample_id)[2])

    def _load(self, sample_id: str, frames: list[int]) -> Sample:
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
        rows, asked = self._queries(np.nan_to_num(positions, posinf=0.0, neginf=0.0), visible)
        fields = {
            "tracks": asked.positions[:, frames],
            "visible": asked.visible[:, frames],
            "query_points": queries(asked, frames),
        }
        provenance = {"root": self.root.url, "file": self._items[sample_id].file, "frames": frames, "rows": rows}
        return Sample(id=sample_id, video=video, targets={"points": fields}, provenance={**provenance, **self.facts})

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
