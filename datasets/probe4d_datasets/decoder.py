"""Opening a stranger's video with PyAV: which containers, which errors, which decoder."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from probe4d.errors import DataError, MissingExtraError
from probe4d_datasets.files import TORN, Location, local_path, open_binary

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Threads", "checksum", "decoder_version", "open_video", "rgb_converter"]

Threads = Literal["none", "auto"]

# Containers that hold their frames themselves. Playlists (hls, dash, concat), device and network
# demuxers are not among them: a file from a stranger must not make us open another.
CONTAINERS = (
    "3gp,asf,av1,avi,dv,flv,gif,h264,hevc,ivf,m4a,matroska,mj2,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,webm"
)


def decoder_version() -> str:
    """Return what decodes, for cache addresses and records: `"pyav 18.1.0, libavcodec 62.28.102"`."""
    av = _av()
    return f"pyav {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


@contextmanager
def open_video(location: Location, threads: Threads = "none") -> Iterator[tuple[Any, Any]]:
    """Yield the open container and its first video stream.

    Args:
        threads: `"none"` decodes in the calling thread, whatever the machine has.

    Raises:
        DataError: missing, no video, truncated, or broken while it is being read inside the `with`.
    """
    av = _av()
    path = local_path(location)
    try:
        with open_binary(location) as file:
            # FFmpeg reads a local file itself, which is faster; `file:` keeps a name such as
            # `concat:a|b` a name. The open above has said already whether it is readable.
            source = f"file:{path}" if path else file
            with av.open(source, metadata_errors="replace", options={"format_whitelist": CONTAINERS}) as container:
                if not container.streams.video:
                    raise DataError(f"{location}: expected a video stream, got none. Remove the file.")
                stream = container.streams.video[0]
                stream.thread_type = "NONE" if threads == "none" else "AUTO"
                yield container, stream
    except (av.error.FFmpegError, *TORN) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise DataError(
            f"{os.fspath(location)}: expected a whole video, got {reason!r}. Remove or replace the file."
        ) from error


def checksum(frame: Any) -> int:
    """Return a CRC-32 of the decoded planes, without their padding.

    What lies at the right of a row of an unusual pixel format may be left out; a wrong picture
    differs elsewhere too.
    """
    import numpy as np

    sample_bytes = max((component.bits + 7) // 8 for component in frame.format.components)
    if len(frame.planes) == 1:
        sample_bytes = max(1, frame.format.padded_bits_per_pixel // 8)
    value = 0
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size].reshape(plane.height, plane.line_size)
        value = zlib.crc32(rows[:, : plane.width * sample_bytes].tobytes(), value)
    return value


def rgb_converter() -> Callable[[Any], np.ndarray[Any, np.dtype[np.uint8]]]:
    """Return a function from decoded frames to `(h, w, 3)` uint8, upright where the container states a rotation.

    It serves the frames of one video: the scaler that it holds is set up once, not once a frame.
    """
    import numpy as np
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()

    def convert(frame: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
        image = np.asarray(reformatter.reformat(frame, format="rgb24").to_ndarray(), np.uint8)
        return np.rot90(image, k=round(frame.rotation / 90) % 4) if frame.rotation else image

    return convert


def _av() -> Any:
    try:
        import av
        import av.error
    except ImportError as error:
        raise MissingExtraError(
            "video decoding: expected PyAV, which is missing. pip install 'probe4d[video]'"
        ) from error
    return av
