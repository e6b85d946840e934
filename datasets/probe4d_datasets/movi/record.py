"""One MOVi record: which features a clip needs, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.formats.png16 import decode_pngs
from probe4d_datasets.formats.tf_example import Feature, read_example

__all__ = ["IMAGES", "Cameras", "Record", "open_record"]

# Feature, channels and bits of the image sequences.
IMAGES = {
    "video": (3, 8),
    "segmentations": (1, 8),
    "depth": (1, 16),
    "normal": (3, 16),
    "object_coordinates": (3, 16),
}
LARGEST = 1e6  # metres, pixels or shares
ALWAYS = ("video", "metadata/num_frames", "metadata/video_name")
CAMERA = ("camera/positions", "camera/quaternions", "camera/focal_length", "camera/sensor_width")
OF_TARGET = {
    "points": (
        *("segmentations", "depth", "normal", "object_coordinates", "metadata/depth_range"),
        *("instances/bboxes_3d", "instances/quaternions", *CAMERA),
    ),
    "boxes": (
        *("instances/bboxes/ragged_flat_values", "instances/bboxes/ragged_row_lengths_0"),
        *("instances/bbox_frames/ragged_flat_values", "instances/bbox_frames/ragged_row_lengths_0"),
    ),
    "depth": ("depth", "metadata/depth_range", *CAMERA),
    "pose": CAMERA,
}


@frozen
class Cameras:
    """A camera per frame: positions (s, 3) in metres and quaternions (s, 4) w x y z of camera to world.

    It looks along -z, with +y up and +x right. `focal` is in widths of the sensor.
    """

    positions: Array
    quaternions: Array
    focal: float


@frozen
class Record:
    """The features that were asked for, and what reads them."""

    where: str
    features: dict[str, Feature]

    @property
    def length(self) -> int:
        """The number of frames, of the whole video."""
        return len(self._strings("video"))

    @property
    def video_name(self) -> str:
        """The name that the record gives itself."""
        return bytes(self._strings("metadata/video_name")[0]).decode("utf-8", "replace")

    def images(self, key: str, frames: Sequence[int]) -> Array:
        """Return an image sequence at these frames, `(t, h, w, channels)`; each is decoded once."""
        stored = self._strings(key)
        if len(stored) != self.length:
            raise DataError(f"{self.where}, {key}: expected {self.length} images as the video has, got {len(stored)}.")
        unique, place = np.unique(np.asarray(frames, np.intp), return_inverse=True)
        channels, bits = IMAGES[key]
        decoded = decode_pngs([stored[frame] for frame in unique], channels, bits, f"{self.where}, {key}")
        return decoded if np.array_equal(place, np.arange(len(unique))) else decoded[place]

    def metres(self, raw: Array) -> Array:
        """Return 16-bit depth as the distance to the camera's centre, float32. Source: kubric, movi_e.py."""
        low, high = self.finite("metadata/depth_range", 2)
        return np.asarray(low + raw.astype(np.float32) * (high - low) / np.float32(65535), np.float32)

    def numbers(self, key: str, *shape: int) -> Array:
        """Return a numeric feature in this shape; one side may be -1."""
        value = self.features[key]
        if isinstance(value, list):
            raise DataError(f"{self.where}, {key}: expected numbers, got byte strings. Is this another builder?")
        try:
            return value.reshape(shape)
        except ValueError:
            raise DataError(f"{self.where}, {key}: expected {shape}, got {value.size} numbers.") from None

    def finite(self, key: str, *shape: int) -> Array:
        """Return a numeric feature that is finite throughout, and no number absurdly large."""
        value = self.numbers(key, *shape)
        if not (np.abs(value) < LARGEST).all():
            raise DataError(
                f"{self.where}, {key}: expected finite numbers, got NaN or a huge one. Leave the record out."
            )
        return value

    def turns(self, key: str, *shape: int) -> Array:
        """Return unit quaternions."""
        value = self.finite(key, *shape)
        if not (np.abs((value * value).sum(-1) - 1) < 0.01).all():
            raise DataError(f"{self.where}, {key}: expected unit quaternions, got others. Leave the record out.")
        return value

    def cameras(self) -> Cameras:
        """Return the camera of every frame of the video."""
        focal, sensor = (float(self.finite(f"camera/{name}", 1)[0]) for name in ("focal_length", "sensor_width"))
        if focal <= 0 or sensor <= 0:
            raise DataError(f"{self.where}, camera: expected a focal length above 0, got {focal} of {sensor}.")
        positions = self.finite("camera/positions", self.length, 3)
        return Cameras(positions, self.turns("camera/quaternions", self.length, 4), focal / sensor)

    def _strings(self, key: str) -> list[memoryview]:
        value = self.features[key]
        if not isinstance(value, list) or not value:
            raise DataError(f"{self.where}, {key}: expected byte strings, got numbers or nothing.")
        return value


def open_record(data: bytes, targets: Sequence[str], where: str) -> Record:
    """Return a record with the features that these targets need.

    Raises:
        DataError: a feature is missing, or the record contradicts itself.
    """
    keys = {*ALWAYS, *(key for target in targets for key in OF_TARGET[target])}
    record = Record(where, read_example(data, keys, where))
    stated: Any = record.numbers("metadata/num_frames", 1)[0]
    if int(stated) != record.length:
        raise DataError(f"{where}: expected {stated} frames as num_frames says, got {record.length}.")
    return record
