"""The exact targets of a scene: camera poses, point tracks with visibility, boxes of visible pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from probe4d_datasets.playroom.cast import focal, meet
from probe4d_datasets.playroom.exact import Mat, Stream, apply, transpose
from probe4d_datasets.playroom.scene import Scene

Floats: TypeAlias = npt.NDArray[np.float64]
Ids: TypeAlias = npt.NDArray[np.uint8]
AHEAD = 1.0 - 1e-4  # a surface hides a point when it is nearer than this share of the point's distance


def camera_poses(scene: Scene, times: Sequence[float], size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return extrinsics `(t, 3, 4)`, world to camera, and intrinsics `(t, 3, 3)` in pixels (corner origin)."""
    extrinsics, intrinsics = np.zeros((len(times), 3, 4)), np.zeros((len(times), 3, 3))
    f = focal(scene.camera, size)
    for i, s in enumerate(times):
        axes, eye = scene.camera.pose(s)
        extrinsics[i, :, :3] = axes
        extrinsics[i, :, 3] = [-x for x in apply(axes, eye)]
        intrinsics[i] = ((f, 0.0, size[1] / 2.0), (0.0, f, size[0] / 2.0), (0.0, 0.0, 1.0))
    return extrinsics, intrinsics


def visible_boxes(ids: Ids, things: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return boxes `(n, t, 4)` = (ymin, xmin, ymax, xmax) in [0, 1] of visible pixels, and present `(n, t)`.

    Args:
        ids: (t, h, w), as `Frames.ids`.
    """
    frames, height, width = ids.shape
    boxes = np.zeros((things, frames, 4), np.float32)
    present = np.zeros((things, frames), np.bool_)
    for i in range(things):
        mask = ids == i + 1
        rows, columns = mask.any(2), mask.any(1)
        present[i] = rows.any(1)
        ends = (
            rows.argmax(1) / height,
            columns.argmax(1) / width,
            (height - rows[:, ::-1].argmax(1)) / height,
            (width - columns[:, ::-1].argmax(1)) / width,
        )
        boxes[i] = np.where(present[i][:, None], np.stack(ends, 1), 0.0)
    return boxes, present


def choose_pixels(stream: Stream, ids: Ids, things: int, count: int) -> npt.NDArray[np.intp]:
    """Return `(count,)` flat pixel numbers of a frame: half on things, alike on each, the rest on the room.

    A thing with too few pixels leaves its share to the next; no pixel comes twice unless the frame has too few.
    """
    shown = [pixels for i in range(things) if (pixels := np.flatnonzero(ids == i + 1)).size]
    shown.sort(key=lambda pixels: pixels.size)  # stable: ties stay in the order of things
    chosen: list[int] = []
    for i, pixels in enumerate(shown):
        share = (count // 2 - len(chosen)) // (len(shown) - i)
        chosen += _draw(stream, pixels, min(share, pixels.size))
    room = np.flatnonzero(ids == 0)
    chosen += _draw(stream, room, min(count - len(chosen), room.size))
    while len(chosen) < count:
        chosen.append(stream.below(ids.size))
    return np.array(chosen, np.intp)


def _draw(stream: Stream, pixels: npt.NDArray[np.intp], count: int) -> list[int]:
    """Return `count` of the pixels, each once (the first steps of a Fisher-Yates shuffle)."""
    pool = pixels.copy()
    for i in range(count):
        other = i + stream.below(pool.size - i)
        pool[i], pool[other] = pool[other], pool[i]
    return [int(pixel) for pixel in pool[:count]]


def tracks(
    scene: Scene,
    times: Sequence[float],
    size: tuple[int, int],
    first: tuple[float, npt.NDArray[np.float32], Ids],
    pixels: npt.NDArray[np.intp],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return tracks `(n, t, 2)` = (x, y) in pixels and visible `(n, t)` of the surface points that pixels show.

    Args:
        first: time, depth (h, w) and ids (h, w) of the frame that the points are seeded in.
        pixels: (n,) flat pixel numbers of that frame; a point is what its pixel's centre shows.
    """
    f = focal(scene.camera, size)
    own, points = _seed(scene, size, first, pixels)
    place = np.empty((len(pixels), len(times), 2), np.float32)
    visible = np.empty((len(pixels), len(times)), np.bool_)
    for i, s in enumerate(times):
        poses = [thing.path.pose(s) for thing in scene.things]
        world = _transform(points, own, poses)
        axes, eye = scene.camera.pose(s)
        ray = [world[k] - eye[k] for k in range(3)]
        x, y, z = (axis[0] * ray[0] + axis[1] * ray[1] + axis[2] * ray[2] for axis in axes)
        ahead = np.where(z > 0.0, z, np.inf)  # behind the camera there is no picture: the centre stands in
        place[:, i, 0], place[:, i, 1] = x / ahead * f + size[1] / 2.0, y / ahead * f + size[0] / 2.0
        seen = (z > 0.0) & (abs(x) * f <= z * (size[1] / 2.0)) & (abs(y) * f <= z * (size[0] / 2.0))
        for thing, pose in zip(scene.things, poses, strict=True):
            enter, hit = meet(thing, pose, eye, (ray[0], ray[1], ray[2]))
            seen &= ~(hit & (enter < AHEAD))
        visible[:, i] = seen
    return place, visible


def _seed(
    scene: Scene,
    size: tuple[int, int],
    first: tuple[float, npt.NDArray[np.float32], Ids],
    pixels: npt.NDArray[np.intp],
) -> tuple[npt.NDArray[np.int64], list[Floats]]:
    """Return which thing each point is on (0 the room) and where, in the thing's own space."""
    s, depth, ids = first
    f = focal(scene.camera, size)
    axes, eye = scene.camera.pose(s)
    z = depth.reshape(-1)[pixels].astype(np.float64)
    x = (pixels % size[1] + 0.5 - size[1] / 2.0) / f * z
    y = (pixels // size[1] + 0.5 - size[0] / 2.0) / f * z
    world = [axes[0][k] * x + axes[1][k] * y + axes[2][k] * z + eye[k] for k in range(3)]
    own = ids.reshape(-1)[pixels].astype(np.int64)
    poses = [thing.path.pose(s) for thing in scene.things]
    inverses = [(transpose(r), [-c for c in apply(transpose(r), t)]) for r, t in poses]
    return own, _transform(world, own, inverses)


def _transform(
    points: list[Floats], own: npt.NDArray[np.int64], poses: Sequence[tuple[Mat, Sequence[float]]]
) -> list[Floats]:
    """Return points of things carried by their poses; those of the room as they are."""
    out = [p.copy() for p in points]
    for i, (rotation, center) in enumerate(poses):
        mine = own == i + 1
        x, y, z = (p[mine] for p in points)
        for k, axis in enumerate(rotation):
            out[k][mine] = axis[0] * x + axis[1] * y + axis[2] * z + center[k]
    return out


def query_points(place: npt.NDArray[np.float32], visible: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return `(n, 3)` = (t, y, x): where each track is first seen; the first frame for one that never is."""
    t = visible.argmax(1)
    at = place[np.arange(len(place)), t]
    return np.stack((t.astype(np.float32), at[:, 1], at[:, 0]), 1)


def as_targets(
    scene: Scene,
    times: Sequence[float],
    size: tuple[int, int],
    shown: tuple[npt.NDArray[np.float32], Ids],
    points: tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]],
) -> Mapping[str, Mapping[str, npt.NDArray[np.generic]]]:
    """Return the targets of all five kinds, as `probe4d.contracts.Sample` describes them.

    Args:
        shown: depth (t, h, w) and ids (t, h, w) of the frames at `times`.
        points: tracks and visible, of `tracks`.
    """
    depth, ids = shown
    boxes, present = visible_boxes(ids, len(scene.things))
    extrinsics, intrinsics = camera_poses(scene, times, size)
    return {
        "points": {"tracks": points[0], "visible": points[1], "query_points": query_points(*points)},
        "boxes": {"boxes": boxes, "present": present},
        "depth": {"depth": depth, "valid": np.ones(depth.shape, np.bool_)},
        "pose": {"extrinsics": extrinsics, "intrinsics": intrinsics},
        "labels": {"label": np.array(scene.label, np.int64)},
    }
