"""Colour augmentations of a clip, the same for all its frames. Source: paper, Table 6."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from probe4d.contracts import Array

__all__ = ["change_colours"]

JITTER_PROBABILITY = 0.8
GRAYSCALE_PROBABILITY = 0.1
BRIGHTNESS = 0.125  # added, of a range of 1
SATURATION = (0.6, 1.4)  # factor
CONTRAST = (0.6, 1.4)  # factor
HUE = 0.2  # turns
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Hue is turned as a rotation of the chroma plane of YIQ, which keeps luma as it is.
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)
FROM_YIQ = np.linalg.inv(TO_YIQ)


def change_colours(video: Array, random: np.random.Generator, names: Collection[str]) -> Array:
    """Return the clip `(t, h, w, 3)` uint8 with drawn changes of `colour-jitter` and `grayscale`."""
    jitter, brightness, saturation, contrast, hue, gray = random.random(6)
    out = video.astype(np.float32) / 255
    if "colour-jitter" in names and jitter < JITTER_PROBABILITY:
        out = out + np.float32((2 * brightness - 1) * BRIGHTNESS)
        luma = (out @ LUMA)[..., None]
        out = luma + (out - luma) * np.float32(_between(SATURATION, saturation))
        mean = out.mean(axis=(1, 2), keepdims=True)
        out = mean + (out - mean) * np.float32(_between(CONTRAST, contrast))
        out = out @ _hue_turn((2 * hue - 1) * HUE).T
    if "grayscale" in names and gray < GRAYSCALE_PROBABILITY:
        out = np.repeat((out @ LUMA)[..., None], 3, axis=-1)
    return np.asarray(np.rint(np.clip(out, 0, 1) * 255), np.uint8)


def _between(ends: tuple[float, float], at: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * at


def _hue_turn(turns: float) -> Array:
    angle = 2 * np.pi * turns
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]], np.float32)
    return np.asarray(FROM_YIQ @ turn @ TO_YIQ, np.float32)
