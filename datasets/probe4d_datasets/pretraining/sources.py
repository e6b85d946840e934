"""What every source of clips offers, and the sources themselves by their name."""

from __future__ import annotations

from typing import Protocol

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.draws import Draws

__all__ = ["ClipSource", "SkippedVideo", "open_source"]


class SkippedVideo(DataError):
    """A video that no clip can be cut from.

    Attributes:
        reason: `unreadable` or `too short`, what such videos are counted under.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[SkippedVideo], tuple[str, str]]:
        return type(self), (self.reason, str(self))


class ClipSource(Protocol):
    """Videos by number. Picklable without open handles: worker processes get a copy."""

    def __len__(self) -> int:
        """Return how many videos there are."""
        ...

    def name(self, index: int) -> str:
        """Return what the video is called in health reports and errors: unique, and the same on every machine."""
        ...

    def identity(self) -> str:
        """Return a digest of the list of videos: a run may only be continued on the same list."""
        ...

    def cut_clip(self, index: int, drawn: Draws, out: Array) -> None:
        """Write a clip of the video into `out` `(t, h, w, 3)` uint8.

        Raises:
            SkippedVideo: there is none in it.
        """
        ...


def open_source(data: ClipData) -> ClipSource:
    """Return the source that the data names.

    Raises:
        DataError: it cannot be listed, or holds no video.
        UsageError: an option of it is wrong.
    """
    from probe4d_datasets.pretraining.listing import without_query

    link = without_query(data.source)
    if data.source == "playroom":
        from probe4d_datasets.pretraining.playroom import PlayroomClips

        return PlayroomClips.open(data)
    if data.source == "mix":
        from probe4d_datasets.pretraining.mix import Mix

        return Mix.open(data)
    if link.endswith((".jsonl", ".parquet")):
        from probe4d_datasets.pretraining.manifest import open_manifest

        return open_manifest(data)
    if link.endswith(".tar"):
        from probe4d_datasets.pretraining.webdataset import open_shards

        return open_shards(data)
    from probe4d_datasets.pretraining.videos import open_folder

    return open_folder(data)
