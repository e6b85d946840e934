"""`movi_e`, `panning_movi_e` and the other MOVi builders: TFRecord shards of TFDS, read without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple

import attrs

from probe4d.contracts import Arrays
from probe4d.errors import DataError, UsageError
from probe4d_datasets.formats.record_index import record_index, record_of
from probe4d_datasets.movi.queries import QueryDraw
from probe4d_datasets.movi.record import OF_TARGET, Record, open_record
from probe4d_datasets.movi.shards import Shard, find_build
from probe4d_datasets.movi.targets import boxes_of, depth_of, points_of, pose_of
from probe4d_datasets.own.options import one_of, settings
from probe4d_datasets.published import Policy, Published

__all__ = ["Movi"]


class Place(NamedTuple):
    """A record: its shard, and its number in it."""

    shard: int
    number: int


class Movi(Published):
    """Videos of `<root>/<builder>/<config>/<version>/*.tfrecord-*`, or of a root that is that folder.

    Ids are those of TFDS: `movi_e-train.tfrecord-00053-of-01024__7`.

    Args:
        config, version: of the builder; `256x256` and the only version where they are not stated.
        targets: which of points, boxes, depth and pose; features that none of them needs are skipped.
        queries: how points are drawn, see `QueryDraw`; by default 64 on the first of the frames loaded.
        depth: `z` along the optical axis, or `distance` to the camera's centre, as it is stored.
        camera_model: `tapvid` (as its tracks are made) or `square-pixels`; the same for square frames.
        missing, max_missing: see `probe4d_datasets.published.Policy`.
    """

    name = "movi"
    splits = ("train", "validation", "test")
    unit = "videos"

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        split: str = "train",
        *,
        builder: str = "movi_e",
        config: str | None = None,
        version: str | None = None,
        targets: Sequence[str] = tuple(OF_TARGET),
        queries: Mapping[str, Any] | None = None,
        depth: str = "z",
        camera_model: str = "tapvid",
        missing: str = "keep",
        max_missing: float = 0.1,
    ) -> None:
        super().__init__(root, split, Policy(missing=missing, max_missing=max_missing))
        if isinstance(targets, str) or not targets:
            raise UsageError(f"{builder} targets: expected a list of {', '.join(OF_TARGET)}, got {targets!r}.")
        self.targets = tuple(one_of(f"{builder} targets", target, tuple(OF_TARGET)) for target in targets)
        self.queries = settings(QueryDraw, queries or {}, f"{builder} queries")
        self.depth = one_of(f"{builder} depth", depth, ("z", "distance"))
        self.camera_model = one_of(f"{builder} camera_model", camera_model, ("tapvid", "square-pixels"))
        self.build = find_build(self.root, builder, config, version, split)
        self._places: dict[str, Place] = {}
        absent: dict[str, str] = {}
        for number, shard in enumerate(self.build.shards):
            name = shard.path.rpartition("/")[2]
            mine = {f"{name}__{i}": Place(number, i) for i in range(self._records(shard))}
            self._places |= mine
            absent |= {} if shard.there else dict.fromkeys(mine, f"no shard: {shard.path}")
        self._plan(tuple(self._places), absent)

    def _records(self, shard: Shard) -> int:
        """Return the number of records: the stated one, else the counted one, a broken end among them."""
        if shard.records is not None:
            return shard.records
        if not shard.there:
            return 1  # nobody knows how many; it is one sample, which `load` refuses with the reason
        index = record_index(self.root, shard.path)
        return len(index.records) + (index.broken is not None)

    @property
    def first_frame_decides(self) -> Sequence[str]:
        """Points, where they are drawn on the first of the frames."""
        return ("points",) if "points" in self.targets and self.queries.on == "first" else ()

    def _options(self) -> Mapping[str, Any]:
        return {
            "builder": self.build.builder,
            "config": self.build.config,
            "version": self.build.version,
            "targets": list(self.targets),
            "queries": attrs.asdict(self.queries),
            "depth": self.depth,
            "camera_model": self.camera_model,
        }

    def _states(self) -> Sequence[str]:
        there = [shard for shard in self.build.shards if shard.there]
        return [f"{shard.path} {shard.records} {self.root.state(shard.path)}" for shard in there]

    def _open(self, sample_id: str, targets: Sequence[str]) -> Record:
        place = self._places[sample_id]
        shard = self.build.shards[place.shard]
        where = f"{self.root.location(shard.path)}, record {place.number}"
        index = record_index(self.root, shard.path)
        if shard.records is not None and len(index.records) > shard.records:
            raise DataError(
                f"{where}: expected {shard.records} records by dataset_info.json, got {len(index.records)}. "
                "Are the shards of another version?"
            )
        return open_record(record_of(self.root, shard.path, place.number, where), targets, where)

    def _length(self, sample_id: str) -> int:
        return self._open(sample_id, ()).length

    def _load(self, sample_id: str, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        record = self._open(sample_id, self.targets)
        video = record.images("video", frames)
        size = (video.shape[1], video.shape[2])
        made: dict[str, Arrays] = {}
        if "points" in self.targets:
            made["points"] = points_of(record, frames, self.queries, self.camera_model, sample_id)
        if "boxes" in self.targets:
            made["boxes"] = boxes_of(record, frames)
        if "depth" in self.targets:
            made["depth"] = depth_of(record, frames, self.depth, self.camera_model)
        if "pose" in self.targets:
            made["pose"] = pose_of(record, frames, size, self.camera_model)
        return video, made, {"record": record.where, "video_name": record.video_name, "options": self._options()}
