"""Colour augmentations of a clip, the same for all its frames.

Source: paper, Table 6. It names ranges, not formulas; the formulas are those of `tf.image`:
brightness is added, saturation and hue are those of HSV, contrast is about each frame's mean
colour. In this order, clipped once at the end.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from probe4d.contracts import Array

__all__ = ["adjust_contrast", "adjust_hue", "adjust_saturation", "change_colours"]

JITTER_PROBABILITY = 0.8
GRAYSCALE_PROBABILITY = 0.1
BRIGHTNESS = 0.125  # added, of a range of 1
SATURATION = (0.6, 1.4)  # factor
CONTRAST = (0.6, 1.4)  # factor
HUE = 0.2  # turns
LUMA = (0.2989, 0.587, 0.114)  # Source: tf.image.rgb_to_grayscale
SMALLEST = np.float32(1e-12)


def change_colours(video: Array, random: np.random.Generator, names: Collection[str]) -> Array:
    """Return the clip `(t, h, w, 3)` uint8 with drawn changes of `colour-jitter` and `grayscale`."""
    jitter, brightness, saturation, contrast, hue, gray = random.random(6)
    jittered = "colour-jitter" in names and jitter < JITTER_PROBABILITY
    grayed = "grayscale" in names and gray < GRAYSCALE_PROBABILITY
    if not jittered and not grayed:
        return video
    rgb = np.ascontiguousarray(video.transpose(3, 0, 1, 2), np.float32) / np.float32(255)
    if jittered:
        rgb += np.float32((2 * brightness - 1) * BRIGHTNESS)
        rgb = adjust_saturation(rgb, _between(SATURATION, saturation))
        rgb = adjust_contrast(rgb, _between(CONTRAST, contrast))
        rgb = adjust_hue(rgb, (2 * hue - 1) * HUE)
    if grayed:
        rgb[:] = sum(np.float32(weight) * plane for weight, plane in zip(LUMA, rgb, strict=True))
    np.clip(rgb, 0, 1, out=rgb)
    rgb *= 255
    return np.ascontiguousarray(np.rint(rgb, out=rgb).astype(np.uint8).transpose(1, 2, 3, 0))


def adjust_saturation(rgb: Array, factor: float) -> Array:
    """Return colours whose saturation in HSV is multiplied, at most to 1; hue and value stay.

    Args:
        rgb: `(3, …)` float32; also slightly outside [0, 1], as brightness leaves it.
    """
    value = np.maximum(np.maximum(rgb[0], rgb[1]), rgb[2])
    spread = value - np.minimum(np.minimum(rgb[0], rgb[1]), rgb[2])
    # Colour is value · (1 - saturation · shape): scaling the saturation scales the distance to value.
    most = np.maximum(value, 0) / np.maximum(spread, SMALLEST)
    return np.asarray(value - (value - rgb) * np.minimum(most, np.float32(factor)))


def adjust_contrast(rgb: Array, factor: float) -> Array:
    """Return frames `(3, t, h, w)` whose distance to each frame's mean colour is multiplied."""
    mean = rgb.mean(axis=(-2, -1), keepdims=True)
    return np.asarray((rgb - mean) * np.float32(factor) + mean)


def adjust_hue(rgb: Array, turns: float) -> Array:
    """Return colours with another hue in HSV; saturation and value stay.

    Args:
        rgb: `(3, …)` float32.
        turns: added to the hue, in full turns, from -1 to 1.
    """
    red, green, blue = rgb
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    spread = high - low
    per_spread = np.float32(1) / np.maximum(spread, SMALLEST)
    hue = np.where(high == green, (blue - red) * per_spread + 2, (red - green) * per_spread + 4)
    hue = np.where(high == red, (green - blue) * per_spread, hue) + np.float32(6 * turns)  # in sixths of a turn
    out = np.empty_like(rgb)
    for plane, shift in zip(out, (5, 3, 1), strict=True):
        # Each channel is a trapezoid over the hue, a third of a turn from the next.
        at = hue + np.float32(shift)
        at -= 6 * np.floor(at * np.float32(1 / 6))
        np.subtract(high, spread * np.clip(np.minimum(at, 4 - at), 0, 1), out=plane)
    return out


def _between(ends: tuple[float, float], at: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * at
