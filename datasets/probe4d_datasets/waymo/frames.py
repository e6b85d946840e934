"""What both releases of Waymo say of one moment of one camera, and what reads a segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from attrs import frozen

from probe4d.errors import DataError

__all__ = ["CAMERAS", "TYPES", "Box", "CameraFrame", "Segment", "finite_box"]

# Source: waymo-open-dataset, `dataset.proto` (CameraName.Name) and `label.proto` (Label.Type).
CAMERAS = {"front": 1, "front_left": 2, "front_right": 3, "side_left": 4, "side_right": 5}
TYPES = {0: "unknown", 1: "vehicle", 2: "pedestrian", 3: "sign", 4: "cyclist"}


class Box(NamedTuple):
    """A box in pixels of the camera's image: `length` is its extent in x, `width` its extent in y."""

    center_x: float
    center_y: float
    length: float
    width: float
    type: int


@frozen
class CameraFrame:
    """One camera at one moment.

    Attributes:
        boxes: by the object's id, which is stable in a camera of a segment and means nothing elsewhere.
        labelled: whether it was labelled; None where the release does not tell that from "nothing there".
        image: the JPEG, None where it is missing or was not asked for.
    """

    timestamp: int
    boxes: Mapping[str, Box]
    labelled: bool | None
    image: bytes | None = None


class Segment(Protocol):
    """One recording of about 20 seconds at 10 Hz."""

    def length(self) -> int:
        """Return how many moments it has.

        Raises:
            DataError: it is missing, cut off or damaged.
        """
        ...

    def read(self, moments: Sequence[int], camera: int, images: bool) -> list[CameraFrame]:
        """Return a camera at these moments (increasing, each once), in order of time.

        Raises:
            DataError: the segment is missing, cut off or damaged.
        """
        ...


def finite_box(values: Sequence[float], kind: int, where: str) -> Box:
    """Return a box of finite numbers and a size above zero.

    Raises:
        DataError: it is not one.
    """
    x, y, length, width = values
    box = Box(x, y, length, width, kind)
    if not all(abs(value) < 1e9 for value in values) or box.length < 0 or box.width < 0:
        raise DataError(f"{where}: expected a box of finite numbers, got {tuple(values)}. Replace the file.")
    return box
