"""Depth as folders of 16-bit PNG, one folder a clip, frames in order of name; 0 is "no depth".

The number that a stored integer is multiplied by to get the stated unit is stated, never assumed
(1 with millimetre for ScanNet, 1/256 with metre for KITTI, 1/5000 with metre for TUM):
`--meta scale=1`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays, Role
from probe4d.errors import DataError, MissingExtraError, UsageError
from probe4d.scoring.foreign.places import digest_places, find_places
from probe4d.scoring.lazy import LazyArray
from probe4d.scoring.source import Limits, Source, check_array_size, fail

__all__ = ["open_depth_png"]


def open_depth_png(path: str, *, role: Role, meta: Mapping[str, Any], limits: Limits) -> Source:
    """Return one sample per folder: `depth (t, h, w)`, decoded frame by frame.

    Raises:
        MissingExtraError: Pillow is not installed.
        UsageError: the scale is not stated.
        DataError: a folder has no PNG, or one is not 16-bit grey or of another size.
    """
    try:
        import PIL.Image
    except ImportError as error:
        raise MissingExtraError(f"{path}: depth-png needs Pillow. Run: pip install 'probe4d[png]'") from error
    if "scale" not in meta:
        raise UsageError(
            f"{path}: meta.scale: expected the number that turns a stored integer into the stated unit, got none. "
            f"Add --meta {role}.scale=<number>, as 1 (ScanNet, millimetre) or 0.00390625 (KITTI, metre)."
        )
    return DepthPng(path, limits, PIL.Image.open)


class DepthPng(Source):
    """Folders of 16-bit PNG."""

    def __init__(self, path: str, limits: Limits, decode: Callable[..., Any]) -> None:
        self.name = path
        self.meta = {"quantity": "depth"}
        self._places = _folders(path)
        self.ids = list(self._places)
        self._limits = limits
        self._decode = decode

    def load(self, sample_id: str) -> Arrays:
        """Return the depth of one folder; frames are decoded when they are sliced."""
        where = f"{self.name}: sample {sample_id!r}"
        files = sorted(file for file in Path(self._places[sample_id]).iterdir() if file.suffix.lower() == ".png")
        if not files:
            fail(where, "PNG files", f"none in {self._places[sample_id]}")
        first = self._frame(files[0], None)

        def read(start: int, stop: int) -> Array:
            frames = [self._frame(file, first.shape) for file in files[start:stop]]
            return np.stack(frames) if frames else np.zeros((0, *first.shape), dtype=np.int32)

        return {"depth": LazyArray(where, (len(files), *first.shape), np.dtype(np.int32), read, self._limits)}  # type: ignore[dict-item]

    def _frame(self, file: Path, shape: tuple[int, ...] | None) -> Array:
        where = str(file)
        try:
            with self._decode(file, formats=["PNG"]) as image:
                check_array_size(where, image.size, 8, self._limits)
                if image.mode not in ("I;16", "I;16B", "I;16L", "I"):
                    fail(where, "16-bit grey", f"mode {image.mode}", "Write depth with 16 bits a pixel and no colour.")
                values = np.asarray(image, dtype=np.int32)
        except DataError:
            raise
        except Exception as error:  # Pillow raises errors of many kinds on damaged files
            raise DataError(f"{where}: expected a PNG, got {type(error).__name__}: {str(error)[:120]}.") from error
        if shape is not None and values.shape != shape:
            fail(where, f"shape {shape}, as the first frame", f"shape {values.shape}")
        return values

    def digest(self) -> str:
        """Return the sha256 over the files; see `digest_folder`."""
        return digest_places(self._places)


def _folders(path: str) -> dict[str, str]:
    """Return the clips: what a pattern names, the folders in a folder, or the one folder itself."""
    places = find_places(path, "")
    if "*" not in path and Path(path).is_dir():
        places = {inner.name: str(inner) for inner in sorted(Path(path).iterdir()) if inner.is_dir()} or places
    for place in places.values():
        if not Path(place).is_dir():
            fail(place, "a folder of PNG files", "a file")
    return places
