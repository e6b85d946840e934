"""The colours of what the rays met: texture, one lamp with hard shadows, ambient light. float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from probe4d_datasets.playroom.cast import Hits
from probe4d_datasets.playroom.exact import Mat, Vec, apply, sub, transpose
from probe4d_datasets.playroom.scene import Material, Scene, Thing
from probe4d_datasets.playroom.texture import Photo, albedo

Floats: TypeAlias = npt.NDArray[np.float32]
BIAS = 2e-3  # metres that a shadow ray starts above its surface
FALLOFF = 0.16  # per square metre: how light thins out with distance
SKIRTING = 0.09  # metres of the walls' foot that are darker


def shade(scene: Scene, hits: Hits, table: Floats, photos: Sequence[Photo] = ()) -> Floats:
    """Return `(3, h, w)` linear RGB of what each pixel sees."""
    z = hits.depth
    world = [(e + d * z).astype(np.float32).ravel() for e, d in zip(hits.eye, hits.directions, strict=True)]
    n = world[0].size
    colors = np.empty((3, n), np.float32)
    normals = np.empty((3, n), np.float32)
    ids = hits.ids.ravel()
    surface = np.where(ids == 0, hits.wall.ravel(), ids + np.uint8(5))  # 0..5 walls, 6.. things
    for face in range(6):
        where = np.flatnonzero(surface == face)
        if where.size:
            _paint_room(scene, face, where, world, (colors, normals), table, photos)
    for i, thing in enumerate(scene.things):
        where = np.flatnonzero(ids == i + 1)
        if where.size:
            _paint_thing(thing, hits.poses[i], where, world, (colors, normals), table, photos)
    lit = _light(scene, hits, world, normals)
    light = scene.light
    for channel in range(3):
        colors[channel] *= lit * light.color[channel] + (normals[2] * 0.1 + light.ambient)
    return colors.reshape(3, *z.shape)


def _paint_room(
    scene: Scene,
    face: int,
    where: npt.NDArray[np.intp],
    world: list[Floats],
    out: tuple[Floats, Floats],
    table: Floats,
    photos: Sequence[Photo],
) -> None:
    axis, high = face % 3, face >= 3
    room = scene.room
    material = (room.ceiling if high else room.floor) if axis == 2 else room.wall
    points = [w[where] for w in world]
    facing = np.full(where.size, axis, np.uint8) if photos else None
    colors, normals = out
    painted = albedo(material, points, table, _photo(material, photos), facing)
    dim = np.where(points[2] < SKIRTING, np.float32(0.35), np.float32(1.0)) if axis != 2 else None
    for channel in range(3):
        colors[channel, where] = painted[channel] if dim is None else painted[channel] * dim
        normals[channel, where] = (-1.0 if high else 1.0) if channel == axis else 0.0


def _paint_thing(
    thing: Thing,
    pose: tuple[Mat, Vec],
    where: npt.NDArray[np.intp],
    world: list[Floats],
    out: tuple[Floats, Floats],
    table: Floats,
    photos: Sequence[Photo],
) -> None:
    rotation, center = pose
    away = [w[where] - np.float32(c) for w, c in zip(world, center, strict=True)]
    points = [_dot32(axis, away) for axis in transpose(rotation)]
    local = _normals(thing, points)
    facing = _facing(local) if photos else None
    painted = albedo(thing.material, points, table, _photo(thing.material, photos), facing)
    colors, normals = out
    for channel in range(3):
        colors[channel, where] = painted[channel]
        normals[channel, where] = _dot32(rotation[channel], local)


def _normals(thing: Thing, points: list[Floats]) -> list[Floats]:
    """Return the surface's normal at points in its own space."""
    scaled = [p / np.float32(h) for p, h in zip(points, thing.half, strict=True)]
    if thing.shape == "box":
        size = [np.abs(x) for x in scaled]
        on_x = (size[0] >= size[1]) & (size[0] >= size[2])
        on_y = ~on_x & (size[1] >= size[2])
        chosen = (on_x, on_y, ~on_x & ~on_y)
        return [
            np.where(on, np.where(x > 0.0, np.float32(1.0), np.float32(-1.0)), np.float32(0.0))
            for on, x in zip(chosen, scaled, strict=True)
        ]
    x, y, z = (p / np.float32(h) for p, h in zip(scaled, thing.half, strict=True))
    length = np.sqrt(x * x + y * y + z * z)
    return [x / length, y / length, z / length]


