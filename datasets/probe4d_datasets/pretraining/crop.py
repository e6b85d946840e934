"""The paper's augmentation of pixels: resize to a margin above the clip, random crop, mirror."""

from __future__ import annotations

from attrs import frozen

from probe4d.contracts import Array
from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.draws import Draws, below

__all__ = ["Place", "choose_place", "cut"]


@frozen
class Place:
    """Where a clip lies in its video's frames.

    Attributes:
        scaled: (height, width) that the whole frame is resized to.
        top, left: corner of the clip in the resized frame.
        flip: mirror left and right.
    """

    scaled: tuple[int, int]
    top: int
    left: int
    flip: bool


def choose_place(frame: tuple[int, int], data: ClipData, drawn: Draws) -> Place:
    """Return the place of a clip in frames of (height, width) pixels."""
    height, width = frame
    factor = data.margin * max(data.size[0] / height, data.size[1] / width)
    scaled = max(data.size[0], round(height * factor)), max(data.size[1], round(width * factor))
    top = below(drawn.top, scaled[0] - data.size[0] + 1)
    left = below(drawn.left, scaled[1] - data.size[1] + 1)
    return Place(scaled, top, left, data.flip and bool(drawn.flip & 1))


def cut(video: Array, place: Place, out: Array) -> None:
    """Write the clip at its place in the video `(t, *, *, 3)` into `out` `(t, h, w, 3)`, both uint8.

    Where nothing has to be resized this is one copy. Else only the crop is resized, which gives the
    pixels that cropping the resized frame gives.
    """
    height, width = out.shape[1:3]
    if video.shape[1:3] == place.scaled:
        crop = video[:, place.top : place.top + height, place.left : place.left + width]
    else:
        from probe4d_datasets.resize import resize_pixels

        across, down = video.shape[2] / place.scaled[1], video.shape[1] / place.scaled[0]
        box = (place.left * across, place.top * down, (place.left + width) * across, (place.top + height) * down)
        crop = resize_pixels(video, box, (height, width))
    if not place.flip:
        out[...] = crop
        return
    for channel in range(3):  # at once, numpy would copy each pixel's three bytes by themselves: 4 times as slow
        out[..., channel] = crop[:, :, ::-1, channel]
