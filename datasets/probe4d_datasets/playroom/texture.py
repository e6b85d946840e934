"""Albedo of surface points: solid value noise with checker, stripe and dot patterns, or photographs. float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from probe4d_datasets.playroom.exact import Stream
from probe4d_datasets.playroom.scene import Material

Floats: TypeAlias = npt.NDArray[np.float32]
Photo: TypeAlias = npt.NDArray[np.float32]  # (side, side, 3) linear RGB
PERIOD = 16  # cells after which the noise repeats
PHOTO_CELLS = 0.4  # photographs per metre and pattern cell
TINT = 0.6  # how far a photograph takes on its material's colour, so that things of one photograph differ


def noise_table(seed: int) -> Floats:
    """Return the noise's values at the points of its lattice, flat in (x, y, z) order."""
    return Stream(seed).table(PERIOD**3)


def albedo(
    material: Material,
    points: Sequence[Floats],
    table: Floats,
    photo: Photo | None = None,
    facing: npt.NDArray[np.uint8] | None = None,
) -> tuple[Floats, Floats, Floats]:
    """Return linear red, green and blue, `(n,)` each.

    Args:
        points: x, y, z in the surface's own space, metres, `(n,)` each.
        table: of `noise_table`.
        photo: what is painted on it in place of pattern and noise.
        facing: axis (0..2) that the surface faces at each point; a photograph is painted along it.
    """
    if photo is not None:
        assert facing is not None
        return _photograph(material, points, photo, facing)
    grain = _noise([p * material.grain + o for p, o in zip(points, material.offset, strict=True)], table)
    bright = (grain - 0.5) * (2.0 * material.contrast) + 1.0
    mix = _pattern(material, points)
    if mix is None:
        red, green, blue = (bright * low for low in material.low)
    else:
        red, green, blue = (
            np.where(mix, np.float32(high), np.float32(low)) * bright
            for low, high in zip(material.low, material.high, strict=True)
        )
    return red, green, blue


def _pattern(material: Material, points: Sequence[Floats]) -> npt.NDArray[np.bool_] | None:
    """Return where the second colour is."""
    if material.pattern == "plain":
        return None
    if material.pattern == "stripes":
        x, y, z = (p * (a * material.frequency) for p, a in zip(points, material.axis, strict=True))
        across = x + y + z + material.offset[0]
        stripe: npt.NDArray[np.bool_] = across - np.floor(across) < 0.5
        return stripe
    cells = [p * material.frequency + o for p, o in zip(points, material.offset, strict=True)]
    floors = [np.floor(cell) for cell in cells]
    if material.pattern == "checker":
        half = (floors[0] + floors[1] + floors[2]) * 0.5
        odd: npt.NDArray[np.bool_] = half != np.floor(half)
        return odd
    x, y, z = (cell - floor - 0.5 for cell, floor in zip(cells, floors, strict=True))
    dots: npt.NDArray[np.bool_] = x * x + y * y + z * z < 0.16
    return dots


def _noise(points: Sequence[Floats], table: Floats) -> Floats:
    """Return trilinear value noise in [0, 1]: two octaves of the same lattice."""
    coarse = _octave(points, table)
    fine = _octave([p * 2.71875 for p in points], table)
    return coarse * 0.625 + fine * 0.375


def _octave(points: Sequence[Floats], table: Floats) -> Floats:
    low, high, part = [], [], []
    for p, step in zip(points, (PERIOD * PERIOD, PERIOD, 1), strict=True):
        floor = np.floor(p)
        cell = floor.astype(np.int32)
        low.append((cell & (PERIOD - 1)) * step)
        high.append(((cell + 1) & (PERIOD - 1)) * step)
        part.append(p - floor)
    lines = []
    for x in (low[0], high[0]):
        for y in (low[1], high[1]):
            line = x + y
            start = table.take(line + low[2])
            lines.append(start + (table.take(line + high[2]) - start) * part[2])
    near = lines[0] + (lines[1] - lines[0]) * part[1]
    far = lines[2] + (lines[3] - lines[2]) * part[1]
    value: Floats = near + (far - near) * part[0]
    return value


def _photograph(
    material: Material, points: Sequence[Floats], photo: Photo, facing: npt.NDArray[np.uint8]
) -> tuple[Floats, Floats, Floats]:
    """Return the photograph's colours, mirrored where it ends, bilinear."""
    side = photo.shape[0]
    pixels = material.frequency * PHOTO_CELLS * side
    across = np.where(facing == 0, points[1], points[0]) * pixels + material.offset[0] * 16.0
    # World z is up and photographs have their first row on top.
    down = np.where(facing == 2, points[1], points[2]) * -pixels + material.offset[1] * 16.0
    (x0, x1, fx), (y0, y1, fy) = _mirrored(across, side), _mirrored(down, side)
    brightest = max(material.high)
    colors = []
    for channel in range(3):
        tint = np.float32(1.0 - TINT + TINT * material.high[channel] / brightest)
        plane = np.ascontiguousarray(photo[:, :, channel]).reshape(-1)
        top = plane.take(y0 * side + x0)
        top = top + (plane.take(y0 * side + x1) - top) * fx
        bottom = plane.take(y1 * side + x0)
        bottom = bottom + (plane.take(y1 * side + x1) - bottom) * fx
        colors.append((top + (bottom - top) * fy) * tint)
    return colors[0], colors[1], colors[2]


def _mirrored(place: Floats, side: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Floats]:
    floor = np.floor(place)
    cell = floor.astype(np.int32)
    both = []
    for index in (cell, cell + 1):
        around = index & (2 * side - 1)  # side is a power of two
        both.append(np.where(around < side, around, 2 * side - 1 - around).astype(np.int32))
    return both[0], both[1], place - floor
