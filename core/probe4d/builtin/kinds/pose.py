"""Relative camera pose from the first frame to the last, as [R|t] in OpenCV axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.builtin.kinds.alignment import scale_of
from probe4d.contracts import Array, Arrays, Field, MetaKey, Role
from probe4d.errors import DataError

__all__ = ["Pose"]

Meta = Mapping[Role, Mapping[str, Any]]

ORTHOGONAL = 0.01  # what a target's rotation may be off by
POSE = {"pose": Field(dims="3 4 | 4 4 | 12", dtypes="fiu", summary="[R|t], row-major where it is flat")}
META = {
    "unit": MetaKey(choices=("metre", "unscaled"), required=True, summary="the unit of the translation"),
    "direction": MetaKey(
        choices=("first_to_last", "last_to_first"),
        required=True,
        agree=True,
        summary="first_to_last maps points of the first camera to the last camera",
    ),
    "axes": MetaKey(
        choices=("opencv", "opengl"), required=True, summary="y down and z forward, or y up and z backward"
    ),
}
PROJECT = MetaKey(choices=("on", "off"), default="on", summary="whether R is projected to the nearest rotation")
OPENGL = np.diag([1.0, -1.0, -1.0])


class Pose:
    """The kind `pose`.

    Args:
        align: `scale` fits the length of the predicted translation to the target's.
    """

    def __init__(self, align: str = "none") -> None:
        self.align = align

    def choices(self) -> Mapping[str, tuple[str, ...]]:
        """Return the options of `probe4d score`."""
        return {"align": ("none", "scale")}

    def fields(self, role: Role) -> Mapping[str, Field]:
        """Return the fields of a sample."""
        return POSE

    def meta(self, role: Role) -> Mapping[str, MetaKey]:
        """Return the conventions of a file."""
        return {**META, "project": PROJECT} if role == "predictions" else META

    def formats(self) -> Mapping[str, str]:
        """Return the foreign formats."""
        return {
            "kitti-poses": "probe4d.scoring.foreign.trajectories:open_kitti",
            "tum": "probe4d.scoring.foreign.trajectories:open_tum",
        }

    def metric_options(self, meta: Meta) -> Mapping[str, Any]:
        """Return whether the metrics project."""
        return {"project": meta["predictions"]["project"] == "on"}

    def value_name(self, name: str, meta: Meta) -> str:
        """Return the name of a value: lengths without a unit and aligned ones are named so."""
        unscaled = "unscaled" in (meta["predictions"]["unit"], meta["targets"]["unit"])
        name = UNSCALED.get(name, name) if unscaled else name
        return name if self.align == "none" or name == "rotation_deg" else f"{name}@{self.align}"

    def read(self, predictions: Arrays, targets: Arrays, meta: Meta) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return poses `(3, 4)` that map first-camera to last-camera points, OpenCV axes.

        Raises:
            DataError: a last row is not (0, 0, 0, 1), or a target's R is no rotation.
        """
        pred = _matrix("predictions", predictions["pose"], meta["predictions"])
        target = _matrix("targets", targets["pose"], meta["targets"])
        _check_rotation(target[:, :3])
        if meta["predictions"]["direction"] == "last_to_first":
            pred, target = _inverse(pred), _inverse(target)
        if self.align == "scale":
            pred = pred.copy()
            pred[:, 3] *= scale_of(pred[:, 3], target[:, 3])
        return {"pose": pred}, {"pose": target}

    def worst(self, targets: Arrays, meta: Meta) -> Arrays:
        """Return a camera turned about and moved the other way. Errors of pose have no upper bound."""
        pose = _matrix("targets", targets["pose"], meta["targets"])
        turned = np.concatenate([pose[:, :3] @ np.diag([-1.0, 1.0, -1.0]), -pose[:, 3:] - 10.0], axis=1)
        return {"pose": _flip(turned) if meta["predictions"]["axes"] == "opengl" else turned}

    def example(self, seed: int) -> tuple[Arrays, Arrays, Meta]:
        """Return a random rotation and translation."""
        random = np.random.default_rng(seed)
        rotation, _ = np.linalg.qr(random.normal(0, 1, (3, 3)))
        pose = np.concatenate([rotation * np.sign(np.linalg.det(rotation)), random.normal(0, 1, (3, 1))], axis=1)
        convention = {"unit": "metre", "direction": "first_to_last", "axes": "opencv"}
        return (
            {"pose": pose.copy()},
            {"pose": pose},
            {"predictions": {**convention, "project": "on"}, "targets": convention},
        )

    def from_dataset(self, targets: Arrays, size: tuple[int, int]) -> tuple[Arrays, Mapping[str, Any]]:
        """Return the last camera of a dataset's `extrinsics (t, 3, 4)` in relation to the first."""
        extrinsics = np.asarray(targets["extrinsics"], dtype=np.float64)
        pose = relative(extrinsics[0], extrinsics[-1])
        return {"pose": pose}, {"unit": "metre", "direction": "first_to_last", "axes": "opencv"}


UNSCALED = {"epe": "epe_unscaled", "translation_m": "translation_unscaled"}


def relative(first: Array, last: Array) -> Array:
    """Return `last · first⁻¹` of two world-to-camera matrices `(3, 4)`."""
    rotation = last[:, :3] @ np.linalg.inv(first[:, :3])
    return np.concatenate([rotation, last[:, 3:] - rotation @ first[:, 3:]], axis=1)


def _matrix(role: Role, pose: Array, meta: Mapping[str, Any]) -> Array:
    matrix = pose.astype(np.float64)
    if matrix.ndim == 1:
        matrix = matrix.reshape(3, 4)
    if len(matrix) == 4:
        if not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-6):
            raise DataError(f"{role}.pose: expected a last row (0, 0, 0, 1), got {matrix[3].tolist()}. Transposed?")
        matrix = matrix[:3]
    if np.abs(matrix).max() > 1e100:
        raise DataError(f"{role}.pose: expected numbers of moderate size, got {np.abs(matrix).max():.3g}.")
    return _flip(matrix) if meta["axes"] == "opengl" else matrix


def _flip(matrix: Array) -> Array:
    """Return the pose between cameras whose y and z axes point the other way."""
    return np.asarray(OPENGL @ np.concatenate([matrix[:, :3] @ OPENGL, matrix[:, 3:]], axis=1))


def _check_rotation(rotation: Array) -> None:
    error = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if error > ORTHOGONAL or np.linalg.det(rotation) < 0:
        raise DataError(
            f"targets.pose: expected a rotation in the first three columns, got one {error:.3g} from orthogonal "
            f"with determinant {np.linalg.det(rotation):.3g}."
        )


def _inverse(matrix: Array) -> Array:
    """Return the inverse of `[R|t]`; R need not be a rotation yet."""
    try:
        rotation = np.linalg.inv(matrix[:, :3])
    except np.linalg.LinAlgError as error:
        raise DataError(f"predictions.pose: expected an invertible matrix, got a singular one ({error}).") from error
    return np.concatenate([rotation, -rotation @ matrix[:, 3:]], axis=1)
