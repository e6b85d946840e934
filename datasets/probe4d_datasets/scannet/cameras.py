"""Cameras of a scene as targets."""

from __future__ import annotations

import numpy as np

from probe4d.contracts import Array, Arrays
from probe4d.errors import DataError

__all__ = ["pose_target", "usable_poses"]

ORTHOGONAL = 0.01


def usable_poses(poses: Array) -> Array:
    """Return which camera-to-world matrices `(t, 4, 4)` are finite: lost tracking is -inf, NaN or inf."""
    return np.asarray(np.isfinite(poses).all(axis=(1, 2)))


def pose_target(
    poses: Array, intrinsic: Array, colour_size: tuple[int, ...], size: tuple[int, int], where: str
) -> Arrays:
    """Return extrinsics `(t, 3, 4)` world to camera and intrinsics `(t, 3, 3)` in pixels of `size`.

    Args:
        poses: `(t, 4, 4)` camera to world.
        intrinsic: `(4, 4)` of the colour camera, in pixels of `colour_size`, from the first pixel's centre.

    Raises:
        DataError: tracking was lost in one of the frames, or a pose is no rigid motion.
    """
    if not (good := usable_poses(poses)).all():
        raise DataError(f"{where}: expected cameras in every frame, got {int((~good).sum())} where tracking was lost.")
    rotation = poses[:, :3, :3].astype(np.float64)
    if np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max() > ORTHOGONAL:
        raise DataError(f"{where}: expected rotations in the poses, got something else.")
    inverse = rotation.transpose(0, 2, 1)
    translation = -inverse @ poses[:, :3, 3:].astype(np.float64)
    scale = np.diag([size[1] / colour_size[1], size[0] / colour_size[0], 1.0])
    corner = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    matrix = scale @ corner @ intrinsic[:3, :3].astype(np.float64)
    return {
        "extrinsics": np.concatenate([inverse, translation], axis=2),
        "intrinsics": np.broadcast_to(matrix, (len(poses), 3, 3)).copy(),
    }
