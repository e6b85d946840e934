"""Small Waymo segments of any size in both releases, made for the tests."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from attrs import field, frozen
from PIL import Image

from probe4d_datasets.formats.tfrecord import frame_record
from probe4d_datasets.formats.wire import encode_field

# As real files have them, which is not the order of their numbers.
ORDER = (1, 2, 4, 3, 5)
Boxes = Mapping[str, tuple[float, float, float, float, int]]


@frozen
class Moment:
    """What one frame has: by camera, boxes (None: not labelled) and whether there is an image."""

    time: int
    boxes: Mapping[int, Boxes | None] = field(factory=dict)
    without_image: Sequence[int] = ()


def jpeg(size: tuple[int, int], seed: int) -> bytes:
    """Return a picture of this (height, width)."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize(size[::-1]).save(file, "JPEG", quality=90)
    return file.getvalue()


def frame(moment: Moment, sizes: Mapping[int, tuple[int, int]]) -> bytes:
    """Return a `Frame` of release 1, with decoys in the fields that must not be read."""
    parts = [encode_field(1, encode_field(1, b"made")), encode_field(2, moment.time)]
    for camera in ORDER:
        if camera not in moment.without_image:
            picture = jpeg(sizes[camera], moment.time + camera)
            parts.append(encode_field(4, encode_field(1, camera) + encode_field(2, picture)))
    parts.append(encode_field(5, b"\xff" * 500))  # a laser, which is no message
    parts.append(encode_field(9, labels(1, {"decoy": (9.0, 9.0, 9.0, 9.0, 1)})))  # projected_lidar_labels
    for camera in ORDER:
        boxes = moment.boxes.get(camera, {})
        if boxes is not None:
            parts.append(encode_field(8, labels(camera, boxes)))
    return b"".join(parts)


def labels(camera: int, boxes: Boxes) -> bytes:
    """Return `CameraLabels`."""
    parts = [encode_field(1, camera)]
    for name, (x, y, length, width, kind) in boxes.items():
        box = encode_field(1, x) + encode_field(2, y) + encode_field(4, width) + encode_field(5, length)
        parts.append(encode_field(2, encode_field(1, box) + encode_field(3, kind) + encode_field(4, name.encode())))
    return b"".join(parts)


def write_both(
    root: Path, moments: Sequence[Moment], context: str = "1_000_0_000", size: tuple[int, int] = (64, 96), **more
) -> tuple[Path, Path]:
    """Write a segment in both releases; return their roots."""
    split = more.get("split", "training")
    sizes = dict.fromkeys(ORDER, size)
    folder = root / "v1" / split
    folder.mkdir(parents=True, exist_ok=True)
    records = b"".join(frame_record(frame(moment, sizes)) for moment in moments)
    (folder / f"segment-{context}_with_camera_labels.tfrecord").write_bytes(records)
    images: dict[str, list] = {"key.segment_context_name": [], "key.frame_timestamp_micros": []}
    images |= {"key.camera_name": [], "[CameraImageComponent].image": []}
    rows = []
    for moment in moments:
        for camera in ORDER:
            if camera not in moment.without_image:
                values = (context, moment.time, camera, jpeg(size, moment.time + camera))
                for column, value in zip(images.values(), values, strict=True):
                    column.append(value)
            rows += [(context, moment.time, camera, n, *b) for n, b in (moment.boxes.get(camera) or {}).items()]
    _parquet(root / "v2" / split / "camera_image" / f"{context}.parquet", images, more)
    names = ["key.segment_context_name", "key.frame_timestamp_micros", "key.camera_name", "key.camera_object_id"]
    names += [f"[CameraBoxComponent].{n}" for n in ("box.center.x", "box.center.y", "box.size.x", "box.size.y", "type")]
    columns = {name: [row[number] for row in rows] for number, name in enumerate(names)}
    _parquet(root / "v2" / split / "camera_box" / f"{context}.parquet", columns, more)
    poses = {"key.segment_context_name": [context] * len(moments)}
    poses["key.frame_timestamp_micros"] = [moment.time for moment in moments]
    _parquet(root / "v2" / split / "vehicle_pose" / f"{context}.parquet", poses, more)
    return root / "v1", root / "v2"


TYPES = {
    "key.segment_context_name": pa.string(),
    "key.frame_timestamp_micros": pa.int64(),
    "key.camera_name": pa.int8(),
    "key.camera_object_id": pa.string(),
    "[CameraImageComponent].image": pa.binary(),
    "[CameraBoxComponent].type": pa.int8(),
}
NAMES = {1: "FRONT", 2: "FRONT_LEFT", 3: "FRONT_RIGHT", 4: "SIDE_LEFT", 5: "SIDE_RIGHT"}


def _parquet(path: Path, columns: Mapping[str, list], more: Mapping) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for name, values in columns.items():
        if name == "key.camera_name" and more.get("camera_names"):
            arrays[name] = pa.array([NAMES[value] for value in values], pa.string())
        else:
            arrays[name] = pa.array(values, TYPES.get(name, pa.float64()))
    pq.write_table(pa.table(arrays), path, row_group_size=3, write_page_checksum=True)
