"""`mot-folder`: sequences in the MOTChallenge layout, with their ground-truth boxes."""

from __future__ import annotations

import configparser
import csv
from collections.abc import Mapping
from os import PathLike
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.images import read_colour, stack
from probe4d_datasets.own.parts import VIDEO_SUFFIXES, OwnDataset
from probe4d_datasets.own.root import under
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import video_index

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["MotFolder", "parse_mot"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class MotFolder(OwnDataset):
    """Boxes of `<sequence>/gt/gt.txt` over `<sequence>/img1/*.jpg` or the one video beside.

    Rows whose seventh column is 0 are left out, as the challenge does; boxes are clipped to the
    frame, and one that lies outside of it is absent there.

    Args:
        windows: long sequences are cut into samples of so many frames.
        pixel_base: the coordinate of the first pixel. Source: MOT16 (arXiv 1603.00831, section 3.3):
            "frame numbers, target IDs and bounding boxes are 1-based".
    """

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        split: str = "train",
        *,
        rule: Any = None,
        windows: Any = None,
        pixel_base: int = 1,
    ) -> None:
        super().__init__(root, split, rule, windows)
        if isinstance(pixel_base, bool) or pixel_base not in (0, 1):
            raise UsageError(f"mot-folder pixel_base: expected 0 or 1, got {pixel_base!r}.")
        self.pixel_base = pixel_base
        self._files = self.root.files()
        self._plan([path.removesuffix("/gt/gt.txt") for path in self._files if path.endswith("/gt/gt.txt")])

    def _length(self, item: str) -> int:
        info = self._info(item)
        if "seqlength" in info:
            try:
                return int(info["seqlength"])
            except ValueError as error:
                raise DataError(f"{item}/seqinfo.ini: expected a number as seqLength, got {error}.") from error
        images = self._images(item, info)
        return max(images) if images else len(video_index(self._video(item)))

    def _load(self, item: str, span: range, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        images = self._images(item, self._info(item))
        if images:
            if missing := [frame + 1 for frame in frames if frame + 1 not in images]:
                raise DataError(f"{item}: expected an image of frame {missing[0]}, got none. Complete the sequence.")
            names = [images[frame + 1] for frame in frames]
            where = [self.root.location(name) for name in names]
            video = stack([read_colour(c, w) for c, w in zip(self.root.read(names), where, strict=True)], where)
        else:
            video = read_frames(self._video(item), frames)
        path = f"{item}/gt/gt.txt"
        rows = parse_mot(self.root.read_text(path), self.root.location(path))
        ids, boxes, present = self._boxes(rows, span, frames, video.shape[1:3])
        return video, {"boxes": {"boxes": boxes, "present": present}}, {"track_ids": ids}

    def _boxes(
        self, rows: npt.NDArray[np.float64], span: range, frames: list[int], size: tuple[int, ...]
    ) -> tuple[list[int], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return ids, boxes (n, t, 4) = (ymin, xmin, ymax, xmax) in [0, 1] and present (n, t).

        An id of `span` that is in none of `frames` keeps its row, absent throughout.
        """
        height, width = size
        rows = rows[(rows[:, 6] != 0) & np.isin(rows[:, 0], np.asarray(span) + 1)]
        left, top = rows[:, 2] - self.pixel_base, rows[:, 3] - self.pixel_base
        yxyx = np.stack([top, left, top + rows[:, 5], left + rows[:, 4]], axis=1) / [height, width, height, width]
        yxyx = yxyx.clip(0, 1)
        inside = (yxyx[:, 2] > yxyx[:, 0]) & (yxyx[:, 3] > yxyx[:, 1])
        rows, yxyx = rows[inside], yxyx[inside]
        ids = np.unique(rows[:, 1])
        boxes = np.zeros((len(ids), len(frames), 4), np.float32)
        present = np.zeros((len(ids), len(frames)), np.bool_)
        track = np.searchsorted(ids, rows[:, 1])
        for place, frame in enumerate(frames):
            here = rows[:, 0] == frame + 1
            boxes[track[here], place] = yxyx[here]
            present[track[here], place] = True
        return [int(i) for i in ids], boxes, present

    def _info(self, item: str) -> Mapping[str, str]:
        path = f"{item}/seqinfo.ini"
        if not under(self._files, path):
            return {}
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(self.root.read_text(path))
            return dict(parser["Sequence"])
        except (configparser.Error, KeyError) as error:
            raise DataError(f"{self.root.location(path)}: expected a section [Sequence], got {error}.") from error

    def _images(self, item: str, info: Mapping[str, str]) -> dict[int, str]:
        """Return the path of each image by the frame number that its name is."""
        folder = f"{item}/{info.get('imdir', 'img1')}/"
        paths = [PurePosixPath(path) for path in under(self._files, folder)]
        images = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
        if odd := [path for path in images if not path.stem.isdecimal()]:
            raise DataError(f"{odd[0]}: expected a frame number as its name, got {odd[0].stem!r}. Rename or remove it.")
        return {int(path.stem): str(path) for path in images}

    def _video(self, item: str) -> str:
        here = [path for path in under(self._files, f"{item}/") if "/" not in path.removeprefix(f"{item}/")]
        videos = [path for path in here if PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES]
        if len(videos) != 1:
            raise DataError(f"{item}: expected images in img1/, or one video, got {videos or 'neither'}.")
        return self.root.location(videos[0])


def parse_mot(text: str, where: str) -> npt.NDArray[np.float64]:
    """Return the rows as (n, 7): frame, id, left, top, width, height, and 0 where to be left out.

    Raises:
        DataError: a row is not numbers, is too short, or is there twice.
    """
    rows: list[list[float]] = []
    seen: set[tuple[float, float]] = set()
    for number, line in enumerate(csv.reader(text.splitlines()), start=1):
        if not line:
            continue
        try:
            values = [float(value) for value in line[:7]]
        except ValueError as error:
            raise DataError(f"{where}, line {number}: expected numbers between commas, got {error}.") from error
        if len(values) < 6 or not np.isfinite(values).all() or min(values[4:6]) <= 0 or values[0] < 1:
            raise DataError(
                f"{where}, line {number}: expected frame >= 1, id, left, top, width > 0, height > 0, got {line[:7]}."
            )
        if (values[0], values[1]) in seen:
            raise DataError(f"{where}, line {number}: expected id {line[1]} once in frame {line[0]}, got it again.")
        seen.add((values[0], values[1]))
        rows.append(values if len(values) == 7 else [*values, 1.0])
    return np.asarray(rows, np.float64).reshape(-1, 7)