def _facing(normal: list[Floats]) -> npt.NDArray[np.uint8]:
    x, y, z = (np.abs(component) for component in normal)
    return np.where((x >= y) & (x >= z), np.uint8(0), np.where(y >= z, np.uint8(1), np.uint8(2)))


def _light(scene: Scene, hits: Hits, world: list[Floats], normals: Floats) -> Floats:
    """Return how much of the lamp's light arrives: cosine, distance, and 0 in a shadow."""
    lamp = scene.light.position
    way = [np.float32(x) - w for x, w in zip(lamp, world, strict=True)]
    square = way[0] * way[0] + way[1] * way[1] + way[2] * way[2]
    cosine = (way[0] * normals[0] + way[1] * normals[1] + way[2] * normals[2]) / np.sqrt(square)
    lit: Floats = np.maximum(cosine, np.float32(0.0)) / (square * FALLOFF + 0.5)
    start = [w + n * BIAS for w, n in zip(world, normals, strict=True)]
    bright = np.flatnonzero(cosine > 0.0)
    start = [x[bright] for x in start]
    dark = np.zeros(bright.size, np.bool_)
    for thing, pose in zip(scene.things, hits.poses, strict=True):
        dark |= _shadowed(thing, pose, lamp, start)
    lit[bright[dark]] = 0.0
    return lit


def _shadowed(thing: Thing, pose: tuple[Mat, Vec], lamp: Vec, start: list[Floats]) -> npt.NDArray[np.bool_]:
    """Return whether a thing is between points and the lamp."""
    to_object = transpose(pose[0])
    light = apply(to_object, sub(lamp, pose[1]))
    offset = apply(to_object, pose[1])
    unit = [np.float32(1.0 / h) for h in thing.half]
    place = [(_dot32(axis, start) - np.float32(offset[k])) * unit[k] for k, axis in enumerate(to_object)]
    way = [np.float32(light[k]) * unit[k] - place[k] for k in range(3)]
    # In these coordinates the thing is the cube or the ball of size 1, and the lamp is outside.
    if thing.shape == "box":
        enter = np.zeros(place[0].shape, np.float32)
        leave = np.ones(place[0].shape, np.float32)
        for x, d in zip(place, way, strict=True):
            inverse = np.float32(1.0) / np.where(d == 0.0, np.float32(1e-12), d)
            one, other = (np.float32(-1.0) - x) * inverse, (np.float32(1.0) - x) * inverse
            enter = np.maximum(enter, np.minimum(one, other))
            leave = np.minimum(leave, np.maximum(one, other))
        between: npt.NDArray[np.bool_] = enter < leave
        return between
    a = way[0] * way[0] + way[1] * way[1] + way[2] * way[2]
    b = place[0] * way[0] + place[1] * way[1] + place[2] * way[2]
    c = place[0] * place[0] + place[1] * place[1] + place[2] * place[2] - np.float32(1.0)
    # Its nearest point lies on the way to the lamp (b < 0) and inside.
    inside: npt.NDArray[np.bool_] = (b < 0.0) & (b * b > a * c) & (a + b > 0.0)
    return inside


def _dot32(axis: Vec, components: list[Floats]) -> Floats:
    x, y, z = components
    total: Floats = x * np.float32(axis[0]) + y * np.float32(axis[1]) + z * np.float32(axis[2])
    return total


def _photo(material: Material, photos: Sequence[Photo]) -> Photo | None:
    return photos[material.photo % len(photos)] if photos else None
