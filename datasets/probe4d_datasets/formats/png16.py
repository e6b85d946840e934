"""PNG images to arrays without loss, 16 bits a channel included, by PyAV.

Pillow cuts 16-bit RGB to 8 bits without a word; FFmpeg's decoder does not.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import DataError, MissingExtraError

__all__ = ["decode_pngs", "png_size"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 1 << 26  # of one image; no dataset has such
MAX_RATIO = 1032  # deflate packs no tighter (zlib's technical notes)
# What FFmpeg decodes (colour type, bit depth) to, and how many channels that is.
FORMATS = {
    (0, 8): ("gray", "u1", 1),
    (0, 16): ("gray16be", ">u2", 1),
    (2, 8): ("rgb24", "u1", 3),
    (2, 16): ("rgb48be", ">u2", 3),
}


def decode_pngs(images: Sequence[bytes | memoryview], channels: int, bits: int, where: str) -> Array:
    """Return images of one size, `(n, h, w, channels)` uint8 or uint16.

    Args:
        channels: 1 (grey) or 3 (RGB); an image of another colour type or depth is refused.
        bits: 8 or 16.

    Raises:
        DataError: one is no such image, is cut off, damaged (its checksums are verified), or of another size.
        MissingExtraError: PyAV is not installed.
    """
    if not images:
        raise DataError(f"{where}: expected images, got none.")
    sizes = [png_size(image, channels, bits, f"{where}, image {number}") for number, image in enumerate(images)]
    size = sizes[0]
    if other := next((number for number, found in enumerate(sizes) if found != size), None):
        raise DataError(f"{where}, image {other}: expected {size} (h, w) as the first, got {sizes[other]}.")
    name, dtype, _ = FORMATS[0 if channels == 1 else 2, bits]
    decode = _decoder()
    out = np.empty((len(images), *size, channels), np.uint8 if bits == 8 else np.uint16)
    for number, image in enumerate(images):
        place = f"{where}, image {number}"
        _verify(memoryview(image), size[0] * (1 + size[1] * channels * bits // 8), place)
        frame = decode(bytes(image), place)
        if (frame.height, frame.width, frame.format.name) != (*size, name):
            raise DataError(f"{place}: expected {size} in {name}, got {frame}. Replace the file.")
        plane = frame.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        row = rows[:, : size[1] * channels * bits // 8]
        out[number] = np.ascontiguousarray(row).view(dtype).reshape(*size, channels)
    return out


def png_size(image: bytes | memoryview, channels: int, bits: int, where: str) -> tuple[int, int]:
    """Return `(height, width)` by the header.

    Raises:
        DataError: it is no PNG of that kind, or absurdly large.
    """
    head = bytes(image[:33])
    if len(head) < 33 or head[:8] != SIGNATURE or head[12:16] != b"IHDR":
        raise DataError(f"{where}: expected a PNG image, got {head[:8]!r}. Replace the file.")
    width, height, depth, colour, _, _, _ = struct.unpack(">IIBBBBB", head[16:29])
    if (colour, depth) not in FORMATS or (FORMATS[colour, depth][2], depth) != (channels, bits):
        raise DataError(
            f"{where}: expected {channels} channels of {bits} bits, got colour type {colour} of {depth} bits. "
            "Is this another feature?"
        )
    if not 0 < width * height <= MAX_PIXELS:
        raise DataError(f"{where}: expected 1 to {MAX_PIXELS} pixels, got {width} x {height}. Replace the file.")
    if height * width * channels * bits // 8 > MAX_RATIO * len(image):
        raise DataError(f"{where}: expected {width} x {height} pixels, got only {len(image)} bytes. Replace the file.")
    return height, width


def _verify(image: memoryview, raw_bytes: int, where: str) -> None:
    """Raise DataError unless every chunk is whole and has its checksum, and the rows are all there.

    FFmpeg checks neither: of a stream that ends early it returns rows of whatever was in memory.
    """
    position = 8
    stream, rows = zlib.decompressobj(), 0
    while position + 12 <= len(image):
        (length,) = struct.unpack_from(">I", image, position)
        end = position + 12 + length
        if end > len(image):
            break
        if zlib.crc32(image[position + 4 : end - 4]) != struct.unpack_from(">I", image, end - 4)[0]:
            raise DataError(f"{where}, byte {position}: expected a chunk's checksum, got another: it is damaged.")
        name = bytes(image[position + 4 : position + 8])
        if name == b"IDAT" and rows < raw_bytes:
            try:
                rows += len(stream.decompress(image[position + 8 : end - 4], raw_bytes - rows))
            except zlib.error as error:
                raise DataError(f"{where}: expected a whole PNG image, got {error}. Replace the file.") from error
        if name == b"IEND" and rows == raw_bytes:
            return
        position = end
    raise DataError(f"{where}: expected a whole PNG image, got {rows} of {raw_bytes} bytes of rows. Replace the file.")


def _decoder() -> Any:
    """Return a function from the bytes of one image to FFmpeg's frame."""
    try:
        import av
        import av.error
    except ImportError as error:
        raise MissingExtraError("PNG images: expected PyAV, which is missing. pip install 'probe4d[video]'") from error

    def decode(content: bytes, where: str) -> Any:
        # A codec of its own per image: nothing of a broken one is left for the next.
        codec: Any = av.CodecContext.create("png", "r")
        try:
            frames = codec.decode(av.Packet(content)) or codec.decode(None)
        except (av.error.FFmpegError, EOFError, MemoryError) as error:
            raise DataError(f"{where}: expected a whole PNG image, got {error}. Replace the file.") from error
        if len(frames) != 1:
            raise DataError(f"{where}: expected one image, got {len(frames)}. Replace the file.")
        return frames[0]

    return decode
