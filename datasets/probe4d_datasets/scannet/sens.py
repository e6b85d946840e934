"""`.sens` files of ScanNet: an index by one pass over the headers, then frames by byte range.

Little-endian, version 4. Source: ScanNet's `SensReader/c++/sensorData.h` and `SensReader/python/SensorData.py`.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.cached_index import cached_index
from probe4d_datasets.files import open_binary
from probe4d_datasets.own.images import read_colour
from probe4d_datasets.own.root import Root

__all__ = ["Sens", "colour_of", "depth_of", "open_sens", "read_blocks"]

VERSION = 4
COLOUR = ("raw", "png", "jpeg")
DEPTH = ("raw_ushort", "zlib_ushort", "occi_ushort")
MAX_NAME = 1 << 16
MAX_SIDE = 1 << 14  # pixels
MAX_FRAMES = 200_000  # the longest real scans have some 10,000
HEAD = struct.Struct("<64f2i4IfQ")
FRAME = struct.Struct("<16f4Q")


@frozen(kw_only=True)
class Sens:
    """What one `.sens` file holds, and where.

    Attributes:
        colour, depth: compression, by the names of the format.
        colour_size, depth_size: (height, width) in pixels.
        depth_shift: units of depth in a metre.
        cameras: `intrinsic_color`, `extrinsic_color`, `intrinsic_depth`, `extrinsic_depth`: 16 numbers
            each, row-major.
        poses: per frame, camera to world, 16 numbers; lost tracking is -inf, others may be NaN.
        stamps: per frame, of colour and depth, microseconds; often 0 or garbage.
        blocks: per frame, offset of the colour image, its bytes, and the bytes of the depth image after it.
        imu: number of IMU records; None where the file ends before it says.
    """

    where: str
    sensor: str
    colour: str
    depth: str
    colour_size: tuple[int, int]
    depth_size: tuple[int, int]
    depth_shift: float
    cameras: dict[str, list[float]]
    poses: list[list[float]]
    stamps: list[list[int]]
    blocks: list[list[int]]
    imu: int | None

    def __len__(self) -> int:
        return len(self.blocks)

    def camera(self, name: str) -> Array:
        """Return a camera's matrix `(4, 4)`."""
        return np.asarray(self.cameras[name], np.float32).reshape(4, 4)


def open_sens(root: Root, path: str) -> Sens:
    """Return the index of a file, from the user's cache where it has been made before.

    Raises:
        DataError: the file is missing, cut off, of another version, or no such file.
    """
    where = root.location(path)
    return _opened(where, root.state(path))


@functools.lru_cache(maxsize=64)
def _opened(where: str, state: str) -> Sens:
    made: dict[str, Any] = cached_index("probe4d/sens-index/1", f"{where}\n{state}", lambda: _index(where))
    made["colour_size"], made["depth_size"] = tuple(made["colour_size"]), tuple(made["depth_size"])
    return Sens(where=where, **made)


def _index(where: str) -> dict[str, Any]:
    with open_binary(where) as file:
        try:
            size = file.seek(0, 2)
            file.seek(0)
            return _read_index(file, size, where)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{where}: expected a whole .sens file, got {error}. Fetch it again.") from error


