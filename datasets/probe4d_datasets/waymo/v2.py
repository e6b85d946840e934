"""Release 2: a parquet file per segment and component; columns by name, rows by camera and time.

Images and boxes are never joined: a frame without a box is a frame.
Source: waymo-open-dataset, `v2/perception/{camera_image,box}.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import frozen

from probe4d.errors import DataError, MissingExtraError
from probe4d_datasets.files import open_binary
from probe4d_datasets.own.root import Root
from probe4d_datasets.waymo.frames import CAMERAS, Box, CameraFrame, finite_box

__all__ = ["SegmentV2"]

TIME, CAMERA = "key.frame_timestamp_micros", "key.camera_name"
OBJECT = "key.camera_object_id"
JPEG = "[CameraImageComponent].image"
BOX = "[CameraBoxComponent]."
SIDES = (f"{BOX}box.center.x", f"{BOX}box.center.y", f"{BOX}box.size.x", f"{BOX}box.size.y")


@frozen
class SegmentV2:
    """The files `camera_image/<context>.parquet` and `camera_box/<context>.parquet`; `pose` where it is there.

    Attributes:
        pose: `vehicle_pose`, which has every moment, also one whose images are all missing.
    """

    root: Root
    image: str
    box: str
    pose: str | None = None

    def length(self) -> int:
        """Return the number of moments."""
        return len(self._times())

    def read(self, moments: Sequence[int], camera: int, images: bool) -> list[CameraFrame]:
        """Return a camera at these moments."""
        times = self._times()
        wanted = [times[moment] for moment in moments]
        boxes = self._boxes(wanted, camera)
        pictures = self._images(wanted, camera) if images else {}
        return [CameraFrame(time, boxes[time], None, pictures.get(time)) for time in wanted]

    def _times(self) -> list[int]:
        """Return the times of all moments, increasing."""
        found: set[int] = set()
        for path in (self.image, self.box, self.pose):
            if path is not None:
                found.update(_times_of(self.root, path, self.root.state(path)))
        return sorted(found)

    def _boxes(self, times: Sequence[int], camera: int) -> dict[int, dict[str, Box]]:
        boxes: dict[int, dict[str, Box]] = {time: {} for time in times}
        columns = (TIME, OBJECT, f"{BOX}type", *SIDES)
        for time, name, kind, *sides in _rows(self.root.location(self.box), columns, times, camera):
            where = f"{self.box}, {name} at {time}"
            if not isinstance(name, str) or None in sides or name in boxes[time]:
                raise DataError(f"{where}: expected an object once, with a box, got another. Replace the file.")
            boxes[time][name] = finite_box(sides, int(kind or 0), where)
        return boxes

    def _images(self, times: Sequence[int], camera: int) -> dict[int, bytes | None]:
        pictures: dict[int, bytes | None] = {}
        for time, jpeg in _rows(self.root.location(self.image), (TIME, JPEG), times, camera):
            if time in pictures:
                raise DataError(f"{self.image}: expected camera {camera} at {time} once, got it twice.")
            pictures[time] = jpeg or None
        return pictures


@functools.lru_cache(maxsize=4096)
def _times_of(root: Root, path: str, state: str) -> frozenset[int]:  # noqa: ARG001 - the state is in the key
    """Return the times of a file's rows."""
    location = root.location(path)
    with _opened(location) as parquet:
        column = _column(parquet, (TIME,), location).column(TIME)
        if column.null_count or not str(column.type).startswith("int"):
            raise DataError(f"{location}, {TIME}: expected whole numbers, got {column.type}. Replace the file.")
        return frozenset(column.to_pylist())


def _rows(location: str, columns: Sequence[str], times: Sequence[int], camera: int) -> list[tuple[Any, ...]]:
    """Return these columns of the rows of one camera at these times; row groups without them are not read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[tuple[Any, ...]] = []
    with _opened(location) as parquet:
        for group in range(parquet.num_row_groups):
            keys = _column(parquet, (TIME, CAMERA), location, group)
            name = keys.column(CAMERA)
            mine = [number for number, value in enumerate(name.to_pylist()) if _camera(value, location) == camera]
            here = pc.is_in(keys.column(TIME), value_set=pa.array(sorted(times), pa.int64())).to_pylist()
            rows = [number for number in mine if here[number]]
            if rows:
                table = _column(parquet, columns, location, group).take(pa.array(rows, pa.int64()))
                found += zip(*(table.column(column).to_pylist() for column in columns), strict=True)
    return found


def _camera(value: Any, where: str) -> int:
    """Return the number of a camera; the repository's own old files have names instead."""
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.lower() in CAMERAS:
        return CAMERAS[value.lower()]
    raise DataError(f"{where}, {CAMERA}: expected a camera's number, got {value!r}. Replace the file.")


def _column(parquet: Any, columns: Sequence[str], where: str, group: int | None = None) -> Any:
    names = parquet.schema_arrow.names
    if lacking := [column for column in columns if column not in names]:
        raise DataError(f"{where}: expected the column {lacking[0]!r}, got {', '.join(names[:6])} … Is it v2?")
    if group is None:
        return parquet.read(columns=list(columns), use_threads=False)
    return parquet.read_row_group(group, columns=list(columns), use_threads=False)


@contextmanager
def _opened(location: str) -> Iterator[Any]:
    """Yield a parquet file, the checksums of its pages verified where it has them.

    Raises:
        DataError: it is missing, or breaks while it is being read inside the `with`.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError(
            "Waymo v2: expected pyarrow, which is missing. pip install 'probe4d[parquet]'"
        ) from error
    try:
        with open_binary(location) as file:
            yield pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
    except (pa.ArrowException, OSError, OverflowError, MemoryError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{location}: expected a whole parquet file, got {reason}. Replace the file.") from error
