"""`converted`: a copy that `probe4d data convert` wrote, read by byte ranges from any fsspec URL."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from probe4d.contracts import Array, Sample
from probe4d.errors import DataError, MissingExtraError, UsageError
from probe4d.store.files import Files, open_files
from probe4d_datasets.converted.convert import begun_key, manifest_key
from probe4d_datasets.converted.layout import SCHEMA, Stored, read_rows, stored_of
from probe4d_datasets.own.tracks import Tracks, queries

__all__ = ["Converted", "copy_at"]


def copy_at(name: str, split: str, options: Mapping[str, Any]) -> Converted | None:
    """Return the copy of a dataset that lies at its root, None where there is none.

    Raises:
        DataError: there is a copy of another dataset, or one that is not finished.
        UsageError: it was made with other options.
    """
    root = os.fspath(options["root"])
    try:
        files = open_files(root)
        if files.size(manifest_key(split)) is None and files.size(begun_key(split)) is None:
            return None
    except (OSError, ValueError, KeyError, MissingExtraError):
        return None  # what is wrong with the root the dataset's own loader says
    found = Converted(root, split)
    made = found.manifest
    if made["dataset"] != name:
        raise DataError(f"{root}: expected {name}, got a copy of {made['dataset']}. Check the root.")
    stated = json.loads(json.dumps({key: value for key, value in options.items() if key != "root"}, default=list))
    for key, value in stated.items():
        if key in made["options"] and made["options"][key] != value:
            raise UsageError(
                f"{root}: expected a copy with {key} = {value!r}, got one that was made with {made['options'][key]!r}. "
                "Leave the option out, or convert again."
            )
    return found


class Converted:
    """One split of a copy; a `probe4d.contracts.Dataset` with its extras.

    Args:
        root: folder or URL that was converted to.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None, split: str = "train") -> None:
        if root is None:
            raise UsageError("converted: expected a root, got none. State the folder or URL that was converted to.")
        self.root, self.split = os.fspath(root), split
        content = _read(self._files(), manifest_key(split), "copy")
        self.manifest = _manifest(content, f"{self.root}/{manifest_key(split)}")
        self._revision = hashlib.sha256(content).hexdigest()[:16]
        self._shards = {one: shard for shard in self.manifest["shards"] for one in shard["ids"]}

    def _files(self) -> Files:
        return _opened(self.root)

    def sample_ids(self) -> Sequence[str]:
        """Return the ids of the original, in its order; what could not be copied is among them."""
        return tuple(self._shards)

    def num_frames(self, sample_id: str) -> int:
        """Return the length of a sample's video.

        Raises:
            DataError: there is no such sample, or it could not be copied.
        """
        return self._entry(sample_id).frames

    def load(self, sample_id: str, frames: Sequence[int] | None = None) -> Sample:
        """Return the sample, or only the frames named, which are all that is read of its video.

        Raises:
            DataError: it is not there, is damaged, or has no such frame.
        """
        entry = self._entry(sample_id)
        wanted = list(range(entry.frames)) if frames is None else [int(frame) for frame in frames]
        beyond = [frame for frame in wanted if not 0 <= frame < entry.frames]
        if beyond or not wanted:
            got = beyond[0] if beyond else "none"
            raise DataError(f"{sample_id}: expected frames from 0 to {entry.frames - 1}, got {got}.")
        files, where = self._files(), f"{self.root}: {sample_id}"
        targets: dict[str, dict[str, Array]] = {}
        for name, (stored, start) in entry.chosen(wanted, where).items():
            kind, _, field = name.partition(".")
            targets.setdefault(kind, {})[field] = _taken(files, stored, [f - start for f in wanted], f"{where}, {name}")
        video = _taken(files, entry.arrays["video"], wanted, f"{where}, video")
        if "points" in targets:
            targets["points"] = self._asked(targets["points"], files, entry, wanted, where)
        provenance = {**entry.provenance, "copy": self.root, "frames": wanted}
        return Sample(id=sample_id, video=video, targets=targets, provenance=provenance)

    def _asked(
        self, points: Mapping[str, Array], files: Files, entry: Entry, wanted: Sequence[int], where: str
    ) -> dict[str, Array]:
        """Return the points with their queries on these frames, by the rule of `own.tracks.queries`."""
        every = {name.partition(".")[2]: found for name, found in entry.chosen(wanted, where).items()}
        start = every["tracks"][1]
        tracks, visible = (
            read_rows(files, every[name][0], [0], f"{where}, points.{name}")[0] for name in ("tracks", "visible")
        )
        whole = Tracks(positions=tracks, visible=visible, query_points=points.get("query_points"))
        return {**points, "query_points": queries(whole, [frame - start for frame in wanted])}

    def _entry(self, sample_id: str) -> Entry:
        shard = self._shards.get(sample_id)
        if shard is None:
            raise DataError(f"{self.root}: expected a sample of the split {self.split!r}, got {sample_id!r}.")
        entries, left_out = _index(self.root, f"{self.split}/{shard['name']}.json", shard["sha256"])
        if sample_id in left_out:
            raise DataError(left_out[sample_id])
        if sample_id not in entries:
            raise DataError(
                f"{self.root}, {shard['name']}: expected the sample {sample_id!r}, got none. Convert again."
            )
        return entries[sample_id]

    @property
    def first_frame_decides(self) -> Sequence[str]:
        """Kinds whose targets hang on the first of the frames that are loaded."""
        return tuple(self.manifest["kinds_by_start"])

    @property
    def facts(self) -> Mapping[str, Any]:
        """The original's, and how the copy was made."""
        names = ("dataset", "options", "version", "format", "frames")
        return {**self.manifest["facts"], "copy": {name: self.manifest[name] for name in names}}

    def coverage(self) -> Mapping[str, Any]:
        """Return what of the published data is in the copy: what the original lacked, it lacks."""
        lost: dict[str, str] = {}
        for shard in self.manifest["shards"]:
            lost |= _index(self.root, f"{self.split}/{shard['name']}.json", shard["sha256"])[1]
        total, there = len(self._shards), len(self._shards) - len(lost)
        missing = {"not copied": {"count": len(lost), "ids": sorted(lost)}} if lost else {}
        return {"summary": f"{there:,} of {total:,} samples", "total": total, "available": there, "missing": missing}

    @property
    def revision(self) -> str:
        """A digest of the copy's declaration, which holds digests of its indices, which hold those of its bytes."""
        return self._revision