def _read_index(file: BinaryIO, size: int, where: str) -> dict[str, Any]:
    (version,) = struct.unpack("<I", _exactly(file, 4, where))
    if version != VERSION:
        raise DataError(f"{where}: expected a .sens file of version {VERSION}, got {version}. Is it one?")
    (length,) = struct.unpack("<Q", _exactly(file, 8, where))
    if length > MAX_NAME:
        raise DataError(f"{where}: expected a sensor name of at most {MAX_NAME} bytes, got {length}.")
    sensor = _exactly(file, length, where).decode("utf-8", "replace")
    values = HEAD.unpack(_exactly(file, HEAD.size, where))
    colour, depth, colour_w, colour_h, depth_w, depth_h, shift, count = values[64:]
    names = ("intrinsic_color", "extrinsic_color", "intrinsic_depth", "extrinsic_depth")
    _check_sizes((colour_w, colour_h, depth_w, depth_h), where)
    if not (np.isfinite(shift) and shift > 0):
        raise DataError(f"{where}: expected a depth shift above 0, got {shift}.")
    if count > min(size // FRAME.size, MAX_FRAMES):
        raise DataError(f"{where}: expected room for {count} frames, got {size:,} bytes: it is cut off or no .sens.")
    poses, stamps, blocks = _frames(file, count, size, where)
    return {
        "sensor": sensor,
        "colour": _name(COLOUR, colour, f"{where}: colour compression"),
        "depth": _name(DEPTH, depth, f"{where}: depth compression"),
        "colour_size": (colour_h, colour_w),
        "depth_size": (depth_h, depth_w),
        "depth_shift": shift,
        "cameras": {name: list(values[16 * i : 16 * i + 16]) for i, name in enumerate(names)},
        "poses": poses,
        "stamps": stamps,
        "blocks": blocks,
        "imu": _imu(file),
    }


def _frames(
    file: BinaryIO, count: int, size: int, where: str
) -> tuple[list[list[float]], list[list[int]], list[list[int]]]:
    poses: list[list[float]] = []
    stamps: list[list[int]] = []
    blocks: list[list[int]] = []
    position = file.tell()
    for number in range(count):
        *pose, stamp_colour, stamp_depth, colour, depth = FRAME.unpack(_exactly(file, FRAME.size, where))
        position += FRAME.size
        if position + colour + depth > size:
            raise DataError(
                f"{where}, frame {number} of {count}: expected {colour:,} + {depth:,} bytes, got the end of the file "
                f"at {size:,}: it is cut off. Fetch it again."
            )
        poses.append(pose)
        stamps.append([stamp_colour, stamp_depth])
        blocks.append([position, colour, depth])
        position += colour + depth
        file.seek(position)
    return poses, stamps, blocks


def _imu(file: BinaryIO) -> int | None:
    head = file.read(8)
    return int.from_bytes(head, "little") if len(head) == 8 else None


def _exactly(file: BinaryIO, length: int, where: str) -> bytes:
    content = file.read(length)
    if len(content) < length:
        raise DataError(f"{where}: expected a whole .sens file, got its end. Fetch it again.")
    return content


def _check_sizes(sides: Sequence[int], where: str) -> None:
    if not all(0 < side <= MAX_SIDE for side in sides):
        raise DataError(f"{where}: expected images of 1 to {MAX_SIDE} pixels a side, got {tuple(sides)}.")


def _name(names: Sequence[str], number: int, where: str) -> str:
    if not 0 <= number < len(names):
        raise DataError(f"{where}: expected one of {dict(enumerate(names))}, got {number}.")
    return names[number]


def read_blocks(sens: Sens, frames: Sequence[int]) -> list[tuple[bytes, bytes]]:
    """Return colour and depth of these frames as they are stored, each by one range of bytes.

    Raises:
        DataError: the file has changed, or cannot be read.
    """
    found = []
    with open_binary(sens.where) as file:
        for frame in frames:
            offset, colour, depth = sens.blocks[frame]
            try:
                file.seek(offset)
                content = file.read(colour + depth)
            except (OSError, EOFError, zlib.error) as error:
                raise DataError(f"{sens.where}, frame {frame}: expected to be read, got {error}.") from error
            if len(content) < colour + depth:
                raise DataError(f"{sens.where}, frame {frame}: expected {colour + depth} bytes, got {len(content)}.")
            found.append((content[:colour], content[colour:]))
    return found


def colour_of(sens: Sens, content: bytes, frame: int) -> Array:
    """Return an image `(h, w, 3)` uint8.

    Raises:
        DataError: it is broken, or not of the size that the header states.
    """
    where = f"{sens.where}, colour of frame {frame}"
    height, width = sens.colour_size
    if sens.colour == "raw":
        if len(content) != height * width * 3:
            raise DataError(f"{where}: expected {height * width * 3} bytes, got {len(content)}.")
        return np.frombuffer(content, np.uint8).reshape(height, width, 3)
    image = read_colour(content, where)
    if image.shape[:2] != sens.colour_size:
        raise DataError(f"{where}: expected {sens.colour_size} (h, w), got {image.shape[:2]}.")
    return image


def depth_of(sens: Sens, content: bytes, frame: int) -> Array:
    """Return a depth image `(h, w)` uint16 in units of `1 / depth_shift` metres; 0 is none.

    Raises:
        DataError: it is broken, longer than its size allows, or compressed by `occi`.
    """
    where = f"{sens.where}, depth of frame {frame}"
    height, width = sens.depth_size
    if sens.depth == "occi_ushort":
        raise DataError(
            f"{where}: expected raw or zlib compression, got occi, which only the uplink library of its authors reads. "
            "Export the scene with ScanNet's SensReader."
        )
    if sens.depth == "zlib_ushort":
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(content, height * width * 2 + 1)
        except zlib.error as error:
            raise DataError(f"{where}: expected zlib data, got {error}.") from error
        if not unpacker.eof:
            raise DataError(f"{where}: expected {height * width * 2} bytes, got a stream that does not end there.")
    if len(content) != height * width * 2:
        raise DataError(f"{where}: expected {height * width * 2} bytes of {height} x {width}, got {len(content)}.")
    return np.frombuffer(content, "<u2").reshape(height, width).astype(np.uint16)
