"""Frames and cameras of RealEstate10K in `.torch` chunks: `<split>/index.json` and `<split>/000000.torch` …"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d.scoring.strict_json import parse_json
from probe4d_datasets.own.images import read_colour, stack
from probe4d_datasets.own.root import Root
from probe4d_datasets.re10k.cameras import Cameras, cameras_of, video_id_of
from probe4d_datasets.re10k.frames import Match
from probe4d_datasets.re10k.torch_chunks import Chunk, open_chunk, read_tensors

__all__ = ["Chunks", "open_chunks"]

MAX_INDEX = 64 << 20


@frozen(kw_only=True)
class Chunks:
    """The chunks of one split.

    Attributes:
        folder: of the split, with `index.json`.
        files: of each key, as the index says.
        there: names of the chunks that the folder has.
    """

    root: Root
    folder: str
    files: Mapping[str, str]
    there: frozenset[str]

    def absent(self, key: str, video_id: str) -> str | None:
        """Return whether the clip's chunk was not there."""
        if key not in self.files:
            return "not in the chunks: index.json"
        return None if self.files[key] in self.there else f"no chunk: {self.files[key]}"

    def _clip(self, key: str) -> tuple[Chunk, Mapping[str, Any]]:
        path = f"{self.folder}/{self.files[key]}"
        chunk = open_chunk(self.root.location(path), self.root.state(path))
        if key not in chunk.clips:
            raise DataError(
                f"{chunk.location}: expected the clip {key}, as the index says, got {len(chunk.clips)} others."
            )
        return chunk, chunk.clips[key]

    def cameras(self, key: str) -> Cameras:
        """Return the cameras that the chunk holds, which are float32.

        Raises:
            DataError: the chunk or the clip in it is broken.
        """
        chunk, clip = self._clip(key)
        where = f"{chunk.location}, clip {key}"
        stamps, values = read_tensors(chunk, [clip["timestamps"], clip["cameras"]])
        if stamps.dtype.kind not in "iu" or values.dtype.kind != "f":
            raise DataError(
                f"{where}: expected integer timestamps and float cameras, got {stamps.dtype}, {values.dtype}."
            )
        if len(clip["images"]) != len(stamps):
            raise DataError(f"{where}: expected {len(stamps)} images, got {len(clip['images'])}.")
        return cameras_of(video_id_of(clip["url"], where), stamps.astype(np.int64), values, where)

    def match(self, key: str, cameras: Cameras) -> Match:
        """Return every frame: a chunk has an image for each timestamp."""
        return Match(places=np.arange(len(cameras)), ok=np.ones(len(cameras), np.bool_))

    def read(self, key: str, cameras: Cameras, places: Sequence[int]) -> tuple[Array, Mapping[str, Any]]:
        """Return images; only their bytes are read."""
        chunk, clip = self._clip(key)
        unique = sorted(set(places))
        contents = read_tensors(chunk, [clip["images"][place] for place in unique])
        where = [f"{chunk.location}, clip {key}, image {place}" for place in unique]
        if odd := [name for name, content in zip(where, contents, strict=True) if content.dtype != np.uint8]:
            raise DataError(f"{odd[0]}: expected bytes of a JPEG, got another type.")
        images = [read_colour(content.tobytes(), name) for content, name in zip(contents, where, strict=True)]
        return stack(images, where)[np.searchsorted(unique, places)], {"chunk": chunk.location}

    def states(self, key: str, video_id: str) -> Sequence[str]:
        """Return the state of the clip's chunk."""
        path = f"{self.folder}/{self.files[key]}"
        return (f"{key} {path} {self.root.state(path)}",)


def open_chunks(root: Root, folder: str) -> Chunks:
    """Return the chunks of a folder.

    Raises:
        DataError: its index is not `{key: file}` of files in the folder.
    """
    path = f"{folder}/index.json"
    where = root.location(path)
    files = parse_json(where, root.read_up_to(path, MAX_INDEX))
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise DataError(f"{where}: expected an object {{key: file}}, got {type(files).__name__}.")
    if odd := [name for name in files.values() if "/" in name or not name.endswith(".torch") or name.startswith(".")]:
        raise DataError(f"{where}: expected names of .torch files beside it, got {odd[0][:60]!r}.")
    return Chunks(root=root, folder=folder, files=files, there=frozenset(root.names(folder)))
