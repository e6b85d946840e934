"""Pixels brought to another size, by Pillow, whose rules all look at the whole area that a new pixel covers."""

from __future__ import annotations

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import MissingExtraError

__all__ = ["RULES", "resize_pixels"]

RULES = {"bilinear": "BILINEAR", "bicubic": "BICUBIC", "area": "BOX"}  # Pillow's names


def resize_pixels(
    video: Array, box: tuple[float, float, float, float], size: tuple[int, int], rule: str = "bilinear"
) -> Array:
    """Return the part of each frame inside the box at this size: `(t, *size, 3)` uint8.

    Args:
        video: `(t, h, w, 3)` uint8.
        box: left, top, right, bottom in pixels, fractions allowed, inside the frame.
        size: `(height, width)`.
        rule: one of `RULES`: `bilinear`, `bicubic` (a = -0.5), or `area`, the mean of what a new pixel covers.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError("resizing: needs the package 'pillow'. Run: pip install 'probe4d[video]'") from error
    height, width = size
    limits = (video.shape[2], video.shape[1]) * 2
    inside = tuple(min(max(edge, 0.0), limit) for edge, limit in zip(box, limits, strict=True))
    method = Image.Resampling[RULES[rule]]
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height), method, box=inside)) for frame in video])
