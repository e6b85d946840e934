"""`video-folder`: videos in folders of their classes, or each video a class of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.options import one_of
from probe4d_datasets.own.parts import VIDEO_SUFFIXES, OwnDataset
from probe4d_datasets.own.splits import ByFolder
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import video_index

__all__ = ["VideoFolder"]


class VideoFolder(OwnDataset):
    """Labels from where a video lies.

    Args:
        label: `folder`: the class is the first folder (after the split's, under the rule `folder`);
            `file`: every video is a class, for splits by time.
        classes: the class names in the order of their numbers; else all classes of the root, sorted.
        classes_file: a text file under the root with one class name a line.

    Attributes:
        class_names: the names, in the order of their numbers.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        split: str = "train",
        *,
        rule: Any = None,
        windows: Any = None,
        label: str = "folder",
        classes: Sequence[str] | None = None,
        classes_file: str | None = None,
    ) -> None:
        super().__init__(root, split, rule, windows)
        self.label = one_of("label", label, ("folder", "file"))
        items = [path for path in self.root.files() if PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES]
        if classes is not None and classes_file is not None:
            raise UsageError("video-folder: expected classes or classes_file, got both.")
        if classes_file is not None:
            classes = [line.strip() for line in self.root.read_text(classes_file).splitlines() if line.strip()]
        if classes is None:
            classes = sorted({self._class_of(item) for item in items} - {""})
        self.class_names = tuple(classes)
        if len(set(self.class_names)) < len(self.class_names) or not all(isinstance(c, str) for c in self.class_names):
            raise UsageError(f"video-folder classes: expected each name once, got {self.class_names}.")
        self._plan(items)

    def _class_of(self, item: str) -> str:
        """Return the name of the class, empty for a video that lies in none."""
        if self.label == "file":
            return item
        parts = PurePosixPath(item).parts[1 if isinstance(self.rule, ByFolder) else 0 :]
        return parts[0] if len(parts) > 1 else ""

    def _facts(self) -> str:
        return repr(self.class_names)

    def _length(self, item: str) -> int:
        return len(video_index(self.root.location(item)))

    def _load(self, item: str, _: range, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        name = self._class_of(item)
        if name not in self.class_names:
            raise DataError(
                f"{self.root.location(item)}: expected a video in a folder of one of {len(self.class_names)} classes, "
                f"got {name or 'no folder'!r}. Move it, or state its class in `classes`."
            )
        location = self.root.location(item)
        index = video_index(location)
        label = np.asarray(self.class_names.index(name), np.int64)
        provenance = {"class": name, "sha256": index.digest, "decoder": index.decoder}
        return read_frames(location, frames, index=index), {"labels": {"label": label}}, provenance
