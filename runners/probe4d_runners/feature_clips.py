"""The clip of a video that `probe4d features` takes: which frames, and at which size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d.specs import VideoInput

__all__ = ["RESIZE", "Clip", "clip_of", "input_of", "load_clip"]

RESIZE = ("whole", "crop", "none", "bilinear", "bicubic", "area")


@frozen(kw_only=True)
class Clip:
    """Which frames of a video are taken, and how they reach the backbone's size.

    Attributes:
        frames: how many.
        stride: step between them, in frames of the file.
        start: the first.
        resize: `whole` brings the whole frame to the size, `crop` its central part of the right shape, both by the
            backbone's own rule; `none` leaves it; the name of a rule brings the whole frame there by that one.
    """

    frames: int
    stride: int = 1
    start: int = 0
    resize: str = "whole"

    @property
    def positions(self) -> list[int]:
        """The frames of the file."""
        return [self.start + self.stride * number for number in range(self.frames)]

    def rule(self, wanted: VideoInput) -> str:
        """Return the rule by which pixels are resized for that input."""
        return wanted.resize if self.resize in ("whole", "crop", "none") else self.resize


def input_of(stated: VideoInput, model: Any) -> VideoInput:
    """Return the input of the backbone as it was loaded, which its options may have changed."""
    own = getattr(model, "clip", None)
    if own is None:
        return stated
    frames, height, width = own
    return evolve(stated, frames=frames, height=height, width=width)


def clip_of(video: str, wanted: VideoInput, model: Any, fields: dict[str, Any]) -> Clip:
    """Return which frames are taken: as many as the backbone takes, unless a whole array is meant.

    `resize="none"` gives a backbone that takes any clip an array as it is, all frames; one that takes
    frames one by one is content with fewer.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if "frames" not in given and video.endswith(".npy") and getattr(model, "adapts", False):
        start, stride = given.get("start", 0), given.get("stride", 1)
        length = max((len(_stored(video)) - start - 1) // stride + 1, 1)
        if given.get("resize") == "none" or (model.modality == "image" and length < wanted.frames):
            given["frames"] = length
    return Clip(**{"frames": wanted.frames, **given})


def load_clip(video: str, clip: Clip, wanted: VideoInput) -> tuple[Array, dict[str, Any]]:
    """Return the pixels `(t, h, w, 3)` of one clip, and where they come from.

    They are uint8, or floats in [0, 1] where an array holds such; those are never resized.

    Raises:
        DataError: the file cannot be read, ends before the clip does, or holds floats that would have to be resized.
    """
    read = _of_array if video.endswith(".npy") else _of_video
    pixels, facts = read(video, clip.positions)
    source = {"file": video, **facts, "frames": clip.positions, "size": list(pixels.shape[1:3])}
    return _fit(pixels, clip, wanted), source


def _of_video(video: str, positions: Sequence[int]) -> tuple[Array, dict[str, Any]]:
    from probe4d_datasets.video import read_frames
    from probe4d_datasets.video_index import video_index

    index = video_index(video)
    _check_length(video, positions, len(index))
    facts = {"sha256": index.digest, "num_frames": len(index), "decoder": index.decoder}
    return read_frames(video, positions, index=index), facts


def _check_length(video: str, positions: Sequence[int], length: int) -> None:
    if positions[-1] >= length:
        raise DataError(
            f"{video}: expected at least {positions[-1] + 1} frames, got {length}. Give fewer --frames, a smaller "
            "--stride or --start."
        )


def _stored(video: str) -> Array:
    """Return the clip of an `.npy`, memory-mapped; a batch of one is its clip."""
    import numpy as np

    try:
        stored: Array = np.load(video, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{video}: expected an .npy array, got {error}.") from error
    clip = stored[0] if stored.ndim == 5 and len(stored) == 1 else stored
    pixels = clip.dtype == np.uint8 or np.issubdtype(clip.dtype, np.floating)
    if clip.ndim != 4 or clip.shape[-1] != 3 or not pixels:
        raise DataError(
            f"{video}: expected uint8, or floats in [0, 1], of shape (t, h, w, 3), got {clip.dtype} of {stored.shape}."
        )
    return clip


def _of_array(video: str, positions: Sequence[int]) -> tuple[Array, dict[str, Any]]:
    import numpy as np

    from probe4d.atomic import sha256_of

    stored = _stored(video)
    _check_length(video, positions, len(stored))
    facts = {"sha256": sha256_of(Path(video)), "num_frames": len(stored), "decoder": "numpy"}
    pixels = np.ascontiguousarray(stored[positions])
    if pixels.dtype != np.uint8 and not (pixels.min() >= 0 and pixels.max() <= 1):  # NaN is neither
        raise DataError(
            f"{video}: expected floats in [0, 1], got {pixels.min():g} to {pixels.max():g}. Give uint8 or divide."
        )
    return pixels, facts


def _fit(pixels: Array, clip: Clip, wanted: VideoInput) -> Array:
    size = (wanted.height, wanted.width)
    height, width = pixels.shape[1:3]
    if clip.resize == "none" or (height, width) == size:
        return pixels
    if pixels.dtype != "uint8":
        raise DataError(
            f"--video: expected uint8 pixels, which are resized from {height} x {width} to {size[0]} x {size[1]}, got "
            f"{pixels.dtype}. Give --resize none, or floats of that size."
        )
    from probe4d_datasets.resize import resize_pixels

    box_height, box_width = float(height), float(width)
    if clip.resize == "crop":
        scale = min(height / wanted.height, width / wanted.width)
        box_height, box_width = wanted.height * scale, wanted.width * scale
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return resize_pixels(pixels, (left, top, left + box_width, top + box_height), size, clip.rule(wanted))
