"""Small MOVi builders of any size, made for the tests: a still room, one box that moves, exact truth."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np

from probe4d_datasets.formats.tf_example import encode_example
from probe4d_datasets.formats.tfrecord import frame_record

FLOWS = ("forward_flow", "backward_flow")
CORNERS = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])


def png(image: np.ndarray) -> bytes:
    """Return an image (h, w) or (h, w, 1 | 3), uint8 or uint16, as a PNG."""
    image = image.reshape(*image.shape[:2], -1)
    height, width, channels = image.shape
    depth = 8 * image.itemsize
    rows = image.astype(f">u{image.itemsize}").reshape(height, -1).view(np.uint8)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    head = struct.pack(">IIBBBBB", width, height, depth, {1: 0, 3: 2}[channels], 0, 0, 0)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 1)) + chunk(b"IEND", b"")


def made_features(
    frames: int = 6, size: int = 16, seed: int = 0, wanted: tuple[int, int] | None = None, flows: bool = True
) -> dict:
    """Return the features of a record: a wall 5 m off, and a unit box 3 m off that moves right by 0.1 m a frame.

    The camera stands at the origin and looks along -z. The front of the box faces it.
    """
    height, width = wanted or (size, size)
    random = np.random.default_rng(seed)
    u = (np.arange(width) + 0.5) / width - 0.5
    v = (np.arange(height) + 0.5) / height - 0.5
    fx, fy = 1.0, height / width
    rays = np.stack(np.broadcast_arrays(u[None] / fx, -v[:, None] / fy, np.array(-1.0)), -1)
    x = rays[..., 0] * 3
    y = rays[..., 1] * 3
    length = np.linalg.norm(rays, axis=-1)
    depths, segments, normals, coordinates, boxes = [], [], [], [], []
    for frame in range(frames):
        centre = np.array([-0.5 + 0.1 * frame, 0.0, -3.5])
        inside = (np.abs(x - centre[0]) < 0.5) & (np.abs(y) < 0.5)
        depths.append(np.where(inside, 3 * length, 5 * length))
        segments.append(inside.astype(np.uint8))
        normals.append(np.where(inside[..., None], [0, 0, 1.0], [0, 0, 1.0]))
        local = np.stack([x - centre[0], y, np.full_like(x, 0.5)], -1)
        coordinates.append(np.where(inside[..., None], local, -0.5))
        boxes.append(CORNERS + centre)
    low, high = 2.0, 9.0
    unsigned = lambda values: np.round(np.clip(values, 0, 1) * 65535).astype(np.uint16)  # noqa: E731
    still = np.tile([1.0, 0, 0, 0], (frames, 1))
    sides = [(np.nonzero(s)[0], np.nonzero(s)[1]) for s in segments]
    seen = [frame for frame in range(frames) if len(sides[frame][0])]
    flat = [
        [rows.min() / height, columns.min() / width, (rows.max() + 1) / height, (columns.max() + 1) / width]
        for rows, columns in (sides[frame] for frame in seen)
    ]
    video = random.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return {
        "video": [png(image) for image in video],
        "segmentations": [png(image) for image in segments],
        "depth": [png(unsigned((depth - low) / (high - low))) for depth in depths],
        "normal": [png(unsigned((normal + 1) / 2)) for normal in normals],
        "object_coordinates": [png(unsigned(local + 0.5)) for local in coordinates],
        **({name: random.integers(0, 65536, video.size // 3 * 2) for name in FLOWS} if flows else {}),
        "metadata/video_name": [f"made{seed}".encode()],
        "metadata/num_frames": np.array([frames]),
        "metadata/depth_range": np.array([low, high], np.float32),
        "camera/positions": np.zeros(frames * 3, np.float32),
        "camera/quaternions": still.astype(np.float32).ravel(),
        "camera/focal_length": np.array([32.0], np.float32),
        "camera/sensor_width": np.array([32.0], np.float32),
        "instances/bboxes_3d": np.asarray(boxes, np.float32).ravel(),
        "instances/quaternions": still.astype(np.float32).ravel(),
        "instances/bboxes/ragged_flat_values": np.asarray(flat, np.float32).ravel(),
        "instances/bboxes/ragged_row_lengths_0": np.array([len(flat)]),
        "instances/bbox_frames/ragged_flat_values": np.array(seen),
        "instances/bbox_frames/ragged_row_lengths_0": np.array([len(seen)]),
    }


def write_build(root: Path, shards: list[list[dict]], *, builder: str = "movi_e", info: bool = True, **where) -> Path:
    """Write a split of a builder as TFDS does; return its folder."""
    config, version, split = where.get("config", "16x16"), where.get("version", "1.0.0"), where.get("split", "train")
    folder = root / builder / config / version
    folder.mkdir(parents=True, exist_ok=True)
    for number, records in enumerate(shards):
        name = f"{builder}-{split}.tfrecord-{number:05d}-of-{len(shards):05d}"
        (folder / name).write_bytes(b"".join(frame_record(encode_example(record)) for record in records))
    if info:
        lengths = [str(len(records)) for records in shards]
        splits = [
            {
                "name": split,
                "shardLengths": lengths,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
        ]
        value = {"name": builder, "configName": config, "version": version, "fileFormat": "tfrecord", "splits": splits}
        (folder / "dataset_info.json").write_text(json.dumps(value))
    return folder
