"""WebDataset: videos as members of numbered tar shards, read where they lie.

Each shard is passed through once for the places of its members, which the user's cache keeps; then
any video of any shard is reached at once, so that the order is as random as that of single files.
"""

from __future__ import annotations

from attrs import field, frozen

from probe4d.errors import DataError
from probe4d.spec_fields import positive
from probe4d_datasets.cached_index import cached_index
from probe4d_datasets.files import local_path, open_binary
from probe4d_datasets.own.options import settings
from probe4d_datasets.own.parts import VIDEO_SUFFIXES
from probe4d_datasets.own.root import Root
from probe4d_datasets.pretraining.byte_range import byte_range
from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.listing import files, inner_link
from probe4d_datasets.pretraining.sources import SkippedVideo
from probe4d_datasets.pretraining.videos import VideoClips, VideoOptions
from probe4d_datasets.tar_members import tar_members

__all__ = ["ShardOptions", "open_shards"]


@frozen(kw_only=True)
class ShardOptions(VideoOptions):
    """What `ClipData.options` may hold for tar shards.

    Attributes:
        max_bytes: of a video; a larger member is skipped.
    """

    max_bytes: int = field(default=2 << 30, validator=positive)


@frozen
class Members:
    """The videos in tar shards, as a list of files.

    Attributes:
        shards: `(name, location)` of each shard.
        members: `(shard, name, offset, length)` of each video.
    """

    shards: tuple[tuple[str, str], ...]
    members: tuple[tuple[int, str, int, int], ...]
    max_bytes: int

    def __len__(self) -> int:
        return len(self.members)

    def name(self, index: int) -> str:
        """Return `<shard>/<member>`."""
        shard, name, _, _ = self.members[index]
        return f"{self.shards[shard][0]}/{name}"

    def location(self, index: int) -> str:
        """Return the URL of the member's bytes in its shard.

        Raises:
            SkippedVideo: there are too many of them.
        """
        shard, _, offset, length = self.members[index]
        if length > self.max_bytes:
            limit = f"expected at most {self.max_bytes:,} bytes"
            raise SkippedVideo("too large", f"{self.name(index)}: {limit}, got {length:,}. Raise max_bytes.")
        return byte_range(self.shards[shard][1], offset, length)


def open_shards(data: ClipData) -> VideoClips:
    """Return the clips of the videos in tar shards.

    Raises:
        DataError: a shard is missing, cut off or no tar, or no video is in any.
    """
    options = settings(ShardOptions, data.options, "options of the shards")
    found = files(data.source, (".tar",))
    shards = tuple((found.name(i), _url(found.location(i))) for i in range(len(found)))
    members = tuple((i, *member) for i, (_, url) in enumerate(shards) for member in _videos(url))
    if not members:
        raise DataError(f"{data.source}: expected videos such as *.mp4 in the shards, got none.")
    return VideoClips(data, options, Members(shards, members, options.max_bytes))


def _videos(url: str) -> list[tuple[str, int, int]]:
    """Return `(name, offset, length)` of the videos in a shard."""

    def find() -> list[tuple[str, int, int]]:
        with open_binary(url) as shard:
            try:
                return [member for member in tar_members(shard, url) if member[0].lower().endswith(VIDEO_SUFFIXES)]
            except OSError as error:  # a member that claims to be longer than any file can be
                raise DataError(f"{url}: expected a whole tar archive, got {error}. Fetch it again.") from error

    found = cached_index("probe4d/shard-index/1", f"{url}\n{_state(url)}", find)
    return [(name, offset, length) for name, offset, length in found]


def _url(location: str) -> str:
    path = local_path(location)
    return f"file://{path}" if path else location


def _state(url: str) -> str:
    """Return what changes when a shard does."""
    link = inner_link(url)
    at = link.rfind("/") + 1
    return Root(url.replace(link, link[:at], 1)).state(link[at:])
