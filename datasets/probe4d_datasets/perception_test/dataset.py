"""`perception_test`: the point tracking task of the Perception Test as a dataset."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d.scoring.foreign.perception_test import PerceptionTest as Annotations
from probe4d.scoring.source import Limits
from probe4d.scoring.strict_json import parse_json
from probe4d_datasets.own.root import Root
from probe4d_datasets.places import Folder, archive, folders_with, locate, loose, names_in
from probe4d_datasets.published import Policy, Published
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import VideoIndex, video_index

__all__ = ["PerceptionTest"]

MAX_BYTES = 2 << 30  # of the annotations; the largest real file has 11 MB zipped
VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


class PerceptionTest(Published):
    """Tracks of `point_tracking_<split>.json` over `videos/<id>.mp4`, either of them loose or zipped.

    A point is visible in the frames that its `frame_ids` list, hidden in all others; where it is
    hidden its position is 0. A query is the point's place in the first loaded frame, where it is
    visible there, else where it is visible first. The evaluation of the paper, 16 frames 4 apart
    from frame 0 with queries on frame 0, is `load(id, range(0, 61, 4))` and the rows that are visible
    in the first frame; without `frames` it is the full-length one.

    Args:
        split: `train`, `valid` or `test`.
        missing, max_missing: see `probe4d_datasets.published.Policy`.
    """

    name = "perception_test"
    splits = ("train", "valid", "test")
    unit = "videos"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        split: str = "valid",
        *,
        missing: str = "keep",
        max_missing: float = 0.1,
    ) -> None:
        super().__init__(root, split, Policy(missing=missing, max_missing=max_missing))
        self._annotations = _find_annotations(self.root, split)
        self._videos = _read_annotations(*self._annotations)
        self._folders = _folders(self.root, split)
        here = names_in(self._folders)
        absent = {one: f"no video: videos/{one}.mp4" for one in self._videos if f"{one}.mp4" not in here}
        self._plan(tuple(self._videos), absent)

    def _options(self) -> Mapping[str, Any]:
        return {"annotations": self._annotations[1], "queries": "first loaded frame where visible", "hidden": 0}

    def _states(self) -> Sequence[str]:
        root, path = self._annotations
        videos = [(folder, f"{one}.mp4") for one in self._ids for folder in self._folders]
        found = [f"{name} {folder.root.state(folder.file(name))}" for folder, name in videos if name in folder.names]
        return [f"{path} {root.state(path)}", *found]

    def _index(self, sample_id: str) -> tuple[str, VideoIndex]:
        location = locate(self._folders, f"{sample_id}.mp4")
        if location is None:
            raise DataError(f"{sample_id}: expected videos/{sample_id}.mp4, got none.")
        index, stated = video_index(location), self._metadata(sample_id).get("num_frames")
        if stated is not None and stated != len(index):
            raise DataError(
                f"{location}: expected {stated} frames, as the annotations say, got {len(index)}. Fetch it again."
            )
        return location, index

    def _metadata(self, sample_id: str) -> Mapping[str, Any]:
        metadata = self._videos[sample_id].get("metadata", {})
        if not isinstance(metadata, dict):
            raise DataError(f"{sample_id}: expected metadata to be an object, got {type(metadata).__name__}.")
        return metadata

    def _length(self, sample_id: str) -> int:
        return len(self._index(sample_id)[1])

    def _load(self, sample_id: str, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        location, index = self._index(sample_id)
        tracks, visible = self._tracks(sample_id, index)
        tracks, visible = tracks[:, frames], visible[:, frames]
        first = visible.argmax(axis=1)  # 0 where it is nowhere visible: nobody can ask for it
        at = tracks[np.arange(len(tracks)), first]
        queries = np.stack([first, at[:, 1], at[:, 0]], axis=1)
        targets = {"tracks": tracks, "visible": visible, "query_points": queries}
        metadata = self._metadata(sample_id)
        provenance = {
            "video": location,
            "frame_rate": metadata.get("frame_rate"),
            "is_camera_moving": metadata.get("is_camera_moving"),
            "sha256": index.digest,
            "decoder": index.decoder,
        }
        return read_frames(location, frames, index=index), {"points": targets}, provenance

    def _tracks(self, sample_id: str, index: VideoIndex) -> tuple[Array, Array]:
        """Return tracks `(n, t, 2)` = (x, y) in pixels and visible `(n, t)` of the whole video."""
        root, path = self._annotations
        where = root.location(path)
        if "point_tracking" not in self._videos[sample_id]:
            raise DataError(f"{where}: sample {sample_id!r}: expected a list point_tracking, got none.")
        video = {**self._videos[sample_id], "metadata": {"num_frames": len(index)}}
        found = Annotations(where, {sample_id: video}, "predictions", Limits(), "point_tracking").load(sample_id)
        if (ids := found["track_ids"].tolist()) != list(range(len(ids))):
            raise DataError(f"{where}: sample {sample_id!r}: expected the ids 0, 1, …, as in the list, got {ids[:8]}.")
        visible = np.asarray(found["visible"], np.bool_)
        # On disk the rows are y, x in [0, 1] of the upright frame.
        tracks = np.asarray(found["tracks"], np.float64)[..., ::-1] * (index.width, index.height)
        if not np.isfinite(tracks[visible]).all():
            raise DataError(f"{where}: sample {sample_id!r}: expected finite points, got NaN or infinity.")
        return np.where(visible[..., None], tracks, 0.0), visible


def _find_annotations(root: Root, split: str) -> tuple[Root, str]:
    """Return the root and the path of the annotations: loose, else of a zip in the root."""
    name = f"point_tracking_{split}.json"
    if name in root.names():
        return root, name
    for zipped in (f"point_tracking_{split}_annotations.zip", "zip_data/" + f"point_tracking_{split}_annotations.zip"):
        folder, _, file = zipped.rpartition("/")
        if file in root.names(folder):
            inside = archive(root, zipped)
            for path in inside.files():
                if path.rpartition("/")[2] == name:
                    return inside, path
    raise DataError(
        f"{root.url}: expected {name}, or point_tracking_{split}_annotations.zip with it, got "
        f"{', '.join(root.names()[:8]) or 'nothing'}. Put it there."
    )


def _read_annotations(root: Root, path: str) -> dict[str, Any]:
    """Return what the file says of each video that has a list of points."""
    where = root.location(path)
    document = parse_json(where, root.read_up_to(path, MAX_BYTES))
    if not isinstance(document, dict):
        raise DataError(f"{where}: expected an object {{video: annotations}}, got {type(document).__name__}.")
    for name, video in document.items():
        if not VIDEO_ID.fullmatch(name) or not isinstance(video, dict):
            raise DataError(f"{where}: expected an object per video id, got {name[:60]!r}: {type(video).__name__}.")
    # The other tasks' annotations are many times larger, and would travel to every worker.
    return {
        name: {k: video[k] for k in ("metadata", "point_tracking") if k in video} for name, video in document.items()
    }


def _folders(root: Root, split: str) -> list[Folder]:
    """Return where videos lie, loose ones first."""
    found = [folder for path in ("videos", "") if (folder := loose(root, path)) is not None]
    found = [folder for folder in found if any(name.endswith(".mp4") for name in folder.names)]
    for parent in ("", "zip_data/"):
        for name in root.names(parent.rstrip("/")):
            if name == f"point_tracking_{split}_videos.zip":
                found += folders_with(archive(root, parent + name), (".mp4",))
    if not found:
        raise DataError(f"{root.url}: expected videos/<id>.mp4, or point_tracking_{split}_videos.zip, got neither.")
    return found
