"""Rays from the camera to the first surface they meet: depth and what was met, per pixel, in float64.

Only `+ - * /`, square roots, comparisons and gathers: IEEE 754 fixes the bits of each.
A ray is `eye + z * direction` with directions of unit z in the camera, so `z` is metric depth.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from attrs import frozen

from probe4d_datasets.playroom.exact import Mat, Vec, add, apply, scale, sub, transpose
from probe4d_datasets.playroom.scene import CameraPath, Scene, Thing

Floats: TypeAlias = npt.NDArray[np.float64]
Pixels: TypeAlias = tuple[Floats, Floats, Floats]  # x, y, z apart: one axis after the other stays in the CPU's cache
NEAR = 1e-6
TINY = 1e-12  # in place of a direction's zero, so that nothing is divided by zero


@frozen(kw_only=True, eq=False)
class Hits:
    """What each pixel of a frame sees.

    Attributes:
        depth: (h, w) float64, metres along the camera's z.
        ids: (h, w) uint8: 0 the room, i + 1 the thing i.
        wall: (h, w) uint8: axis of the room's surface behind it, plus 3 for the one of high coordinates.
        eye, directions: the rays, in the world; directions are three (h, w).
        poses: of each thing, object to world.
    """

    depth: Floats
    ids: npt.NDArray[np.uint8]
    wall: npt.NDArray[np.uint8]
    eye: Vec
    directions: Pixels
    poses: tuple[tuple[Mat, Vec], ...]


def focal(camera: CameraPath, size: tuple[int, int]) -> float:
    """Return the focal length in pixels of a frame of `size` (height, width)."""
    return min(size) / 2.0 / camera.tan_half


def cast(scene: Scene, s: float, size: tuple[int, int], at: tuple[float, float] = (0.5, 0.5)) -> Hits:
    """Return what the pixels of the frame at time s see.

    Args:
        size: (height, width).
        at: where in each pixel the ray goes through, (x, y) from its corner; the centre by default.
    """
    axes, eye = scene.camera.pose(s)
    f = focal(scene.camera, size)
    height, width = size
    x = (np.arange(width, dtype=np.float64) + (at[0] - width / 2.0)) / f
    y = (np.arange(height, dtype=np.float64) + (at[1] - height / 2.0)) / f
    dx, dy, dz = ((axes[0][k] * x)[None, :] + (axes[1][k] * y + axes[2][k])[:, None] for k in range(3))
    directions = (dx, dy, dz)
    depth, wall = _cast_room(scene, eye, directions)
    ids = np.zeros(size, np.uint8)
    poses = tuple(thing.path.pose(s) for thing in scene.things)
    for i, thing in enumerate(scene.things):
        window = _window(thing, poses[i], axes, eye, f, size)
        if window is None:
            continue
        near = depth[window]
        z, hit = meet(thing, poses[i], eye, (dx[window], dy[window], dz[window]))
        hit &= z < near
        near[hit] = z[hit]
        ids[window][hit] = i + 1
    return Hits(depth=depth, ids=ids, wall=wall, eye=eye, directions=directions, poses=poses)


def _cast_room(scene: Scene, eye: Vec, directions: Pixels) -> tuple[Floats, npt.NDArray[np.uint8]]:
    depth: Floats | None = None
    wall = np.empty(0, np.uint8)
    for k in range(3):
        low, high = scene.room.low[k] - eye[k], scene.room.high[k] - eye[k]
        direction = directions[k]
        upward = direction > 0.0
        z = np.where(upward, high, low) / _nonzero(direction)
        face = np.where(upward, np.uint8(k + 3), np.uint8(k))
        if depth is None:
            depth, wall = z, face
        else:
            nearer = z < depth
            depth, wall = np.where(nearer, z, depth), np.where(nearer, face, wall)
    assert depth is not None
    return depth, wall


def meet(thing: Thing, pose: tuple[Mat, Vec], origin: Vec, directions: Pixels) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return where rays enter a thing (multiples of their directions) and whether they do, ahead of the origin."""
    to_object = transpose(pose[0])
    start = apply(to_object, sub(origin, pose[1]))
    local = [axis[0] * directions[0] + axis[1] * directions[1] + axis[2] * directions[2] for axis in to_object]
    if thing.shape == "box":
        return _enter_box(start, local, thing.half)
    return _enter_ellipsoid(start, local, thing.half)


def _enter_box(start: Vec, local: list[Floats], half: Vec) -> tuple[Floats, npt.NDArray[np.bool_]]:
    enter = np.full(local[0].shape, -np.inf)
    leave = np.full(local[0].shape, np.inf)
    for k in range(3):
        inverse = 1.0 / _nonzero(local[k])
        one, other = (-half[k] - start[k]) * inverse, (half[k] - start[k]) * inverse
        enter = np.maximum(enter, np.minimum(one, other))
        leave = np.minimum(leave, np.maximum(one, other))
    return enter, (enter <= leave) & (enter > NEAR)


def _enter_ellipsoid(start: Vec, local: list[Floats], half: Vec) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Solve |start + z local| = 1 in the space where the ellipsoid is the unit ball."""
    x, y, z = (direction / h for direction, h in zip(local, half, strict=True))
    ox, oy, oz = (o / h for o, h in zip(start, half, strict=True))
    a = x * x + y * y + z * z
    b = ox * x + oy * y + oz * z
    c = ox * ox + oy * oy + oz * oz - 1.0
    inside = b * b - a * c
    hit = inside > 0.0
    enter = (-b - np.sqrt(np.where(hit, inside, 0.0))) / a
    return enter, hit & (enter > NEAR)


def _nonzero(direction: Floats) -> Floats:
    return np.where(direction == 0.0, TINY, direction)


def _window(
    thing: Thing, pose: tuple[Mat, Vec], axes: Mat, eye: Vec, f: float, size: tuple[int, int]
) -> tuple[slice, slice] | None:
    """Return rows and columns that hold the thing's picture: those of its bounding box's corners."""
    xs, ys = [], []
    columns = transpose(pose[0])
    for corner in range(8):
        point = pose[1]
        for k in range(3):
            point = add(point, scale(columns[k], thing.half[k] if corner >> k & 1 else -thing.half[k]))
        x, y, z = apply(axes, sub(point, eye))
        if z < NEAR:
            return slice(0, size[0]), slice(0, size[1])
        xs.append(x / z * f + size[1] / 2.0)
        ys.append(y / z * f + size[0] / 2.0)
    rows = slice(max(math.floor(min(ys)) - 1, 0), min(math.ceil(max(ys)) + 1, size[0]))
    columns_ = slice(max(math.floor(min(xs)) - 1, 0), min(math.ceil(max(xs)) + 1, size[1]))
    return (rows, columns_) if rows.start < rows.stop and columns_.start < columns_.stop else None
