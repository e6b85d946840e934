"""Video files as a source of clips, decoded frame-exactly."""

from __future__ import annotations

import hashlib

from attrs import field, frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d.spec_fields import one_of, positive
from probe4d_datasets.own.options import settings
from probe4d_datasets.own.parts import VIDEO_SUFFIXES
from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.crop import choose_place, cut
from probe4d_datasets.pretraining.draws import Draws, below
from probe4d_datasets.pretraining.listing import FileList, files
from probe4d_datasets.pretraining.sources import SkippedVideo
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import video_index

__all__ = ["VideoClips", "VideoOptions", "open_folder"]


@frozen(kw_only=True)
class VideoOptions:
    """What `ClipData.options` may hold for a folder or glob of videos.

    Attributes:
        short: what becomes of a video shorter than a clip: `skip`, or `clamp`: its last frame is repeated.
        max_pixels: of a frame; a video of larger ones is skipped, as 16 of them have to fit the memory.
    """

    short: str = field(default="skip", validator=one_of("skip", "clamp"))
    max_pixels: int = field(default=8192 * 4320, validator=positive)


@frozen
class VideoClips:
    """Clips of the videos of a list."""

    data: ClipData
    options: VideoOptions
    videos: FileList

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, index: int) -> str:
        """Return the name in the list."""
        return self.videos.name(index)

    def identity(self) -> str:
        """Return a digest of the names, in their order, and of the rule for short videos."""
        total = hashlib.sha256(self.options.short.encode())
        for index in range(len(self)):
            total.update(b"\n" + self.name(index).encode("utf-8", "surrogateescape"))
        return total.hexdigest()

    def cut_clip(self, index: int, drawn: Draws, out: Array) -> None:
        """Write a clip of the video into `out` `(t, h, w, 3)` uint8.

        Raises:
            SkippedVideo: it is unreadable, too short or too large.
        """
        try:
            video = self._read(index, drawn)
        except SkippedVideo:
            raise
        except DataError as error:
            raise SkippedVideo("unreadable", str(error)) from error
        cut(video, choose_place((video.shape[1], video.shape[2]), self.data, drawn), out)

    def _read(self, index: int, drawn: Draws) -> Array:
        """Return the clip's frames in the size of the video."""
        location = self.videos.location(index)
        found = video_index(location)
        span = (self.data.frames - 1) * self.data.stride + 1
        if len(found) < span and self.options.short == "skip":
            remedy = "Leave it out, or set short = 'clamp'."
            message = f"{location}: expected at least {span} frames, got {len(found)}. {remedy}"
            raise SkippedVideo("too short", message)
        if found.height * found.width > self.options.max_pixels:
            limit = f"expected at most {self.options.max_pixels:,} pixels a frame"
            raise SkippedVideo("too large", f"{location}: {limit}, got {found.width} x {found.height}.")
        start = below(drawn.start, max(len(found) - span, 0) + 1)
        frames = [min(start + i * self.data.stride, len(found) - 1) for i in range(self.data.frames)]
        return read_frames(location, frames, index=found)


def open_folder(data: ClipData) -> VideoClips:
    """Return the clips of a file, a folder or a glob of videos.

    Raises:
        DataError: there is none.
    """
    options = settings(VideoOptions, data.options, "options of the videos")
    return VideoClips(data, options, files(data.source, VIDEO_SUFFIXES))
