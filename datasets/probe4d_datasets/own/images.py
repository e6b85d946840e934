"""Images of sequences: colour to uint8, 16-bit depth to metres."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from probe4d.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["read_colour", "read_depth", "read_grey16", "stack"]

# What Pillow raises on files that are not what they say.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Warning)


def read_colour(content: bytes, where: str) -> npt.NDArray[np.uint8]:
    """Return an image as `(h, w, 3)` uint8 RGB.

    Raises:
        DataError: it is no image, or not a whole one.
    """
    return np.asarray(_open(content, where, lambda image: image.convert("RGB")), np.uint8)


def read_depth(content: bytes, where: str, scale: float) -> npt.NDArray[np.float32]:
    """Return a 16-bit grey image divided by `scale`, `(h, w)` in metres; 0 where nothing was measured.

    Raises:
        DataError: it is no image, or not of 16-bit grey.
    """
    return np.asarray(_grey(content, where).astype(np.float64) / scale, np.float32)


def read_grey16(content: bytes, where: str) -> npt.NDArray[np.uint16]:
    """Return a 16-bit grey image, `(h, w)`.

    Raises:
        DataError: it is no image, or not of 16-bit grey.
    """
    values = _grey(content, where)
    if values.size and not 0 <= values.min() <= values.max() < 1 << 16:
        raise DataError(f"{where}: expected 16-bit grey values, got up to {values.max()}.")
    return values.astype(np.uint16)


def _grey(content: bytes, where: str) -> npt.NDArray[Any]:
    image = _open(content, where, lambda image: image.copy())
    if not image.mode.startswith("I"):
        raise DataError(f"{where}: expected a 16-bit grey image, got mode {image.mode!r}. Store depth as 16-bit PNG.")
    return np.asarray(image)


def stack(images: list[npt.NDArray[Any]], names: list[str]) -> npt.NDArray[Any]:
    """Return images of one size as one array.

    Raises:
        DataError: one has another size than the first.
    """
    for image, name in zip(images, names, strict=True):
        if image.shape != images[0].shape:
            raise DataError(f"{name}: expected {images[0].shape[:2]} (h, w) as {names[0]}, got {image.shape[:2]}.")
    return np.stack(images)


def _open(content: bytes, where: str, use: Callable[[Any], Any]) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("images: expected Pillow, which is missing. pip install 'probe4d[video]'") from error
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")) as image:
            return use(image)
    except (*BROKEN, Image.DecompressionBombError) as error:  # the latter: a size that no picture has
        raise DataError(f"{where}: expected a whole image, got {type(error).__name__}: {error}.") from error
