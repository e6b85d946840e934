"""Where each frame of a video file is: the presentation times that one whole decode has seen."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from probe4d.errors import DataError
from probe4d.paths import cache_dir
from probe4d_datasets.cached_index import keep
from probe4d_datasets.decoder import Threads, checksum, decoder_version, open_video
from probe4d_datasets.files import Location, digest, open_binary
from probe4d_datasets.whole_files import HEAD_BYTES, stated_size

__all__ = ["VideoIndex", "build_index", "index_path", "video_index"]

SCHEMA = "probe4d/video-index/1"


@frozen(kw_only=True)
class VideoIndex:
    """The frames of one video file, in the order in which they are shown.

    Attributes:
        digest: sha256 of the file.
        decoder: what decoded it.
        pts: per frame, in units of `time_base` (a fraction of a second); None where there is none.
        checksums: per frame, CRC-32 of the decoded picture; what a seek has to find again.
        keyframes: positions of the frames that decoding can start at; the first is one of them.
        height, width: pixels of a frame as it is returned, that is after `rotation`.
        rotation: degrees counter-clockwise that the container asks for.
    """

    digest: str
    decoder: str
    codec: str
    pts: tuple[int | None, ...]
    checksums: tuple[int, ...]
    keyframes: tuple[int, ...]
    time_base: tuple[int, int]
    height: int
    width: int
    rotation: int = 0

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def seekable(self) -> bool:
        """Whether every frame has a time and the times strictly increase."""
        known = [value for value in self.pts if value is not None]
        return len(known) == len(self.pts) and all(a < b for a, b in itertools.pairwise(known))

    def seconds(self) -> tuple[float | None, ...]:
        """Return the time of each frame."""
        numerator, denominator = self.time_base
        return tuple(None if value is None else value * numerator / denominator for value in self.pts)


def video_index(location: Location) -> VideoIndex:
    """Return the index of a video file: from this process, from the cache, or by decoding it once.

    Raises:
        DataError: the file is missing, truncated, empty, or no video.
        Probe4dError: the cache cannot be written.
    """
    return _cached_index(digest(location), decoder_version(), os.fspath(location), cache_dir())


# The digest and the decoder are what identifies it; the location says where such bytes are now.
@functools.lru_cache(maxsize=1024)
def _cached_index(file_digest: str, decoder: str, location: str, cache: Path) -> VideoIndex:
    path = index_path(file_digest, decoder, cache)
    index = _read(path, file_digest, decoder)
    if index is None:
        index = build_index(location)
        keep(path, _dump(index))
    return index


def index_path(file_digest: str, decoder: str, cache: Path) -> Path:
    """Return where the index of such a file, decoded by such a decoder, is kept."""
    address = hashlib.sha256(f"{SCHEMA}\n{decoder}\n{file_digest}".encode()).hexdigest()
    return cache / "video-index" / address[:2] / f"{address}.json"


def build_index(location: Location, threads: Threads = "none") -> VideoIndex:
    """Return the index of a file after decoding it from the first frame to the last.

    Raises:
        DataError: no frames, frames of several sizes, or fewer than the container promises.
    """
    pts: list[int | None] = []
    checksums: list[int] = []
    keyframes: list[int] = []
    first: tuple[int, int, int] | None = None
    packets = 0
    _check_size(location)
    with open_video(location, threads) as (container, stream):
        for packet in container.demux(stream):
            packets += packet.size > 0
            for frame in packet.decode():
                shape = (frame.height, frame.width, frame.rotation % 360)
                first = first or shape
                if shape != first:
                    raise DataError(
                        f"{location}, frame {len(pts)}: expected (height, width, rotation) {first} as at the start, "
                        f"got {shape}. Encode the parts of the file as files of their own."
                    )
                keyframes += [len(pts)] if frame.key_frame or not pts else []
                pts.append(frame.pts)
                checksums.append(checksum(frame))
        # Only these containers count their frames reliably, before the frames themselves.
        promised = stream.frames if container.format.name.startswith("mov") else 0
        time_base, codec = stream.time_base, stream.codec_context.name
    if first is None:
        raise DataError(f"{location}: expected at least one frame, got none. Remove the file.")
    if packets < promised:
        raise DataError(f"{location}: expected {promised} frames, got {packets}: it is cut off. Replace the file.")
    height, width, rotation = first
    if rotation % 180:
        height, width = width, height
    return VideoIndex(
        digest=digest(location),
        decoder=decoder_version(),
        codec=codec,
        pts=tuple(pts),
        checksums=tuple(checksums),
        keyframes=tuple(keyframes),
        time_base=(time_base.numerator, time_base.denominator),
        height=height,
        width=width,
        rotation=rotation,
    )


def _check_size(location: Location) -> None:
    """Raise DataError for a file that ends before its own header says."""
    with open_binary(location) as file:
        stated, size = stated_size(file.read(HEAD_BYTES)), file.seek(0, os.SEEK_END)
    if stated is not None and size < stated:
        raise DataError(f"{location}: expected {stated} bytes, got {size}: it is cut off. Replace the file.")


def _dump(index: VideoIndex) -> bytes:
    body = json.dumps(attrs.asdict(index), separators=(",", ":"))
    return f"{SCHEMA} {hashlib.sha256(body.encode()).hexdigest()}\n{body}\n".encode()


def _read(path: Path, file_digest: str, decoder: str) -> VideoIndex | None:
    """Return the cached index; None where there is none, or one that is not whole."""
    try:
        head, body = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    if head != f"{SCHEMA} {hashlib.sha256(body.encode()).hexdigest()}":
        return None
    values: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(body).items()}
    index = VideoIndex(**values)
    return index if (index.digest, index.decoder) == (file_digest, decoder) else None
