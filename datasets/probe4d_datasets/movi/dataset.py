"""`movi_e`, `panning_movi_e` and the other MOVi builders: TFRecord shards of TFDS, read without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar, NamedTuple

import attrs

from probe4d.contracts import Arrays, MissingPart, Sample
from probe4d.errors import DataError, UsageError
from probe4d_datasets.formats.items import ItemDataset
from probe4d_datasets.formats.record_index import record_index, record_of
from probe4d_datasets.movi.queries import QueryDraw
from probe4d_datasets.movi.record import OF_TARGET, Record, open_record
from probe4d_datasets.movi.shards import Shard, find_build
from probe4d_datasets.movi.targets import boxes_of, depth_of, points_of, pose_of
from probe4d_datasets.own.options import one_of, settings

__all__ = ["Movi"]


class Place(NamedTuple):
    """A record: its shard, and its number in it."""

    shard: int
    number: int


class Movi(ItemDataset):
    """Videos of `<root>/<builder>/<config>/<version>/*.tfrecord-*`, or of a root that is that folder.

    Ids are those of TFDS: `movi_e-train.tfrecord-00053-of-01024__7`.

    Args:
        config, version: of the builder; `256x256` and the only version where they are not stated.
        targets: which of points, boxes, depth and pose; features that none of them needs are skipped.
        queries: how points are drawn, see `QueryDraw`; by default 64 on the first of the frames loaded.
        depth: `z` along the optical axis, or `distance` to the camera's centre, as it is stored.
        camera_model: `tapvid` (as its tracks are made) or `square-pixels`; the same for square frames.
    """

    name: ClassVar[str] = "movi"

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
    ) -> None:
        super().__init__(root, split)
        if isinstance(targets, str) or not targets:
            raise UsageError(f"{builder} targets: expected a list of {', '.join(OF_TARGET)}, got {targets!r}.")
        self.targets = tuple(one_of(f"{builder} targets", target, tuple(OF_TARGET)) for target in targets)
        self.queries = settings(QueryDraw, queries or {}, f"{builder} queries")
        self.depth = one_of(f"{builder} depth", depth, ("z", "distance"))
        self.camera_model = one_of(f"{builder} camera_model", camera_model, ("tapvid", "square-pixels"))
        self.build = find_build(self.root, builder, config, version, split)
        for number, shard in enumerate(self.build.shards):
            name = shard.path.rpartition("/")[2]
            self._items |= {f"{name}__{i}": Place(number, i) for i in range(self._records(shard))}
            self._states[name] = f"{shard.state} {shard.records}"
        if not self._items:
            raise DataError(f"{self.root.url}: expected records in the split {split!r}, got none. Check the shards.")

    def _records(self, shard: Shard) -> int:
        """Return the number of records: the stated one, else the counted one, a broken end among them."""
        if shard.records is not None:
            return shard.records
        if shard.state is None:
            return 1  # nobody knows how many; it is one sample, which `load` refuses with the reason
        index = record_index(self.root.location(shard.path))
        return len(index.records) + (index.broken is not None)

    def missing(self) -> Sequence[MissingPart]:
        """Return the shards that are not there, with their first sample."""
        lost = {number: shard for number, shard in enumerate(self.build.shards) if shard.state is None}
        first = {place.shard: name for name, place in reversed(self._items.items())}
        return [
            MissingPart(first.get(number, ""), shard.path, f"a shard of {shard.records or 'unknown many'} records")
            for number, shard in lost.items()
        ]

    def _unavailable(self) -> Mapping[str, str]:
        shards = self.build.shards
        return {name: "no shard" for name, place in self._items.items() if shards[place.shard].state is None}

    @property
    def facts(self) -> Mapping[str, Any]:
        """Builder, version, and every choice that the targets depend on."""
        return {
            "builder": self.build.builder,
            "config": self.build.config,
            "version": self.build.version,
            "targets": list(self.targets),
            "queries": attrs.asdict(self.queries),
            "depth": self.depth,
            "camera_model": self.camera_model,
            "metric": True,
        }

    def _open(self, sample_id: str, targets: Sequence[str]) -> Record:
        place = self._items[sample_id]
        shard = self.build.shards[place.shard]
        where = f"{self.root.location(shard.path)}, record {place.number}"
        if shard.state is None:
            raise DataError(f"{where}: expected the shard {shard.path}, which is not there. Fetch it.")
        index = record_index(self.root.location(shard.path))
        if shard.records is not None and len(index.records) > shard.records:
            raise DataError(
                f"{where}: expected {shard.records} records by dataset_info.json, got {len(index.records)}. "
                "Are the shards of another version?"
            )
        return open_record(record_of(self.root.location(shard.path), place.number, where), targets, where)

    def _length(self, sample_id: str) -> int:
        return self._open(sample_id, ()).length

    def _load(self, sample_id: str, frames: list[int]) -> Sample:
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
        provenance = {"root": self.root.url, "record": record.where, "video_name": record.video_name, "frames": frames}
        return Sample(id=sample_id, video=video, targets=made, provenance={**provenance, **self.facts})
