"""Camera files of RealEstate10K: one clip of one YouTube video, a line a frame.

A line has 19 columns, though the data set's page numbers them as if there were no timestamp:
`timestamp_us fx fy cx cy 0 0` and the 12 numbers of [R|t], world to camera, OpenCV axes. Source:
https://google.github.io/realestate10k/download.html; pixelSplat and CameraCtrl read it so.
"""

from __future__ import annotations

import re

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError

__all__ = ["Cameras", "cameras_of", "intrinsics_in_pixels", "parse_cameras", "video_id_of"]

COLUMNS = 19
MAX_BYTES = 64 << 20  # of one camera file; a minute at 60 fps has 0.7 MB
URL = re.compile(r"https?://(www\.)?(youtube\.com/watch\?v=|youtu\.be/)(?P<id>[A-Za-z0-9_-]{11})\b\S*")
ORTHOGONAL = 0.01


@frozen(kw_only=True, eq=False)
class Cameras:
    """What is known of a clip's frames.

    Attributes:
        video_id: of YouTube.
        stamps: `(n,)` int64, microseconds in the video, increasing.
        intrinsics: `(n, 4)` fx, fy, cx, cy in widths and heights of the image.
        extrinsics: `(n, 3, 4)` world to camera, in a unit of the clip's own.
    """

    video_id: str
    stamps: Array
    intrinsics: Array
    extrinsics: Array

    def __len__(self) -> int:
        return len(self.stamps)


def video_id_of(line: str, where: str) -> str:
    """Return the id in the URL that a camera file begins with.

    Raises:
        DataError: it is no URL of YouTube.
    """
    found = URL.fullmatch(line.strip())
    if found is None:
        raise DataError(f"{where}: expected a YouTube URL in the first line, got {line[:60]!r}.")
    return found["id"]


def parse_cameras(text: str, where: str) -> Cameras:
    """Return the cameras of a file.

    Raises:
        DataError: a line is not as it should be.
    """
    lines = text.splitlines()
    video_id = video_id_of(lines[0] if lines else "", where)
    rows = [line.split() for line in lines[1:] if line.strip()]
    for number, row in enumerate(rows, start=2):
        if len(row) != COLUMNS:
            raise DataError(f"{where}, line {number}: expected {COLUMNS} columns, got {len(row)}.")
    try:
        stamps = np.asarray([int(row[0]) for row in rows], np.int64)
        values = np.asarray([row[1:] for row in rows], np.float64).reshape(-1, COLUMNS - 1)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: expected a timestamp and {COLUMNS - 1} numbers a line, got {error}.") from error
    return cameras_of(video_id, stamps, values, where)


def cameras_of(video_id: str, stamps: Array, values: Array, where: str) -> Cameras:
    """Return cameras of `(n, 18)` numbers: fx fy cx cy 0 0 and [R|t].

    Raises:
        DataError: stamps do not increase, a number is not finite, R is no rotation, or there is no frame.
    """
    if stamps.ndim != 1 or values.shape != (len(stamps), COLUMNS - 1) or not len(stamps):
        raise DataError(f"{where}: expected n > 0 timestamps and (n, 18) numbers, got {stamps.shape}, {values.shape}.")
    if stamps[0] < 0 or (np.diff(stamps) <= 0).any():
        raise DataError(f"{where}: expected timestamps that increase from 0, got others.")
    values = values.astype(np.float64)
    if not np.isfinite(values).all() or np.abs(values).max() > 1e9 or (values[:, :2] <= 0).any():
        raise DataError(f"{where}: expected finite numbers and focal lengths above 0, got others.")
    extrinsics = values[:, 6:].reshape(-1, 3, 4)
    rotation = extrinsics[:, :, :3]
    error = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max()
    if error > ORTHOGONAL or (np.linalg.det(rotation) < 0).any():
        raise DataError(f"{where}: expected rotations in the poses, got one {error:.3g} from orthogonal.")
    return Cameras(video_id=video_id, stamps=stamps, intrinsics=values[:, :4], extrinsics=extrinsics)


def intrinsics_in_pixels(normalized: Array, height: int, width: int) -> Array:
    """Return `(n, 3, 3)` in pixels, corner origin: diag(w, h, 1) · K. Aspect 9/16 is in fx and fy already."""
    fx, fy, cx, cy = normalized.T
    matrix = np.zeros((len(normalized), 3, 3))
    matrix[:, 0, 0], matrix[:, 1, 1] = fx * width, fy * height
    matrix[:, 0, 2], matrix[:, 1, 2], matrix[:, 2, 2] = cx * width, cy * height, 1.0
    return matrix
