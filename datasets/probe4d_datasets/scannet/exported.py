"""Scenes as ScanNet's two exporters write them: SensReader/python and SensReader/c++."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.own.images import read_colour, read_grey16
from probe4d_datasets.own.root import Root

__all__ = ["DEPTH_SHIFT", "Exported", "is_exported", "open_exported", "read_matrix"]

DEPTH_SHIFT = 1000.0  # both exporters copy the integers, which are millimetres in every scan
MAX_IMAGE = 64 << 20
MAX_TEXT = 1 << 16
PYTHON = re.compile(r"(?P<number>\d{1,9})\.(jpg|jpeg|png)")
CPP = re.compile(r"frame-(?P<number>\d{1,9})\.(?P<what>color\.jpg|color\.png|depth\.pgm|depth\.png|pose\.txt)")


@frozen(kw_only=True)
class Exported:
    """The frames of one exported scene.

    Attributes:
        layout: `python` (color/0.jpg, depth/0.png, pose/0.txt) or `cpp` (frame-000000.color.jpg …).
        numbers: of the frames, as their names say; an export may have skipped a fixed number.
        colour, depth: path of each frame's image under the root, empty where there is none.
    """

    root: Root
    folder: str
    layout: str
    numbers: tuple[int, ...]
    colour: tuple[str, ...]
    depth: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def pose_path(self, frame: int) -> str:
        """Return where the pose of a frame is stated."""
        number = self.numbers[frame]
        name = f"pose/{number}.txt" if self.layout == "python" else f"frame-{number:06d}.pose.txt"
        return f"{self.folder}/{name}"

    def read_colour(self, frame: int) -> Array:
        """Return `(h, w, 3)` uint8.

        Raises:
            DataError: it is missing or broken.
        """
        return read_colour(*self._image(self.colour, frame, "colour"))

    def read_depth(self, frame: int) -> Array:
        """Return `(h, w)` uint16 in millimetres; 0 is none.

        Raises:
            DataError: it is missing or broken.
        """
        return read_grey16(*self._image(self.depth, frame, "depth"))

    def _image(self, paths: Sequence[str], frame: int, what: str) -> tuple[bytes, str]:
        if not (path := paths[frame]):
            where = self.root.location(self.folder)
            raise DataError(
                f"{where}, frame {self.numbers[frame]}: expected a {what} image, got none. Export it again."
            )
        return self.root.read_up_to(path, MAX_IMAGE), self.root.location(path)


def is_exported(root: Root, folder: str) -> bool:
    """Return whether a folder looks like a scene of either layout."""
    names = root.names(folder)
    return {"color/", "depth/"} <= set(names) or any(CPP.fullmatch(name) for name in names)


def open_exported(root: Root, folder: str) -> Exported:
    """Return the frames of an exported scene.

    Raises:
        DataError: it has none, or frames are missing from the sequence.
    """
    names = root.names(folder)
    if {"color/", "depth/"} <= set(names):
        layout = "python"
        colour = _numbered(root.names(f"{folder}/color"), f"{folder}/color/")
        depth = _numbered(root.names(f"{folder}/depth"), f"{folder}/depth/")
    else:
        layout = "cpp"
        found = [match for name in names if (match := CPP.fullmatch(name))]
        colour = {int(m["number"]): f"{folder}/{m[0]}" for m in found if m["what"].startswith("color")}
        depth = {int(m["number"]): f"{folder}/{m[0]}" for m in found if m["what"].startswith("depth")}
    where = root.location(folder)
    numbers = sorted({*colour, *depth})
    if not numbers:
        raise DataError(f"{where}: expected color/<i>.jpg and depth/<i>.png, or frame-<i>.color.jpg …, got none.")
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    for before, after in itertools.pairwise(numbers):
        if after - before != step:
            raise DataError(f"{where}: expected frame {before + step} after {before}, got {after}. Export it again.")
    return Exported(
        root=root,
        folder=folder,
        layout=layout,
        numbers=tuple(numbers),
        colour=tuple(colour.get(number, "") for number in numbers),
        depth=tuple(depth.get(number, "") for number in numbers),
    )


def _numbered(names: Sequence[str], folder: str) -> Mapping[int, str]:
    return {int(match["number"]): folder + match[0] for name in names if (match := PYTHON.fullmatch(name))}


def read_matrix(root: Root, path: str) -> Array:
    """Return the `(4, 4)` numbers of a text file; -inf and NaN are what lost tracking looks like.

    Raises:
        DataError: it is not 16 numbers.
    """
    where = root.location(path)
    try:
        rows = [float(value) for value in root.read_up_to(path, MAX_TEXT).decode("ascii").split()]
    except ValueError as error:
        raise DataError(f"{where}: expected 16 numbers, got {error}.") from error
    if len(rows) != 16:
        raise DataError(f"{where}: expected 16 numbers, got {len(rows)}.")
    return np.asarray(rows, np.float32).reshape(4, 4)
