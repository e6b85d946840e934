"""Frames of a scene: colours, metric depth, and which thing each pixel shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from attrs import frozen

from probe4d_datasets.playroom.cast import cast
from probe4d_datasets.playroom.scene import Scene
from probe4d_datasets.playroom.shade import shade
from probe4d_datasets.playroom.texture import Photo, noise_table

NOISE = 20_240  # seed of the noise's lattice; offsets make it another one for each surface
EXPOSURE = 1.15
# Whoever changes one bit of what is rendered counts this up: it is part of every cache address.
VERSION = 1


@frozen(kw_only=True, eq=False)
class Frames:
    """Rendered frames.

    Attributes:
        video: (t, h, w, 3) uint8.
        depth: (t, h, w) float32, metres along the camera's z, at the pixels' centres.
        ids: (t, h, w) uint8, at the pixels' centres: 0 the room, i + 1 the scene's thing i.
    """

    video: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    ids: npt.NDArray[np.uint8]


def render(
    scene: Scene,
    size: tuple[int, int],
    frames: int,
    *,
    only: Sequence[int] | None = None,
    antialias: int = 1,
    photos: Sequence[Photo] = (),
) -> Frames:
    """Return the frames of a clip of `frames` frames, or those of the numbers in `only`.

    Args:
        size: (height, width).
        antialias: rays per pixel and direction for the colours; depth and ids are never averages.
        photos: what surfaces are painted with; patterns and noise where there are none.
    """
    wanted = range(frames) if only is None else only
    out = Frames(
        video=np.empty((len(wanted), *size, 3), np.uint8),
        depth=np.empty((len(wanted), *size), np.float32),
        ids=np.empty((len(wanted), *size), np.uint8),
    )
    table = noise_table(NOISE)
    for i, frame in enumerate(wanted):
        s = scene.time(frame, frames)
        hits = cast(scene, s, size)
        out.depth[i], out.ids[i] = hits.depth, hits.ids
        if antialias == 1:
            color = shade(scene, hits, table, photos)
        else:
            color = _averaged(scene, s, size, antialias, table, photos)
        for channel in range(3):
            out.video[i, :, :, channel] = _display(color[channel])
    return out


def _averaged(
    scene: Scene,
    s: float,
    size: tuple[int, int],
    antialias: int,
    table: npt.NDArray[np.float32],
    photos: Sequence[Photo],
) -> npt.NDArray[np.float32]:
    total = np.zeros((3, *size), np.float32)
    for row in range(antialias):
        for column in range(antialias):
            at = ((column + 0.5) / antialias, (row + 0.5) / antialias)
            total += shade(scene, cast(scene, s, size, at), table, photos)
    return total * np.float32(1.0 / (antialias * antialias))


def _display(linear: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return 0..255 of linear light by a square root, which IEEE 754 fixes; sRGB's power it does not."""
    shown = np.sqrt(np.minimum(np.maximum(linear * np.float32(EXPOSURE), np.float32(0.0)), np.float32(1.0)))
    rounded: npt.NDArray[np.uint8] = np.floor(shown * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
    return rounded
