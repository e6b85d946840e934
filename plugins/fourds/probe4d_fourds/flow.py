"""Optical flow as features: what a readout can do with motion that nobody learned. numpy and OpenCV.

A yardstick rather than a backbone. It tells a benchmark, or a readout, that cannot use motion from a backbone that
carries none. Beside the patch colours and places of `pixels`, each token holds the motion since the frame before and
the way that what it showed in the first frame has gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from probe4d_fourds.floors import FLOW
from probe4d_fourds.pixels import Array, Floor, patch_means, placed_colours

__all__ = ["Flow", "dense_flow", "followed"]

STEP_SCALE = 32.0  # of the motion between two frames, as a share of the frame: a frame in half a second is about 1
WAY_SCALE = 8.0  # of the way since the first frame


class Flow(Floor):
    """Colours, place, motion since the frame before, and way since the first frame of each patch."""

    name = "flow"
    sizes = FLOW

    def features(self, video: Array) -> Array:
        """Return `(b, t, k, 7 · cells² + 16)`."""
        size = np.array(video.shape[3:1:-1], np.float32)  # w, h: flow is x, y
        with _one_thread():
            steps = np.stack([dense_flow(clip) for clip in video])
            ways = np.stack([followed(clip) for clip in steps])
        motion = np.concatenate([steps / size * STEP_SCALE, ways / size * WAY_SCALE], axis=-1)
        moved = patch_means(motion, self.patch, self.cells)
        return np.concatenate([placed_colours(video, self.patch, self.cells), moved], axis=-1)


def dense_flow(clip: Array) -> Array:
    """Return `(t, h, w, 2)` float32 x, y in pixels: the way of each pixel of the frame before; 0 for the first.

    Dense Inverse Search at full resolution (Kroeger et al. 2016; OpenCV's implementation, "medium").

    Args:
        clip: `(t, h, w, 3)` float32 in [0, 1].
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in np.round(clip * 255).astype(np.uint8)]
    flow = np.zeros((*clip.shape[:3], 2), np.float32)
    for index in range(1, len(grey)):
        flow[index] = search.calc(grey[index - 1], grey[index], flow[index])  # the search starts at no motion
    return flow


def followed(steps: Array) -> Array:
    """Return `(t, h, w, 2)`: how far each pixel of the first frame has gone by each frame, in pixels.

    Steps are added where the pixel has got to; whoever is hidden goes with what hides it.
    """
    height, width = steps.shape[1:3]
    start = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)  # x, y
    ways = np.zeros_like(steps)
    for index in range(1, len(steps)):
        x, y = np.moveaxis(start + ways[index - 1], -1, 0)
        step = cv2.remap(steps[index], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        ways[index] = ways[index - 1] + step
    return ways


@contextmanager
def _one_thread() -> Iterator[None]:
    """Search in one thread: OpenCV cuts the frame by their number, and flow crosses no cut."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
