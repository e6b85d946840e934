"""Release 1: a TFRecord per segment, each record a `waymo.open_dataset.Frame`.

Cameras are found by their name, never by their place: images stand in another order than the enum.
Laser scans and `projected_lidar_labels` are skipped on the wire.
Source: waymo-open-dataset, `dataset.proto`, `label.proto`.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from probe4d.errors import DataError
from probe4d_datasets.formats.record_index import record_index, record_of
from probe4d_datasets.formats.wire import as_bytes, as_double, as_int, as_text, fields
from probe4d_datasets.own.root import Root
from probe4d_datasets.waymo.frames import Box, CameraFrame, finite_box

__all__ = ["SegmentV1", "read_frame"]

# Numbers of fields.
TIMESTAMP, IMAGES, CAMERA_LABELS = 2, 4, 8
IMAGE_NAME, IMAGE_JPEG = 1, 2
LABELS_NAME, LABELS = 1, 2
LABEL_BOX, LABEL_TYPE, LABEL_ID = 1, 3, 4
CENTER_X, CENTER_Y, WIDTH, LENGTH = 1, 2, 4, 5


@frozen
class SegmentV1:
    """A file `segment-<context>_with_camera_labels.tfrecord`."""

    root: Root
    path: str

    def length(self) -> int:
        """Return the number of records."""
        index = record_index(self.root, self.path)
        if index.broken is not None:
            raise DataError(f"{index.broken} Replace the file.")
        return len(index.records)

    def read(self, moments: Sequence[int], camera: int, images: bool) -> list[CameraFrame]:
        """Return a camera at these moments."""
        found: list[CameraFrame] = []
        for moment in moments:
            where = f"{self.root.location(self.path)}, record {moment}"
            frame = read_frame(record_of(self.root, self.path, moment, where), camera, images, where)
            if found and frame.timestamp <= found[-1].timestamp:
                raise DataError(f"{where}: expected a time after {found[-1].timestamp}, got {frame.timestamp}.")
            found.append(frame)
        return found


def read_frame(data: bytes, camera: int, images: bool, where: str) -> CameraFrame:
    """Return one camera of a `Frame`.

    Raises:
        DataError: the record is no Frame, or has this camera twice.
    """
    timestamp: int | None = None
    pictures: list[bytes] = []
    labels: list[dict[str, Box]] = []
    wanted = (TIMESTAMP, IMAGES, CAMERA_LABELS) if images else (TIMESTAMP, CAMERA_LABELS)
    for number, value in fields(memoryview(data), where, wanted):
        if number == TIMESTAMP:
            timestamp = as_int(value, where)
        elif number == IMAGES:
            name, picture = _image(as_bytes(value, where), where)
            pictures += [bytes(picture)] if name == camera else []
        else:
            name, parts = _labels(as_bytes(value, where), where)
            labels += [_boxes(parts, where)] if name == camera else []
    if timestamp is None:
        raise DataError(f"{where}: expected a Frame with timestamp_micros, got none. Is this another dataset's record?")
    if len(pictures) > 1 or len(labels) > 1:
        raise DataError(
            f"{where}: expected camera {camera} once, got {len(pictures)} images, {len(labels)} label sets."
        )
    boxes = labels[0] if labels else {}
    return CameraFrame(timestamp, boxes, bool(labels), pictures[0] if pictures and pictures[0] else None)


def _image(message: memoryview, where: str) -> tuple[int, memoryview]:
    name, jpeg = 0, memoryview(b"")
    for number, value in fields(message, where, (IMAGE_NAME, IMAGE_JPEG)):
        if number == IMAGE_NAME:
            name = as_int(value, where)
        else:
            jpeg = as_bytes(value, where)
    return name, jpeg


def _labels(message: memoryview, where: str) -> tuple[int, list[memoryview]]:
    name, parts = 0, []
    for number, value in fields(message, where, (LABELS_NAME, LABELS)):
        if number == LABELS_NAME:
            name = as_int(value, where)
        else:
            parts.append(as_bytes(value, where))
    return name, parts


def _boxes(parts: Sequence[memoryview], where: str) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    for part in parts:
        place: dict[int, float] = {}
        kind, name = 0, ""
        for number, value in fields(part, where, (LABEL_BOX, LABEL_TYPE, LABEL_ID)):
            if number == LABEL_BOX:
                wanted = (CENTER_X, CENTER_Y, WIDTH, LENGTH)
                place = {n: as_double(v, where) for n, v in fields(as_bytes(value, where), where, wanted)}
            elif number == LABEL_TYPE:
                kind = as_int(value, where)
            else:
                name = as_text(value, where)
        if not name or name in boxes:
            raise DataError(f"{where}: expected each object's id once, got {name!r}. Replace the file.")
        # A field that is not there is zero, by protobuf's rules.
        sides = [place.get(n, 0.0) for n in (CENTER_X, CENTER_Y, LENGTH, WIDTH)]
        boxes[name] = finite_box(sides, kind, f"{where}, {name}")
    return boxes
