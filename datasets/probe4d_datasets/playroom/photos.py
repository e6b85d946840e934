"""Photographs to paint the playroom with: a folder's, or those that the scikit-image wheel carries.

Which split a photograph is for follows from the hash of its file, so that adding files moves none,
and the same photograph twice is in one split only.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from probe4d import atomic
from probe4d.errors import DataError, MissingExtraError
from probe4d_datasets.playroom.texture import Photo

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
# Of ten equal parts of all hashes, those that a split has.
SHARES = {"pretrain": range(3), "train": range(3, 6), "val": range(6, 8), "test": range(8, 10)}
SMALLEST = 128  # pixels; below, an image is an icon and not a photograph
# The photographs among the images of scikit-image's wheel, one of each subject.
PACKAGED = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)


def packaged_photos() -> tuple[Path, ...]:
    """Return the photographs in the installed scikit-image.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "playroom-photo: expected a root or scikit-image, got neither. "
            "Give a folder of photographs as root, or run: pip install scikit-image"
        )
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return tuple(file for name in PACKAGED if (file := folder / name).is_file())


def folder_photos(folder: Path) -> tuple[Path, ...]:
    """Return the images in a folder and those below it.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of photographs, got none. Give it as root.")
    return tuple(sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES))


def photos_of_split(images: Sequence[Path], split: str) -> tuple[tuple[Path, str], ...]:
    """Return the split's photographs among images: path and SHA-256 of the content, in the order of these.

    Raises:
        DataError: none falls to the split, or one is broken.
    """
    by_digest = {atomic.sha256_of(file): file for file in images}
    found = [
        (file, digest)
        for digest, file in sorted(by_digest.items())
        if int(digest, 16) % 10 in SHARES[split] and _is_photo(file)
    ]
    if not found:
        where = images[0].parent if images else "root"
        raise DataError(
            f"{where}: expected photographs of at least {SMALLEST} pixels for {split!r}, got none "
            f"among {len(images)} images. Add some: each falls to a split by its hash."
        )
    return tuple(found)


@functools.lru_cache(maxsize=4)
def load_photos(files: Sequence[Path]) -> tuple[Photo, ...]:
    """Return each as `(side, side, 3)` linear RGB, float32: the middle square, averaged down to 256 or 128."""
    return tuple(_load(file) for file in files)


def _is_photo(file: Path) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return image.mode in ("L", "RGB", "RGBA") and min(image.size) >= SMALLEST
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{file}: expected an image, got {error}. Mend it or take it out of the folder.") from error


def _load(file: Path) -> Photo:
    from PIL import Image

    try:
        with Image.open(file) as image:
            pixels: npt.NDArray[np.uint8] = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise DataError(f"{file}: expected an image, got {error}. Mend it or take it out of the folder.") from error
    height, width = pixels.shape[:2]
    side = 256 if min(height, width) >= 256 else 128
    step = min(height, width) // side
    top, left = (height - step * side) // 2, (width - step * side) // 2
    square = pixels[top : top + step * side, left : left + step * side].astype(np.int64)
    total = np.zeros((side, side, 3), np.int64)
    for row in range(step):
        for column in range(step):
            total += square[row::step, column::step]
    shown = total.astype(np.float32) / np.float32(255 * step * step)
    return shown * shown  # what `render` displays by a square root
