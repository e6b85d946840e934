"""The targets of a MOVi clip: points, boxes, depth and cameras, each from the features that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays
from probe4d.errors import DataError
from probe4d_datasets.movi.queries import QueryDraw, draw_queries
from probe4d_datasets.movi.record import Record
from probe4d_datasets.movi.tracks import Scene, Surface, anchor, camera_matrix, follow, rotations
from probe4d_datasets.own.tracks import Tracks, queries

__all__ = ["boxes_of", "depth_of", "focal_of", "points_of", "pose_of", "scene_of"]

# From Blender's camera (x right, y up, looking along -z) to OpenCV's (x right, y down, z forward).
TO_OPENCV = np.diag([1.0, -1.0, -1.0])


def focal_of(record: Record, size: tuple[int, int], model: str) -> tuple[float, float]:
    """Return the focal length in widths and heights of the frame.

    Args:
        model: `tapvid` scales y by H/W, `square-pixels` by W/H; the same for square frames.
    """
    focal = record.cameras().focal
    height, width = size
    return focal, focal * (height / width if model == "tapvid" else width / height)


def scene_of(record: Record, size: tuple[int, int], model: str) -> Scene:
    """Return what a record knows of every frame of its video."""
    boxes = record.finite("instances/bboxes_3d", -1, record.length, 8, 3)
    turns = record.turns("instances/quaternions", -1, record.length, 4)
    if len(boxes) != len(turns):
        raise DataError(f"{record.where}: expected as many quaternions as boxes {len(boxes)}, got {len(turns)}.")
    return Scene(record.cameras(), boxes, turns, size, focal_of(record, size, model))


def points_of(record: Record, frames: Sequence[int], draw: QueryDraw, model: str, name: str) -> Arrays:
    """Return tracks, visible and query_points of points drawn on these frames (or on any of the video)."""
    asked = list(range(record.length)) if draw.on == "any" else [frames[0]]
    needed = sorted({*asked, *frames})
    maps = record.images("segmentations", needed)[..., 0]
    distances = record.metres(record.images("depth", needed)[..., 0])
    if maps.shape != distances.shape:
        raise DataError(f"{record.where}: expected segments of the depth's size {distances.shape}, got {maps.shape}.")
    place = {frame: number for number, frame in enumerate(needed)}
    scene = scene_of(record, (maps.shape[1], maps.shape[2]), model)
    if maps.max(initial=0) > len(scene.boxes):
        raise DataError(f"{record.where}: expected segments up to {len(scene.boxes)}, got {maps.max()}.")
    pixels = draw_queries(maps[[place[frame] for frame in asked]], np.asarray(asked), draw, name)
    used = sorted({int(frame) for frame in pixels[:, 0]})
    surfaces = _surfaces(record, used, distances, maps, place)
    anchors = anchor(scene, surfaces, pixels)
    rows = [place[frame] for frame in frames]
    positions, occluded = follow(scene, anchors, frames, distances[rows], maps[rows])
    at = {frame: number for number, frame in reversed(list(enumerate(frames)))}
    wanted = np.asarray([[at.get(int(t), -1), y + 0.5, x + 0.5] for t, y, x in pixels], np.float32).reshape(-1, 3)
    positions = np.nan_to_num(positions, posinf=0.0, neginf=0.0)  # behind the camera, where nothing is seen
    made = Tracks(positions=positions, visible=~occluded, query_points=wanted)
    return {"tracks": positions, "visible": ~occluded, "query_points": queries(made, range(len(frames)))}


def _surfaces(
    record: Record, frames: Sequence[int], distances: Array, maps: Array, place: dict[int, int]
) -> dict[int, Surface]:
    if not frames:
        return {}
    normals, coordinates = (record.images(key, frames) for key in ("normal", "object_coordinates"))
    if not normals.shape == coordinates.shape == (len(frames), *maps.shape[1:], 3):
        raise DataError(f"{record.where}: expected normals of the segments' size {maps.shape}, got {normals.shape}.")
    return {
        frame: Surface(distances[place[frame]], maps[place[frame]], normals[number], coordinates[number])
        for number, frame in enumerate(frames)
    }


def boxes_of(record: Record, frames: Sequence[int]) -> Arrays:
    """Return boxes (k, t, 4) and present (k, t) of every object of the video."""
    parts: list[Any] = []
    for key, last in (("bboxes", 4), ("bbox_frames", 1)):
        flat = record.finite(f"instances/{key}/ragged_flat_values", -1, last)
        lengths = record.numbers(f"instances/{key}/ragged_row_lengths_0", -1).astype(np.int64)
        if (lengths < 0).any() or lengths.sum() != len(flat):
            raise DataError(f"{record.where}, {key}: expected rows of {len(flat)} values, got lengths {lengths}.")
        parts += [flat, lengths]
    flat, lengths, numbers, of_frames = parts
    if not np.array_equal(lengths, of_frames):
        raise DataError(f"{record.where}: expected a frame for every box, got rows of {lengths} and {of_frames}.")
    count = len(lengths)
    boxes = np.zeros((count, record.length, 4), np.float32)
    present = np.zeros((count, record.length), bool)
    rows, columns = np.repeat(np.arange(count), lengths), numbers[:, 0].astype(np.int64)
    if len(columns) and not 0 <= columns.min() <= columns.max() < record.length:
        raise DataError(f"{record.where}: expected boxes of frames 0 to {record.length - 1}, got {columns.max()}.")
    boxes[rows, columns], present[rows, columns] = flat.clip(0, 1), True
    return {"boxes": boxes[:, list(frames)], "present": present[:, list(frames)]}


def depth_of(record: Record, frames: Sequence[int], surface: str, model: str) -> Arrays:
    """Return depth (t, h, w) in metres and valid.

    Args:
        surface: `z` along the optical axis, or `distance` to the camera's centre, as it is stored.
    """
    metres = record.metres(record.images("depth", frames)[..., 0])
    if surface == "z":
        height, width = metres.shape[1:]
        fx, fy = focal_of(record, (height, width), model)
        x = ((np.arange(width) + 0.5) / width - 0.5) / fx
        y = ((np.arange(height) + 0.5) / height - 0.5) / fy
        metres = (metres / np.sqrt(1 + y[:, None] ** 2 + x[None] ** 2)).astype(np.float32)
    return {"depth": metres, "valid": np.isfinite(metres) & (metres > 0)}


def pose_of(record: Record, frames: Sequence[int], size: tuple[int, int], model: str) -> Arrays:
    """Return extrinsics (t, 3, 4) world to camera and intrinsics (t, 3, 3) in pixels, OpenCV axes."""
    cameras = record.cameras()
    turns = TO_OPENCV @ np.swapaxes(rotations(cameras.quaternions[list(frames)]), -1, -2).astype(np.float64)
    shifts = -turns @ cameras.positions[list(frames), :, None]
    intrinsics = np.broadcast_to(camera_matrix(focal_of(record, size, model), size), (len(frames), 3, 3)).copy()
    return {"extrinsics": np.concatenate([turns, shifts], axis=2), "intrinsics": intrinsics}