@frozen(kw_only=True)
class Entry:
    """What an index says of one sample."""

    frames: int
    provenance: Mapping[str, Any]
    arrays: Mapping[str, Stored]

    def chosen(self, wanted: Sequence[int], where: str) -> dict[str, tuple[Stored, int]]:
        """Return the targets of a clip by `<kind>.<field>`: the array, and the frame that it begins with.

        Raises:
            DataError: the copy has none for a clip that starts here.
        """
        start = wanted[0]
        found = {name: (one, 0) for name, one in self.arrays.items() if "@" not in name and name != "video"}
        by_start: dict[str, set[int]] = {}
        for name in self.arrays:
            if "@" in name:
                by_start.setdefault(name.partition("@")[0], set()).add(int(name.partition("@")[2]))
        for name, starts in by_start.items():
            if start not in starts or min(wanted) < start:
                raise DataError(
                    f"{where}: expected a clip that starts at a frame of {sorted(starts)}, for which the copy has "
                    f"{name}, got {start}. Convert with --starts."
                )
            found[name] = (self.arrays[f"{name}@{start}"], start)
        return found


def _taken(files: Files, stored: Stored, wanted: Sequence[int], where: str) -> Array:
    """Return an array at these frames, or as it is where it has no time."""
    if stored.time == 0:
        return read_rows(files, stored, wanted, where)
    whole = read_rows(files, stored, [0], where)[0]
    return whole if stored.time is None else np.take(whole, wanted, axis=stored.time)


@functools.lru_cache(maxsize=8)
def _opened(root: str) -> Files:
    return open_files(root)


@functools.lru_cache(maxsize=256)
def _index(root: str, key: str, sha256: str) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return a shard's samples, and why others are not in it; read once per process."""
    where = f"{root}/{key}"
    content = _read(_opened(root), key, "index")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{where}: expected the index that the copy was declared with, got another. Convert it again.")
    value = json.loads(content)
    entries = {
        name: Entry(
            frames=int(one["frames"]),
            provenance=one["provenance"],
            arrays={key: stored_of(f"{where}: {name}, {key}", stored) for key, stored in one["arrays"].items()},
        )
        for name, one in value["samples"].items()
    }
    return entries, dict(value["left_out"])


def _read(files: Files, key: str, what: str) -> bytes:
    try:
        return files.read(key)
    except (OSError, KeyError) as error:
        if what == "copy" and files.size(begun_key(key.rpartition("/")[0])) is not None:
            raise DataError(
                f"{files.url}/{key}: expected a whole copy, got one that is not finished. "
                "Run the same `probe4d data convert` again."
            ) from error
        raise DataError(f"{files.url}/{key}: expected the {what}, got {error!r}. Check the root.") from error


def _manifest(content: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
        right = found["schema"] == SCHEMA and all({"name", "sha256", "ids"} <= set(one) for one in found["shards"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: expected the declaration of a copy, got {error!r}. Convert it again.") from error
    if not right:
        raise DataError(f"{where}: expected {SCHEMA}, got {found['schema']!r}. Convert it again.")
    made: dict[str, Any] = found
    return made
