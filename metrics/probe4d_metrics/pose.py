"""End-point error of relative camera poses, and the errors of their rotation and translation.

Source: Scaling 4D Representations, Sec. 3.2 and A.2: eight corners of a cube in front of the first
camera are carried by the predicted and by the true pose, after a projection of the predicted
rotation to SO(3).
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import numpy as np

from probe4d_metrics.estimators import Estimator, Largest, Mean, Median
from probe4d_metrics.shapes import check_shapes
from probe4d_metrics.state import Fields, Measured, Metric

__all__ = ["CUBE_CORNERS", "PoseError", "end_point_error", "project_so3", "rotation_angle"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

HALF_SIDE, FAR = 5.0, 10.0  # metres: x and y are -5 or 5, z is 0 or 10 in the first camera
CUBE_CORNERS = np.array(
    [[x, y, z] for x in (-HALF_SIDE, HALF_SIDE) for y in (-HALF_SIDE, HALF_SIDE) for z in (0.0, FAR)]
)
CUBE_CORNERS.flags.writeable = False
SCALES = np.array([HALF_SIDE, HALF_SIDE, FAR, 1.0])[:, None]  # of the columns of [R | t]
BLOCK = 5000  # poses at a time; in steps of a power of two, rows would share cache lines


def end_point_error(pred_poses: Array, target_poses: Array) -> Array:
    """Return the mean distance `(b,)`, in metres, of the eight cube corners under two poses.

    Args:
        pred_poses, target_poses: `(b, 3, 4)` = [R | t], points of the first camera to the last.

    >>> still = np.eye(3, 4)[None]
    >>> moved = still + [[[0, 0, 0, 3.0], [0, 0, 0, 0], [0, 0, 0, 4.0]]]
    >>> end_point_error(moved, still)
    array([5.])
    """
    sizes = check_shapes(pred_poses=(pred_poses, "b 3 4"), target_poses=(target_poses, "b 3 4"))
    errors = np.empty(sizes["b"])
    room = _Room(min(BLOCK, len(errors)))
    for start in range(0, sizes["b"], BLOCK):
        part = slice(start, start + BLOCK)
        out = errors[part]
        room = room if room.count == len(out) else _Room(len(out))  # the last block is shorter
        np.subtract(pred_poses[part], target_poses[part], out=room.difference, dtype=np.float64)
        room.mean_distance(out)
    return errors


class _Room:
    """Buffers for a block of poses, and the views of them that a block needs.

    The difference of two poses carries a corner to the difference of its images. Every operation is
    elementwise over poses, so an error has the same bits alone and in a batch.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.entries = np.empty((3, 4, count))
        self.along_x, self.along_y, self.along_z, self.at_zero = (self.entries[:, i : i + 1] for i in range(4))
        self.corners = np.empty((3, 8, count))
        # The difference is read before a corner is written, so it takes their memory: less to bring into the caches.
        self.difference = self.corners.reshape(-1)[: 12 * count].reshape(count, 3, 4)
        self.transposed = np.moveaxis(self.difference, 0, -1)  # (3, 4, poses)
        self.left, self.right = self.corners[:, 2:3], self.corners[:, 3:4]
        self.minus_y, self.plus_y = self.corners[:, :2], self.corners[:, 2:4]
        self.near, self.far = self.corners[:, :4], self.corners[:, 4:]

    def mean_distance(self, out: Array) -> None:
        """Write the mean length `(poses,)` of the images of the corners under the difference."""
        np.multiply(self.transposed, SCALES, out=self.entries)
        np.subtract(self.at_zero, self.along_x, out=self.left)
        np.add(self.at_zero, self.along_x, out=self.right)
        np.subtract(self.plus_y, self.along_y, out=self.minus_y)
        np.add(self.plus_y, self.along_y, out=self.plus_y)
        np.add(self.near, self.along_z, out=self.far)
        np.multiply(self.corners, self.corners, out=self.corners)
        lengths = self.corners[0]
        lengths += self.corners[1]
        lengths += self.corners[2]
        np.sqrt(lengths, out=lengths)
        lengths[:4] += lengths[4:]  # in pairs: a reduction would add one pose in another order than many
        lengths[:2] += lengths[2:4]
        np.add(lengths[0], lengths[1], out=out)
        out /= len(CUBE_CORNERS)


