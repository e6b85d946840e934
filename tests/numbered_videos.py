"""Frames that say which they are, to be written as videos and read again."""

from __future__ import annotations

import numpy as np


def numbered_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Return moving blocks, with the number of the frame as eight black or white squares on top."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1)
    frames = np.stack([np.roll(blocks, (i * 3, i * 5), (0, 1)) for i in range(count)]).astype(np.uint8)
    for i in range(count):
        for bit in range(8):
            frames[i, :8, bit * 8 : bit * 8 + 8] = 255 * (i >> bit & 1)
    return frames


def number_of(image: np.ndarray) -> int:
    """Return the number that a frame shows, after any lossy codec."""
    return sum(int(image[2:6, bit * 8 + 2 : bit * 8 + 6].mean() > 127) << bit for bit in range(8))
