"""What of RealEstate10K lies where under a root: camera files, frames, scales."""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import frozen

from probe4d.errors import DataError
from probe4d.scoring.strict_json import parse_json
from probe4d_datasets.cached_index import cached_index
from probe4d_datasets.own.parts import VIDEO_SUFFIXES
from probe4d_datasets.own.root import Root
from probe4d_datasets.places import Folder, archive, loose
from probe4d_datasets.re10k.cameras import MAX_BYTES, Cameras, parse_cameras, video_id_of
from probe4d_datasets.re10k.chunks import Chunks, open_chunks
from probe4d_datasets.re10k.frames import Images, Storage, Videos

__all__ = ["CameraFiles", "find_cameras", "find_frames", "read_scales"]

NAME = "RealEstate10K"
ARCHIVES = (f"{NAME}.tar.gz", f"{NAME}.tgz", f"{NAME}.tar", f"{NAME}.zip")
MAX_SCALES = 64 << 20
KINDS = ("videos", "images", "chunks")


@frozen
class CameraFiles:
    """The camera files `<key>.txt` of one split."""

    folder: Folder

    def keys(self) -> list[str]:
        """Return the keys of the clips, sorted."""
        return sorted(name.removesuffix(".txt") for name in self.folder.names if name.endswith(".txt"))

    def cameras(self, key: str) -> Cameras:
        """Return the cameras of a clip.

        Raises:
            DataError: the file is not as it should be.
        """
        text, where = self._text(key)
        return parse_cameras(text, where)

    def _text(self, key: str) -> tuple[str, str]:
        path = self.folder.file(f"{key}.txt")
        where = self.folder.root.location(path)
        try:
            return self.folder.root.read_up_to(path, MAX_BYTES).decode("ascii"), where
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: expected plain text, got {error}.") from error

    def states(self) -> list[str]:
        """Return the state of every file."""
        return [f"{key} {self.folder.root.state(self.folder.file(f'{key}.txt'))}" for key in self.keys()]

    def video_ids(self) -> Mapping[str, str]:
        """Return the video of each clip; read once, then kept in the user's cache. Empty for a broken file."""
        root, path = self.folder.root.url, self.folder.path
        state = "\n".join([root, path, *self.states()])
        found: Mapping[str, str] = cached_index("probe4d/re10k-videos/1", state, self._video_ids)
        return found

    def _video_ids(self) -> dict[str, str]:
        found = {}
        for key in self.keys():
            try:
                text, where = self._text(key)
                found[key] = video_id_of(text.partition("\n")[0], where)
            except DataError:
                found[key] = ""  # the clip stays: loading it says what is wrong
        return found


def find_cameras(root: Root, split: str) -> CameraFiles | None:
    """Return the camera files of a split: loose, else of the data set's own archive; None where there are none.

    A compressed archive is unpacked once, into the user's cache.
    """
    for path in (f"{NAME}/{split}", split, f"cameras/{split}"):
        folder = loose(root, path)
        if folder is not None and any(name.endswith(".txt") for name in folder.names):
            return CameraFiles(folder)
    for name in ARCHIVES:
        if name in root.names():
            folder = loose(archive(root, name, unpack=True), f"{NAME}/{split}")
            return None if folder is None else CameraFiles(folder)
    return None


def find_frames(
    root: Root, split: str, kind: str, folder: str | None, tolerance: float, naming: str
) -> tuple[str, Storage]:
    """Return the kind of storage (`auto`: the first of videos, images, chunks that is there) and the storage.

    Raises:
        DataError: there is none of this kind.
    """
    for one in KINDS if kind == "auto" else (kind,):
        if one == "videos" and (folders := _videos(root, split, folder)):
            return one, Videos(folders=folders, tolerance=tolerance)
        if one == "images" and (images := _images(root, split, folder, naming)):
            return one, images
        if one == "chunks" and (chunks := _chunks(root, split, folder)):
            return one, chunks
    looked = f"in {folder}" if folder is not None else "under the root"
    expected = "videos/<YouTube id>.mp4, <split>/<key>/<timestamp>.png or <split>/index.json with .torch chunks"
    raise DataError(f"{root.url}: expected frames ({kind}) {looked}, as {expected}, got none for {split!r}.")


def _videos(root: Root, split: str, folder: str | None) -> tuple[Folder, ...]:
    paths = (f"videos/{split}", "videos") if folder is None else (f"{folder}/{split}", folder)
    found = [one for path in paths if (one := loose(root, path)) is not None]
    return tuple(one for one in found if any(name.lower().endswith(VIDEO_SUFFIXES) for name in one.names))


def _candidates(root: Root, folder: str | None) -> list[str]:
    if folder is not None:
        return [folder]
    return [name.rstrip("/") for name in root.names() if name.endswith("/")] + [""]


def _images(root: Root, split: str, folder: str | None, naming: str) -> Images | None:
    for parent in _candidates(root, folder):
        path = f"{parent}/{split}" if parent else split
        keys = frozenset(name.rstrip("/") for name in root.names(path) if name.endswith("/"))
        if keys:
            return Images(root=root, folder=path, keys=keys, naming=naming)
    return None


def _chunks(root: Root, split: str, folder: str | None) -> Chunks | None:
    for parent in _candidates(root, folder):
        path = f"{parent}/{split}" if parent else split
        if "index.json" in root.names(path):
            return open_chunks(root, path)
    return None


def read_scales(root: Root, path: str) -> Mapping[str, float]:
    """Return the metres in a clip's unit, by key, of a JSON object.

    Raises:
        DataError: it is no object of positive numbers.
    """
    where = root.location(path)
    scales = parse_json(where, root.read_up_to(path, MAX_SCALES))
    if not isinstance(scales, dict):
        raise DataError(f"{where}: expected an object {{key: scale}}, got {type(scales).__name__}.")
    for key, scale in scales.items():
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
            raise DataError(f"{where}, {key[:40]}: expected a number above 0, got {str(scale)[:40]!r}.")
    return {key: float(scale) for key, scale in scales.items()}
