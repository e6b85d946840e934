"""Point tracks out of a rendered scene, as TAP-Vid-Kubric makes them.

A background point is lifted by its distance and stays where it is in the world. A point on an
object is known in the coordinates of the object's box, and goes with the box. It is occluded where
it is behind the camera, behind what the depth map shows, on another segment, outside of the frame,
or where its surface faces away.
Source: google-research/kubric, `challenges/point_tracking/dataset.py` (Apache-2.0), described in
TAP-Vid (arXiv 2211.03726), appendix; float32 like the original, so that comparisons fall alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d_datasets.movi.record import Cameras

__all__ = ["Anchors", "Scene", "Surface", "anchor", "camera_matrix", "follow", "rotations", "smooth"]

# Of an object's box, in the order of its stored corners.
CORNERS = np.array(list(itertools.product((-0.5, 0.5), repeat=3)), np.float32)
TOLERANCE = np.float32(0.99)  # of distances: nearer than that by the depth map is occluded
ROUGH = 0.05 * 0.05  # squared difference of neighbouring normals that a smooth surface stays below


@frozen
class Scene:
    """What is known of every frame of the video.

    Attributes:
        boxes: corners (k, s, 8, 3) in metres of the world.
        quaternions: (k, s, 4) w x y z of the objects.
        size: (height, width) of the frames.
        focal: (x, y) in widths and heights of the frame.
    """

    cameras: Cameras
    boxes: Array
    quaternions: Array
    size: tuple[int, int]
    focal: tuple[float, float]


@frozen
class Surface:
    """The maps of one frame: distance (h, w) in metres, segments (h, w), normals and object coordinates (h, w, 3)."""

    distance: Array
    segments: Array
    normals: Array
    coordinates: Array


@frozen
class Anchors:
    """Points fixed to what they lie on.

    Attributes:
        frames: (n,) of the video in which each was chosen.
        segments: (n,), 0 for the background.
        places: (n, 3) in the object's box, or in the world for the background.
        normals: (n, 3) in the world, at the frame of choice.
        trusted: (n,) whether the surface is smooth there.
    """

    frames: Array
    segments: Array
    places: Array
    normals: Array
    trusted: Array


def rotations(quaternions: Array) -> Array:
    """Return rotation matrices (…, 3, 3) of quaternions (…, 4) w x y z."""
    w, x, y, z = np.moveaxis(np.asarray(quaternions, np.float32), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.asarray(rows, np.float32), (0, 1), (-2, -1))


def anchor(scene: Scene, surfaces: Mapping[int, Surface], queries: Array) -> Anchors:
    """Return the points under these pixels.

    Args:
        surfaces: by frame of the video; one for every frame that is asked.
        queries: (n, 3) integers: frame of the video, row, column.
    """
    n = len(queries)
    made = Anchors(
        frames=queries[:, 0],
        segments=np.zeros(n, np.int64),
        places=np.zeros((n, 3), np.float32),
        normals=np.zeros((n, 3), np.float32),
        trusted=np.zeros(n, bool),
    )
    for frame in np.unique(queries[:, 0]):
        surface, rows = surfaces[int(frame)], np.flatnonzero(queries[:, 0] == frame)
        y, x = queries[rows, 1], queries[rows, 2]
        made.segments[rows] = surface.segments[y, x]
        made.normals[rows] = _unit(surface.normals[y, x]) * 2 - 1
        made.trusted[rows] = smooth(surface.normals)[y, x]
        lifted = _lift(scene, int(frame), y, x, surface.distance[y, x])
        inside = _unit(surface.coordinates[y, x]) - np.float32(0.5)
        made.places[rows] = np.where(made.segments[rows, None] == 0, lifted, inside)
    return made


def follow(
    scene: Scene, anchors: Anchors, frames: Sequence[int], distance: Array, segments: Array
) -> tuple[Array, Array]:
    """Return positions (n, t, 2) x y in pixels (first pixel's centre 0.5), and whether occluded (n, t).

    Args:
        frames: of the video, (t,).
        distance, segments: (t, h, w) of these frames.
    """
    chosen = np.asarray(frames, np.intp)
    world = _in_world(scene, anchors, np.broadcast_to(chosen, (len(anchors.frames), len(chosen))))
    positions, in_front = _project(scene, chosen, world)
    away = world - scene.cameras.positions[chosen]
    reach = np.sqrt((away * away).sum(-1, dtype=np.float32))
    hidden = _hidden(positions, reach * TOLERANCE, anchors.segments, distance, segments)
    height, width = scene.size
    with np.errstate(invalid="ignore"):
        outside = ~((positions >= 0) & (positions <= np.array([width, height], np.float32))).all(-1)
    return positions, ~in_front | hidden | outside | _faces_away(scene, anchors, chosen, away)


def camera_matrix(scene_focal: tuple[float, float], size: tuple[int, int]) -> Array:
    """Return the intrinsics (3, 3) in pixels, corner origin."""
    height, width = size
    return np.array([[scene_focal[0] * width, 0, width / 2], [0, scene_focal[1] * height, height / 2], [0, 0, 1.0]])


def smooth(normals: Array) -> Array:
    """Return where a normal map `(h, w, 3)` uint16 is locally smooth: `(h, w)`.

    Rough ones come from a bump map rather than from the mesh: at least three of the four diagonal
    neighbours differ. Beyond the edge the map counts as zero.
    """
    unit = _unit(normals) * 2 - 1
    height, width = unit.shape[:2]
    padded = np.pad(unit, ((1, 1), (1, 1), (0, 0)))
    differing = np.zeros((height, width), np.int64)
    for i, j in itertools.product((0, 2), repeat=2):
        difference = padded[i : i + height, j : j + width] - unit
        differing += (difference * difference).sum(-1) > ROUGH
    return differing <= 2


def _unit(values: Array) -> Array:
    return values.astype(np.float32) / np.float32(65535)


def _lift(scene: Scene, frame: int, y: Array, x: Array, distance: Array) -> Array:
    """Return the points of the world (n, 3) that pixels show at this distance."""
    height, width = scene.size
    rays = np.stack(
        [
            ((x + 0.5) / width - 0.5) / scene.focal[0],
            -((y + 0.5) / height - 0.5) / scene.focal[1],
            np.full(len(x), -1.0),
        ],
        axis=1,
    )
    rays = (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32) * distance[:, None]
    turned = rays @ rotations(scene.cameras.quaternions[frame]).T
    return np.asarray(turned + scene.cameras.positions[frame], np.float32)


def _in_world(scene: Scene, anchors: Anchors, frames: Array) -> Array:
    """Return the anchors at frames (n, t) in the world: (n, t, 3)."""
    world = np.repeat(anchors.places[:, None], frames.shape[1], axis=1)
    on_object = np.flatnonzero(anchors.segments > 0)
    if len(on_object):
        corners = scene.boxes[anchors.segments[on_object, None] - 1, frames[on_object]]  # (m, t, 8, 3)
        # Least squares of `[corner, 1] @ affine = box`: the corners are orthogonal, so it is a mean.
        linear = np.einsum("ci,mtcj->mtij", CORNERS, corners) / np.float32(2)
        world[on_object] = np.einsum("mi,mtij->mtj", anchors.places[on_object], linear) + corners.mean(2)
    return world


def _project(scene: Scene, frames: Array, world: Array) -> tuple[Array, Array]:
    """Return x y in pixels (n, t, 2), and whether in front of the camera (n, t)."""
    turn = rotations(scene.cameras.quaternions[frames])
    local = np.einsum("nti,tij->ntj", world - scene.cameras.positions[frames], turn)  # inverse rotation
    depth = -local[..., 2]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        x = scene.focal[0] * local[..., 0] / depth + 0.5
        y = 0.5 - scene.focal[1] * local[..., 1] / depth
    height, width = scene.size
    return np.stack([x * width, y * height], -1).astype(np.float32), depth >= 0


def _hidden(positions: Array, reach: Array, own: Array, distance: Array, segments: Array) -> Array:
    """Return whether something nearer, or another segment, is at the four pixels around: (n, t)."""
    height, width = distance.shape[1:]
    at = np.nan_to_num(positions - np.float32(0.5), posinf=1e6, neginf=-1e6).clip(-1e6, 1e6)
    low = np.floor(at).astype(np.intp)
    frame = np.arange(distance.shape[0])
    farthest = np.full(reach.shape, -np.inf, np.float32)
    foreign = np.ones(reach.shape, bool)
    for dx, dy in itertools.product((0, 1), repeat=2):
        x, y = (low[..., 0] + dx).clip(0, width - 1), (low[..., 1] + dy).clip(0, height - 1)
        farthest = np.maximum(farthest, distance[frame, y, x])
        foreign &= segments[frame, y, x] != own[:, None]
    return (farthest < reach) | foreign


def _faces_away(scene: Scene, anchors: Anchors, frames: Array, away: Array) -> Array:
    """Return whether the surface turned away from the camera since the point was chosen: (n, t)."""
    turned = np.zeros(away.shape[:2], bool)
    rows = np.flatnonzero((anchors.segments > 0) & anchors.trusted)
    if len(rows):
        objects = anchors.segments[rows] - 1
        at_choice = rotations(scene.quaternions[objects, anchors.frames[rows]])
        own = np.einsum("nij,ni->nj", at_choice, anchors.normals[rows])  # inverse rotation
        normals = np.einsum("ntij,nj->nti", rotations(scene.quaternions[objects[:, None], frames]), own)
        turned[rows] = (normals * away[rows]).sum(-1) > 0
        chosen = anchors.frames[rows, None]
        subset = Anchors(
            *(getattr(anchors, name)[rows] for name in ("frames", "segments", "places", "normals", "trusted"))
        )
        seen = _in_world(scene, subset, chosen)[:, 0] - scene.cameras.positions[chosen[:, 0]]
        # Where it faced away already, the mesh is wrong and the test says nothing.
        turned[rows] &= ~((subset.normals * seen).sum(-1) > 0)[:, None]
    return turned
