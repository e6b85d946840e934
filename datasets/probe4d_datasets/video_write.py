"""Arrays to video files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from probe4d.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["write_video"]


def write_video(
    path: str | PathLike[str],
    frames: np.ndarray[Any, np.dtype[np.uint8]],
    *,
    rate: int = 25,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
) -> None:
    """Write `(t, h, w, 3)` uint8 RGB as a video; the container follows from the file's suffix.

    Args:
        rate: frames a second.
        pixels: FFmpeg's pixel format; `yuv420p` needs even sizes.
        pts: time of each frame in units of `time_base`, for a variable frame rate.
        options, container_options: FFmpeg's own, of the encoder and of the container.

    Raises:
        UsageError: the frames are of another shape or type.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("write_video: expected PyAV, which is missing. pip install 'probe4d[video]'") from error
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype.name != "uint8" or not len(frames):
        raise UsageError(f"write_video: expected frames (t, h, w, 3) uint8, got {frames.shape} {frames.dtype}.")
    with av.open(fspath(path), "w", options=dict(container_options or {})) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=dict(options or {}))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        if time_base is not None:
            stream.codec_context.time_base = time_base
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[number], time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
