"""`ssv2`: Something-Something v2 as a dataset."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.options import one_of
from probe4d_datasets.own.root import Root
from probe4d_datasets.places import Folder, archive, folders_with, locate, loose, names_in
from probe4d_datasets.published import Policy, Published
from probe4d_datasets.ssv2.labels import RELEASES, find_labels, read_clips
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import video_index

__all__ = ["SomethingSomething"]

FOLDER = "20bn-something-something-v2"
FOLDERS = (FOLDER, f"videos/{FOLDER}", "videos", "")
# `-00`, `-01` of one tgz, sometimes saved as `.zip`; or one archive. Not the zip of the labels.
ARCHIVE = re.compile(rf"{FOLDER}(-00)?(\.(zip|tgz|tar|tar\.gz))?")


class SomethingSomething(Published):
    """Videos `<id>.webm` with one of 174 classes.

    Args:
        split: `train`, `validation` or `test` (whose labels are in the answers file).
        release: `qualcomm` or `20bn`, the names of the annotation files; `auto` takes what is there.
        archives: how a compressed tar is read: `index` goes through it from its start, which is slow
            unless videos are asked for in its order; `unpack` keeps an uncompressed copy (20 GB for
            the whole dataset) in the user's cache.
        missing, max_missing: see `probe4d_datasets.published.Policy`.

    Attributes:
        class_names: in the order of their numbers.
    """

    name = "ssv2"
    splits = ("train", "validation", "test")
    unit = "videos"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        split: str = "train",
        *,
        release: str = "auto",
        archives: str = "index",
        missing: str = "keep",
        max_missing: float = 0.1,
    ) -> None:
        super().__init__(root, split, Policy(missing=missing, max_missing=max_missing))
        self.archives = one_of("ssv2 archives", archives, ("index", "unpack"))
        self.labels = find_labels(self.root, one_of("ssv2 release", release, ("auto", *RELEASES)))
        self.class_names = self.labels.names
        clips = read_clips(self.labels, split)
        self._clips = {clip.id: clip for clip in clips}
        self._folders = _folders(self.root, unpack=self.archives == "unpack")
        here = names_in(self._folders)
        absent = {clip.id: f"no video: {clip.id}.webm" for clip in clips if f"{clip.id}.webm" not in here}
        self._plan([clip.id for clip in clips], absent)

    def _options(self) -> Mapping[str, Any]:
        return {"release": self.labels.release, "archives": self.archives, "classes": len(self.class_names)}

    def _states(self) -> Sequence[str]:
        labels = self.labels
        states = [f"{path} {labels.root.state(path)}" for path in labels.files(self.split)]
        for folder in self._folders:
            mine = [f"{one}.webm" for one in self._ids if f"{one}.webm" in folder.names]
            states += [f"{name} {folder.root.state(folder.file(name))}" for name in mine]
        return states

    def _video(self, sample_id: str) -> str:
        location = locate(self._folders, f"{sample_id}.webm")
        if location is None:
            raise UsageError(f"{sample_id}: expected a video that was there on opening, got none.")
        return location

    def _length(self, sample_id: str) -> int:
        return len(video_index(self._video(sample_id)))

    def _load(self, sample_id: str, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        clip = self._clips[sample_id]
        if clip.label is None:
            raise DataError(f"{sample_id}: expected its class in {self.labels.path('answers')}, got none.")
        location = self._video(sample_id)
        index = video_index(location)
        video = read_frames(location, frames, index=index)
        provenance = {
            "video": location,
            "class": self.class_names[clip.label],
            "template": clip.template,
            "text": clip.text,
            "placeholders": list(clip.placeholders),
            "sha256": index.digest,
            "decoder": index.decoder,
        }
        return video, {"labels": {"label": np.asarray(clip.label, np.int64)}}, provenance


def _folders(root: Root, *, unpack: bool) -> list[Folder]:
    """Return where videos lie, loose ones first."""
    found = [folder for path in FOLDERS if (folder := loose(root, path)) is not None]
    found = [folder for folder in found if any(name.endswith(".webm") for name in folder.names)]
    for parent in ("", "archives/", f"{FOLDER}/"):
        for name in root.names(parent.rstrip("/")):
            if ARCHIVE.fullmatch(name):
                found += folders_with(archive(root, parent + name, unpack=unpack), (".webm",))
    if not found:
        raise DataError(
            f"{root.url}: expected {FOLDER}/<id>.webm, or the parts {FOLDER}-00 …, got neither. Put the videos there."
        )
    return found
