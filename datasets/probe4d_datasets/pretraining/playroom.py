"""`playroom` as a source of clips: rendered once, then only the colours read."""

from __future__ import annotations

import hashlib
from typing import Any

from attrs import field, frozen

from probe4d.contracts import Array
from probe4d.errors import UsageError
from probe4d.spec_fields import positive
from probe4d_datasets.own.options import settings
from probe4d_datasets.playroom import Playroom
from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.crop import choose_place, cut
from probe4d_datasets.pretraining.draws import Draws, below

__all__ = ["PlayroomClips", "PlayroomOptions"]


@frozen(kw_only=True)
class PlayroomOptions:
    """What `ClipData.options` may hold for `playroom`; what is not said here is `Playroom`'s own.

    Attributes:
        stride: of the clip's frames. A playroom video is as long as a clip: 1, not the paper's 2.
        length: videos; None: the split's.
        size: of the rendered frames; None: the size that no clip has to be resized from.
        video_frames: of a rendered video; None: just as many as a clip spans.
        textures: `noise` or `photo`; `root`: folder of photographs.
        cache: keep rendered videos on disk.
        prepare: render what the cache lacks before the first batch, on all cores; else when it is read.
    """

    stride: int = field(default=1, validator=positive)
    split: str = "pretrain"
    length: int | None = None
    size: Any = None
    video_frames: int | None = None
    seed: int = 0
    antialias: int = 1
    textures: str = "noise"
    root: str | None = None
    cache: bool = True
    prepare: bool = True


@frozen
class PlayroomClips:
    """Clips of playroom videos.

    Attributes:
        rendered: the videos; `stride`: of a clip's frames.
    """

    data: ClipData
    rendered: Playroom
    stride: int

    @classmethod
    def open(cls, data: ClipData) -> PlayroomClips:
        """Return the source that the data describes, its videos rendered.

        Raises:
            UsageError: an option is not what it should be, or a clip is longer than a video.
        """
        options = settings(PlayroomOptions, data.options, "options of playroom")
        span = (data.frames - 1) * options.stride + 1
        frames = span if options.video_frames is None else options.video_frames
        if frames < span:
            raise UsageError(f"playroom options, video_frames: expected at least the clip's {span}, got {frames}.")
        rendered = Playroom(
            root=options.root,
            split=options.split,
            length=options.length,
            size=_rendered_size(data) if options.size is None else options.size,
            frames=frames,
            seed=options.seed,
            antialias=options.antialias,
            textures=options.textures,
            cache=options.cache,
        )
        if options.cache and options.prepare:
            rendered.prepare()
        return cls(data, rendered, options.stride)

    def __len__(self) -> int:
        return self.rendered.length

    def name(self, index: int) -> str:
        """Return the sample's id."""
        return self.rendered.sample_id(index)

    def identity(self) -> str:
        """Return a digest of all that the videos' bits follow from."""
        made_by = self.rendered.clip_cache.folder.name
        return hashlib.sha256(f"{made_by} {self.rendered.length} {self.stride}".encode()).hexdigest()

    def cut_clip(self, index: int, drawn: Draws, out: Array) -> None:
        """Write a clip of the video into `out` `(t, h, w, 3)` uint8."""
        video = self.rendered.video(self.name(index))
        span = (len(out) - 1) * self.stride + 1
        start = below(drawn.start, len(video) - span + 1)
        clip = video[start : start + span : self.stride]
        cut(clip, choose_place((clip.shape[1], clip.shape[2]), self.data, drawn), out)


def _rendered_size(data: ClipData) -> tuple[int, int]:
    return round(data.margin * data.size[0]), round(data.margin * data.size[1])
