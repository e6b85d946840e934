"""Camera trajectories, as KITTI odometry and the TUM tools write them, to relative poses.

kitti-poses   12 numbers a line: the row-major `(3, 4)` camera-to-world matrix of each frame
tum           `timestamp tx ty tz qx qy qz qw`: camera-to-world too; quaternion with its real part last

A sample is a whole trajectory: the pose from its first frame to its last, which maps points of the
first camera to the last camera. Both formats have x right, y down, z forward (OpenCV).

Source: Geiger et al. (2012), the odometry devkit's readme; Sturm et al. (2012), file formats page.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays
from probe4d.scoring.foreign.numbers import read_table
from probe4d.scoring.foreign.places import digest_places, find_places
from probe4d.scoring.source import Limits, Source, fail

__all__ = ["open_kitti", "open_tum"]

# The unit is not among these: a monocular method's trajectory has none, and does not say so.
META = {"direction": "first_to_last", "axes": "opencv"}
UNIT_NORM = 0.05  # what a quaternion's length may be off by


def open_kitti(path: str, *, limits: Limits, **_: Any) -> Source:
    """Return the relative pose of each trajectory file.

    Raises:
        DataError: a line is not 12 numbers.
    """
    return Trajectories(path, limits, "kitti")


def open_tum(path: str, *, limits: Limits, **_: Any) -> Source:
    """Return the relative pose of each trajectory file.

    Raises:
        DataError: a line is not 8 numbers, time stands still, or a quaternion is not of length 1.
    """
    return Trajectories(path, limits, "tum")


class Trajectories(Source):
    """Files of camera-to-world poses, one trajectory each."""

    def __init__(self, path: str, limits: Limits, style: str) -> None:
        self.name = path
        self.meta = META
        self._places = find_places(path, ".txt")
        self.ids = list(self._places)
        self._limits = limits
        self._style = style

    def load(self, sample_id: str) -> Arrays:
        """Return `pose (3, 4)` from the first frame to the last."""
        place = self._places[sample_id]
        table = read_table(place, (12,) if self._style == "kitti" else (8,), self._limits)
        if len(table) < 2:
            fail(place, "at least two poses", f"{len(table)}")
        matrices = table[[0, -1]].reshape(2, 3, 4) if self._style == "kitti" else _of_tum(place, table)
        return {"pose": _first_to_last(place, *matrices)}

    def digest(self) -> str:
        """Return the sha256 of the file, or over those of the trajectories."""
        return digest_places(self._places)


def _of_tum(place: str, table: Array) -> Array:
    if (np.diff(table[:, 0]) <= 0).any():
        row = int(np.argmax(np.diff(table[:, 0]) <= 0)) + 2
        fail(place, "timestamps that increase", f"none after {table[row - 2, 0]} in pose {row}")
    return np.stack([_matrix(place, row) for row in table[[0, -1]]])


def _matrix(place: str, row: Array) -> Array:
    x, y, z, w = row[4:]
    length = float(np.sqrt(np.dot(row[4:], row[4:])))
    if abs(length - 1) > UNIT_NORM:
        fail(place, "quaternions of length 1", f"one of length {length:.3g}", "The real part comes last: qx qy qz qw.")
    x, y, z, w = row[4:] / length
    rotation = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.concatenate([np.array(rotation), row[1:4, None]], axis=1)


def _first_to_last(place: str, first: Array, last: Array) -> Array:
    """Return `last⁻¹ · first` of camera-to-world matrices: first-camera points to last-camera points."""
    try:
        back = np.linalg.inv(last[:, :3])
    except np.linalg.LinAlgError:
        fail(place, "matrices that can be inverted", "a singular one in the last line")
    return np.concatenate([back @ first[:, :3], back @ (first[:, 3:] - last[:, 3:])], axis=1)