def project_so3(matrices: Array) -> tuple[Array, Array]:
    """Return the nearest rotations `(b, 3, 3)` and how far the matrices are from orthogonal, `(b,)`.

    Nearest in the Frobenius norm (orthogonal Procrustes, determinant +1). The distance is the largest
    entry of |MᵀM - I|.

    Args:
        matrices: `(b, 3, 3)`, finite.

    Raises:
        ValueError: a shape is wrong or an entry is NaN or infinite.

    >>> rotations, errors = project_so3(2 * np.eye(3)[None])
    >>> bool(np.allclose(rotations[0], np.eye(3))), float(errors[0])
    (True, 3.0)
    """
    check_shapes(matrices=(matrices, "b 3 3"))
    _check_finite("matrices", matrices)
    matrices = np.asarray(matrices, dtype=np.float64)
    left, _, right = np.linalg.svd(matrices)
    left[..., 2] *= np.linalg.det(left @ right)[:, None]  # a reflection becomes the nearest rotation
    gram = np.swapaxes(matrices, 1, 2) @ matrices
    return left @ right, np.abs(gram - np.eye(3)).max(axis=(1, 2))


def rotation_angle(pred_rotations: Array, target_rotations: Array) -> Array:
    """Return the angle `(b,)`, in degrees from 0 to 180, between rotations `(b, 3, 3)`.

    From both the sine and the cosine, so that it is accurate near 0 and near 180 degrees.

    >>> quarter = np.array([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    >>> rotation_angle(quarter, np.eye(3)[None])
    array([90.])
    """
    check_shapes(pred_rotations=(pred_rotations, "b 3 3"), target_rotations=(target_rotations, "b 3 3"))
    turn = np.swapaxes(target_rotations, 1, 2) @ pred_rotations
    axis = np.stack(
        [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], axis=1
    )
    sine = np.sqrt(axis[:, 0] ** 2 + axis[:, 1] ** 2 + axis[:, 2] ** 2)
    cosine = turn[:, 0, 0] + turn[:, 1, 1] + turn[:, 2, 2] - 1
    return np.asarray(np.degrees(np.arctan2(sine, cosine)))


class PoseError(Metric):
    """End-point error (mean), rotation and translation error (medians) over samples.

    Predictions and targets: `pose (3, 4)` = [R | t], t in metres, of the same direction.

    Args:
        project: whether the predicted rotation is projected to SO(3) before the end-point error.
            The angle is of the projected rotation in either case.
    """

    values: ClassVar[dict[str, Estimator]] = {
        "epe": Mean("epe"),
        "rotation_deg": Median("rotation_deg"),
        "translation_m": Median("translation_m"),
    }
    notes: ClassVar[dict[str, Estimator]] = {"largest_orthogonality_error": Largest("orthogonality_error")}

    def __init__(self, project: bool = True) -> None:
        self.project = project

    def measure_batch(self, predictions: Fields, targets: Fields, size: int) -> Measured:
        """Return the errors of `size` poses `(b, 3, 4)`."""
        pred, target = (np.asarray(side["pose"], dtype=np.float64) for side in (predictions, targets))
        check_shapes(pred_pose=(pred, "b 3 4"), target_pose=(target, "b 3 4"))
        _check_finite("predictions.pose", pred)
        _check_finite("targets.pose", target)
        rotations, off = project_so3(pred[:, :, :3])
        projected = np.concatenate([rotations, pred[:, :, 3:]], axis=2) if self.project else pred
        shift = pred[:, :, 3] - target[:, :, 3]
        return Measured(
            {
                "epe": end_point_error(projected, target),
                "rotation_deg": rotation_angle(rotations, target[:, :, :3]),
                "translation_m": np.sqrt(shift[:, 0] ** 2 + shift[:, 1] ** 2 + shift[:, 2] ** 2),
                "orthogonality_error": off,
            }
        )


def _check_finite(name: str, array: Array) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity.")
