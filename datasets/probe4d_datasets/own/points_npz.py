"""`points-npz`: point tracks in npz files over video files; what the numbers mean stands in `meta`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.options import settings
from probe4d_datasets.own.parts import VIDEO_SUFFIXES, OwnDataset
from probe4d_datasets.own.root import under
from probe4d_datasets.own.tracks import TrackMeta, Tracks, canonical, queries, usable_rows
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import video_index

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PointsNpz"]

SCHEMA = "probe4d/points/1"
FIELDS = ("tracks", "visible", "occluded", "query_points")


class PointsNpz(OwnDataset):
    """Points of `<name>.npz` over the video `<name>.mp4` (or another container) beside it.

    The file has `tracks (n, t, 2)`, `visible` or `occluded (n, t)`, and where they are known
    `query_points (n, 3)` = (t, y, x); and `meta`, a JSON object, as in prediction files: `order` and
    `coords` must be stated, there or by the option `meta`.

    A sample has the points that are visible, or asked for, in one of its frames; `provenance["rows"]`
    tells which rows of the file these are. A query is the file's own where its frame is among those
    loaded, else the first loaded frame in which the point is visible.

    Args:
        meta: what the files do not state; where a file states it too, both must agree.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        split: str = "train",
        *,
        rule: Any = None,
        windows: Any = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(root, split, rule, windows)
        self.meta = dict(meta or {})
        if unknown := set(self.meta) - {"order", "coords", "pixel_origin", "frame_size"}:
            settings(TrackMeta, {next(iter(unknown)): None}, "points-npz meta")
        self._files = self.root.files()
        self._plan([path.removesuffix(".npz") for path in self._files if path.endswith(".npz")])

    def _length(self, item: str) -> int:
        return len(video_index(self._video(item)))

    def _load(self, item: str, span: range, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        location = self._video(item)
        index = video_index(location)
        tracks = self._tracks(item, len(index), (index.height, index.width))
        rows = usable_rows(tracks, span)
        video = read_frames(location, frames, index=index)
        targets = {
            "tracks": tracks.positions[rows][:, frames],
            "visible": tracks.visible[rows][:, frames],
            "query_points": queries(tracks, frames)[rows],
        }
        provenance = {"rows": rows.tolist(), "sha256": index.digest, "decoder": index.decoder}
        return video, {"points": targets}, provenance

    def _tracks(self, item: str, length: int, size: tuple[int, int]) -> Tracks:
        """Return the tracks in pixels of the video, corner origin."""
        path = f"{item}.npz"
        where = self.root.location(path)
        (content,) = self.root.read([path])
        arrays, stated = _read_npz(content, where)
        for key in self.meta.keys() & stated.keys():
            if self.meta[key] != stated[key]:
                raise DataError(f"{where}, meta.{key}: expected {self.meta[key]!r} by the option, got {stated[key]!r}.")
        known = {k: v for k, v in {**stated, **self.meta}.items() if k not in ("schema", "query_mode", "video")}
        for key in ("order", "coords"):
            if key not in known:
                raise DataError(f"{where}: expected meta.{key} to be stated, got {sorted(known)}. State it in `meta`.")
        try:
            meta = settings(TrackMeta, known, "meta")
        except UsageError as error:
            raise DataError(f"{where}, {error}") from error
        return canonical(arrays, meta, length, size, where)

    def _video(self, item: str) -> str:
        here = [p for p in under(self._files, f"{item}.") if p.removeprefix(item).lower() in VIDEO_SUFFIXES]
        if len(here) != 1:
            raise DataError(f"{item}.npz: expected one video {item}.mp4 (or another container), got {here or 'none'}.")
        return self.root.location(here[0])


def _read_npz(content: bytes, where: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the arrays that are known, and `meta`. Nothing pickled is read."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in FIELDS if name in file.files}
            text = file["meta"].reshape(-1) if "meta" in file.files else np.asarray(["{}"])
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{where}: expected an npz file of plain arrays, got {error}.") from error
    try:
        meta = json.loads(str(text[0])) if text.size == 1 else None
    except ValueError as error:
        raise DataError(f"{where}, meta: expected a JSON object, got {error}.") from error
    if not isinstance(meta, dict):
        raise DataError(f"{where}, meta: expected one JSON object, got {text.size} strings or another value.")
    if meta.get("schema", SCHEMA) != SCHEMA:
        raise DataError(f"{where}, meta.schema: expected {SCHEMA}, got {meta['schema']!r}. Convert the file.")
    return arrays, meta
