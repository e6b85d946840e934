"""Perception Test: its annotations and its challenge's submissions, points and boxes.

`{video: [{"id": …, "frame_ids": [N], "points": [[y]*N, [x]*N]}]}`, or the annotation files with
the same lists under `point_tracking` and `object_tracking`. Points are **two rows, y first**, in
[0, 1], though the dataset's table says `[N, 2]`; boxes are `bounding_boxes` `(N, 4)` = x1, y1, x2,
y2 in [0, 1]. A frame that `frame_ids` does not list is one where the point is occluded or the box absent.

Source: Pătrăucean et al. (2023) and the official notebooks' `np.array(points).T`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays, Role
from probe4d.scoring.files import digest_file, read_text
from probe4d.scoring.source import Limits, Source, as_array, check_array_size, check_ids, fail
from probe4d.scoring.strict_json import parse_json

__all__ = ["PerceptionTest", "open_boxes", "open_points"]


def open_points(path: str, *, role: Role, limits: Limits, **_: Any) -> Source:
    """Return point tracks; targets start at the first frame in which a point is seen.

    Raises:
        DataError: it is no such JSON.
    """
    return PerceptionTest(path, _document(path, limits), role, limits, "point_tracking")


def open_boxes(path: str, *, role: Role, limits: Limits, **_: Any) -> Source:
    """Return box tracks.

    Raises:
        DataError: it is no such JSON.
    """
    return PerceptionTest(path, _document(path, limits), role, limits, "object_tracking")


def _document(path: str, limits: Limits) -> dict[str, Any]:
    document = parse_json(path, read_text(path, limits.text_bytes))
    if not isinstance(document, dict):
        fail(path, "an object {video: tracks}", type(document).__name__)
    return document


class PerceptionTest(Source):
    """One JSON document `{video: annotations}`; the official one with all points has 11 MB zipped."""

    def __init__(self, path: str, document: Mapping[str, Any], role: Role, limits: Limits, key: str) -> None:
        self.name = path
        self.ids = check_ids(path, document)
        self.meta = _meta(key, role)
        self._document = document
        self._role = role
        self._limits = limits
        self._key = key

    def load(self, sample_id: str) -> Arrays:
        """Return the tracks of one video over all of its frames."""
        where = f"{self.name}: sample {sample_id!r}"
        video = self._document[sample_id]
        tracks = video.get(self._key) if isinstance(video, dict) else video
        if not isinstance(tracks, list) or not all(isinstance(track, dict) for track in tracks):
            fail(where, f"a list of tracks (or an object with {self._key!r})", type(tracks).__name__)
        parsed = [self._track(f"{where}: track {i}", track) for i, track in enumerate(tracks)]
        stated = video.get("metadata", {}).get("num_frames") if isinstance(video, dict) else None
        count = self._count(where, stated, [frames for _, frames, _ in parsed])
        ids = np.array([track_id for track_id, _, _ in parsed], dtype=np.int64)
        if self._key == "object_tracking":
            return {**self._filled(where, parsed, count, 4, "boxes", "present"), "track_ids": ids}
        filled = self._filled(where, parsed, count, 2, "tracks", "visible")
        if self._role == "targets":
            filled["query_points"] = self._queries(where, filled)
        return {**filled, "track_ids": ids, "frame_ids": np.arange(count)}

    def _track(self, where: str, track: Mapping[str, Any]) -> tuple[int, Array, Array]:
        """Return a track's id, its frames `(N,)` and its coordinates `(N, 2)` = (y, x) or `(N, 4)`."""
        points = self._key == "point_tracking"
        name = "points" if points else "bounding_boxes"
        for key in ("id", "frame_ids", name):
            if key not in track:
                fail(where, f"the keys id, frame_ids and {name}", f"{sorted(track)[:8]}")
        if type(track["id"]) is not int or abs(track["id"]) > 1 << 53:
            fail(f"{where}: id", "an integer", f"{str(track['id'])[:40]!r}")
        frames = as_array(f"{where}: frame_ids", track["frame_ids"])
        values = as_array(f"{where}: {name}", track[name])
        if frames.ndim != 1 or (frames.size and frames.dtype.kind not in "iu") or len(np.unique(frames)) != frames.size:
            fail(f"{where}: frame_ids", "distinct integers (N,)", f"{frames.dtype} of shape {frames.shape}")
        if values.size and values.dtype.kind not in "fiu":
            fail(f"{where}: {name}", "numbers", f"{values.dtype}")
        wanted = (2, frames.size) if points else (frames.size, 4)
        if frames.size == 0:
            values = np.zeros(wanted)
        if values.shape != wanted:
            remedy = "Points are two rows: all y, then all x." if points else ""
            fail(f"{where}: {name}", f"shape {wanted}", f"shape {values.shape}", remedy)
        coordinates = values.T if points else values
        return track["id"], frames.astype(np.int64), coordinates.astype(np.float64)

    def _count(self, where: str, stated: Any, frames: list[Array]) -> int:
        highest = max((int(ids.max()) + 1 for ids in frames if ids.size), default=0)
        lowest = min((int(ids.min()) for ids in frames if ids.size), default=0)
        if stated is not None and (type(stated) is not int or stated < highest):
            fail(f"{where}: metadata.num_frames", f"an integer of at least {highest}", f"{str(stated)[:40]!r}")
        if lowest < 0:
            fail(f"{where}: frame_ids", "frames from 0", f"{lowest}")
        return highest if stated is None else int(stated)

    def _filled(
        self, where: str, parsed: list[tuple[int, Array, Array]], count: int, size: int, name: str, flag: str
    ) -> dict[str, Array]:
        check_array_size(where, (len(parsed), count, size), 8, self._limits)
        # A point that the annotation does not list has no coordinates; a box neither.
        values = np.full((len(parsed), count, size), np.nan if size == 2 else 0.0)
        seen = np.zeros((len(parsed), count), dtype=bool)
        for row, (_, frames, coordinates) in enumerate(parsed):
            values[row, frames], seen[row, frames] = coordinates, True
        return {name: values, flag: seen}

    def digest(self) -> str:
        """Return the sha256 of the file."""
        return digest_file(self.name)

    @staticmethod
    def _queries(where: str, filled: Mapping[str, Array]) -> Array:
        tracks, visible = filled["tracks"], filled["visible"]
        if not visible.any(axis=1).all():
            fail(
                where, "each target seen in at least one frame", f"none of track {int(np.argmin(visible.any(axis=1)))}"
            )
        first = np.argmax(visible, axis=1)
        return np.concatenate([first[:, None].astype(float), tracks[np.arange(len(tracks)), first]], axis=1)


def _meta(key: str, role: Role) -> dict[str, Any]:
    if key == "object_tracking":
        return {"order": "xyxy", "coords": "normalized"}
    own = {"query_mode": "first"} if role == "targets" else {"unlisted_frames": "occluded"}
    return {"order": "yx", "coords": "normalized", **own}
