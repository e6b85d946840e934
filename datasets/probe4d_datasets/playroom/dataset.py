"""`playroom` as a dataset: clips with exact targets of all five kinds, made on the user's machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probe4d.contracts import Sample
from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d.paths import cache_dir
from probe4d_datasets.playroom import truth
from probe4d_datasets.playroom.cache import ClipCache
from probe4d_datasets.playroom.photos import folder_photos, load_photos, packaged_photos, photos_of_split
from probe4d_datasets.playroom.render import VERSION, Frames, render
from probe4d_datasets.playroom.sampling import POINTS, draw_playback, draw_scene, stream
from probe4d_datasets.playroom.scene import CLASSES, Scene

SPLITS = ("pretrain", "train", "val", "test")
LENGTHS = {"pretrain": 24_000, "train": 4_800, "val": 480, "test": 480}
DOZEN = len(CLASSES)
CLIPS = 1 << 24  # clips that a split and seed may have: their seeds are a range of their own
SEEDS = 1 << 24


class Playroom:
    """Clips of a room with moving things and a moving camera, in one of four splits that share no seed.

    Args:
        root: folder of photographs, for `textures="photo"`; without one, those of scikit-image.
        split: `pretrain`, `train`, `val` or `test`.
        length: number of clips; a longer dataset begins with the clips of a shorter one.
        size: (height, width) in pixels, or one number for both.
        frames: frames of a clip; more frames show the same motion in finer steps.
        seed: another seed, other clips.
        antialias: rays per pixel and direction for the colours (2: four rays a pixel).
        textures: `noise` or `photo`.
        points: tracks per clip.
        cache: keep rendered clips in the user's cache folder.

    Raises:
        UsageError: an option is not what it should be.
        DataError: there is no photograph for the split.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        split: str = "train",
        *,
        length: int | None = None,
        size: int | Sequence[int] = 128,
        frames: int = 16,
        seed: int = 0,
        antialias: int = 1,
        textures: str = "noise",
        points: int = 64,
        cache: bool = True,
    ) -> None:
        if split not in SPLITS:
            raise UsageError(
                f"playroom split: expected {', '.join(SPLITS)}, got {split!r}.{did_you_mean(split, SPLITS)}"
            )
        if textures not in ("noise", "photo"):
            raise UsageError(f"playroom textures: expected 'noise' or 'photo', got {textures!r}.")
        if root is not None and textures == "noise":
            raise UsageError(f"playroom root: expected none, as nothing is read, got {str(root)!r}. Leave it out.")
        self.split = split
        self.length = _whole("length", LENGTHS[split] if length is None else length, 1, CLIPS)
        self.size = _size(size)
        self.frames = _whole("frames", frames, 1, 1 << 16)
        self.seed = _whole("seed", seed, 0, SEEDS - 1)
        self.antialias = _whole("antialias", antialias, 1, 8)
        self.points = _whole("points", points, 1, 1 << 16)
        self.cache = cache
        self._photos: tuple[tuple[Path, str], ...] = ()
        if textures == "photo":
            self._photos = photos_of_split(packaged_photos() if root is None else folder_photos(Path(root)), split)

    def sample_ids(self) -> list[str]:
        """Return `val-000000`, …; with a seed other than 0, `val-s7-000000`, …"""
        return [self.sample_id(index) for index in range(self.length)]

    def sample_id(self, index: int) -> str:
        """Return the id of the clip at a position."""
        return f"{self.split}-{index:06d}" if self.seed == 0 else f"{self.split}-s{self.seed}-{index:06d}"

    def num_frames(self, sample_id: str) -> int:
        """Return `frames`, which all clips have."""
        self._index(sample_id)
        return self.frames

    def scene(self, sample_id: str) -> Scene:
        """Return the scene that a clip shows."""
        return self._scene(self._index(sample_id))

    def load(self, sample_id: str, frames: Sequence[int] | None = None) -> Sample:
        """Return a clip, or only the frames named. Tracks are seeded on the clip's first frame in either case.

        Raises:
            DataError: there is no such sample or frame.
        """
        index = self._index(sample_id)
        wanted = list(range(self.frames)) if frames is None else [int(frame) for frame in frames]
        if not wanted or min(wanted) < 0 or max(wanted) >= self.frames:
            raise DataError(f"playroom {sample_id} frames: expected numbers in 0..{self.frames - 1}, got {frames}.")
        scene = self._scene(index)
        shown, first = self._rendered(sample_id, scene, wanted)
        times = [scene.time(frame, self.frames) for frame in wanted]
        pixels = truth.choose_pixels(
            stream(scene.seed, POINTS), first.ids[0], len(scene.things), min(self.points, first.ids[0].size)
        )
        seeded = (scene.time(0, self.frames), first.depth[0], first.ids[0])
        points = truth.tracks(scene, times, self.size, seeded, pixels)
        return Sample(
            id=sample_id,
            video=shown.video,
            targets=truth.as_targets(scene, times, self.size, (shown.depth, shown.ids), points),
            provenance=self._provenance(index, scene, wanted),
        )

    def video(self, sample_id: str) -> npt.NDArray[np.uint8]:
        """Return the colours of a clip, `(t, h, w, 3)`, without a target: of the cache only these are read."""
        index = self._index(sample_id)
        if self.cache and (video := self.clip_cache.read_video(sample_id)) is not None:
            return video
        clip = self._render(self._scene(index), None)
        if self.cache:
            self.clip_cache.write(sample_id, clip)
        return clip.video

    def object_ids(self, sample_id: str) -> npt.NDArray[np.uint8]:
        """Return `(t, h, w)`: 0 the room, i + 1 the thing i (row i of the boxes)."""
        shown, _ = self._rendered(sample_id, self.scene(sample_id), list(range(self.frames)))
        return shown.ids

    def prepare(self, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None) -> int:
        """Render all clips that are not in the cache, on all cores; return how many these were.

        Args:
            workers: processes; the cores that this process may use by default.
            progress: called with how many are done, of how many; a line on stderr by default.

        Raises:
            Probe4dError: the cache's disk has no room for the clips.
        """
        from probe4d_datasets.playroom.prepare import prepare

        return prepare(self, workers, progress)

    @property
    def clip_bytes(self) -> int:
        """Bytes of a clip in the cache: colours, depth and ids."""
        return self.frames * self.size[0] * self.size[1] * (3 + 4 + 1)

    def render(self, sample_id: str) -> None:
        """Put a clip into the cache, if it is not there."""
        if sample_id not in self.clip_cache:
            self.clip_cache.write(sample_id, self._render(self.scene(sample_id), None))

    @property
    def clip_cache(self) -> ClipCache:
        """Where rendered clips are kept."""
        made_by = {
            "renderer": VERSION,
            "split": self.split,
            "seed": self.seed,
            "size": self.size,
            "frames": self.frames,
            "antialias": self.antialias,
            "photos": [digest for _, digest in self._photos],
        }
        return ClipCache(cache_dir() / "playroom", made_by)

    def _rendered(self, sample_id: str, scene: Scene, wanted: list[int]) -> tuple[Frames, Frames]:
        """Return the frames wanted, and the first frame of the clip."""
        if self.cache:
            clip = self.clip_cache.read(sample_id)
            if clip is None:
                clip = self._render(scene, None)
                self.clip_cache.write(sample_id, clip)
            return _take(clip, wanted), _take(clip, [0])
        distinct = sorted({0, *wanted})
        clip = self._render(scene, distinct)
        return _take(clip, [distinct.index(frame) for frame in wanted]), _take(clip, [0])

    def _render(self, scene: Scene, only: Sequence[int] | None) -> Frames:
        photos = load_photos(tuple(file for file, _ in self._photos))
        return render(scene, self.size, self.frames, only=only, antialias=self.antialias, photos=photos)

    def _scene(self, index: int) -> Scene:
        motion, reverse = draw_playback(self.clip_seed(index - index % DOZEN), index % DOZEN)
        return draw_scene(self.clip_seed(index), motion, reverse)

    def clip_seed(self, index: int) -> int:
        """Return the seed of the clip at a position; no other split and `seed` has it."""
        return (SPLITS.index(self.split) * SEEDS + self.seed) * CLIPS + index

    def _index(self, sample_id: str) -> int:
        digits = sample_id.rpartition("-")[2]
        if digits.isdecimal() and int(digits) < self.length and self.sample_id(int(digits)) == sample_id:
            return int(digits)
        first, last = self.sample_id(0), self.sample_id(self.length - 1)
        raise DataError(f"playroom: expected a sample from {first} to {last}, got {sample_id!r}.")

    def _provenance(self, index: int, scene: Scene, wanted: list[int]) -> dict[str, Any]:
        return {
            "dataset": "playroom",
            "renderer": VERSION,
            "seed": self.clip_seed(index),
            "class": CLASSES[scene.label],
            "motion": scene.motion,
            "reverse": scene.reverse,
            "frames": wanted,
            "photos": [file.name for file, _ in self._photos],
        }


def _take(clip: Frames, frames: list[int]) -> Frames:
    if frames == list(range(len(clip.video))):
        return clip
    return Frames(video=clip.video[frames], depth=clip.depth[frames], ids=clip.ids[frames])


def _whole(name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"playroom {name}: expected a whole number from {low} to {high}, got {value!r}.")
    return value


def _size(size: int | Sequence[int]) -> tuple[int, int]:
    both = (size, size) if isinstance(size, int) else tuple(size)
    if len(both) != 2:
        raise UsageError(f"playroom size: expected (height, width) or one number, got {size!r}.")
    return _whole("size", both[0], 8, 4096), _whole("size", both[1], 8, 4096)
