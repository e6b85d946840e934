"""`re10k`: RealEstate10K as a dataset of camera poses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probe4d.errors import DataError
from probe4d_datasets.own.options import one_of, positive
from probe4d_datasets.published import Policy, Published
from probe4d_datasets.re10k.cameras import Cameras, intrinsics_in_pixels
from probe4d_datasets.re10k.chunks import Chunks
from probe4d_datasets.re10k.frames import NAMES, Match, longest_run
from probe4d_datasets.re10k.layout import KINDS, find_cameras, find_frames, read_scales

__all__ = ["RealEstate10K"]


class RealEstate10K(Published):
    """Clips of house walks with extrinsics and intrinsics per frame; a sample is a camera file.

    The relative pose first → last is `extrinsics[-1] · extrinsics[0]⁻¹`, which maps points of the
    first camera to the last one; see `probe4d.builtin.kinds.pose.relative`.

    Args:
        split: `train` or `test`.
        frames: `videos`, `images` or `chunks`; `auto` takes the first that is there. Chunks hold
            their own cameras; the others need the camera files, loose or in RealEstate10K.tar.gz.
        folder: where the frames lie under the root, if not where `docs/datasets/re10k.md` says.
        tolerance_ms: how far a video's frame may be from its timestamp. Source: the data set's page.
        naming: of images: `us`, `ms`, `us-cut`, or `auto` per clip.
        unmatched: a clip with timestamps that no frame is near to (a video that was cut): `refuse`
            costs the clip; `trim` keeps its longest run of frames.
        scales: a JSON file under the root, {key: metres in the clip's unit}. Without one, lengths
            are in a unit of each clip's own, and `metric` is false.
        missing, max_missing: see `probe4d_datasets.published.Policy`.
    """

    name = "re10k"
    splits = ("train", "test")

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        split: str = "train",
        *,
        frames: str = "auto",
        folder: str | None = None,
        tolerance_ms: float = 8.0,
        naming: str = "auto",
        unmatched: str = "refuse",
        scales: str | None = None,
        missing: str = "keep",
        max_missing: float = 0.1,
    ) -> None:
        super().__init__(root, split, Policy(missing=missing, max_missing=max_missing))
        self.tolerance_ms = positive("re10k tolerance_ms", tolerance_ms)
        self.naming = one_of("re10k naming", naming, ("auto", *NAMES))
        self.unmatched = one_of("re10k unmatched", unmatched, ("refuse", "trim"))
        self.scales_file = scales
        self._scales = None if scales is None else read_scales(self.root, scales)
        kind = one_of("re10k frames", frames, ("auto", *KINDS))
        self.frames, self._frames = find_frames(self.root, split, kind, folder, self.tolerance_ms / 1000, self.naming)
        self._cameras = self._frames if isinstance(self._frames, Chunks) else find_cameras(self.root, split)
        if self._cameras is None:
            raise DataError(
                f"{self.root.url}: expected RealEstate10K/{split}/<key>.txt or RealEstate10K.tar.gz, got neither. "
                "Fetch the camera files."
            )
        self._plan(*self._keys())

    def _keys(self) -> tuple[list[str], dict[str, str]]:
        """Return the keys, and why some of them cannot be had."""
        if isinstance(self._cameras, Chunks):
            keys, videos = sorted(self._cameras.files), dict.fromkeys(self._cameras.files, "")
        else:
            assert self._cameras is not None
            keys = self._cameras.keys()
            videos = dict(self._cameras.video_ids()) if self.frames == "videos" else dict.fromkeys(keys, "")
        self._video_ids = videos
        absent = {}
        for key in keys:
            broken = self.frames == "videos" and not videos[key]
            if not broken and (reason := self._frames.absent(key, videos[key])):
                absent[key] = reason
            elif self._scales is not None and key not in self._scales:
                absent[key] = f"no scale: {key} in {self.scales_file}"
        return keys, absent

    def _options(self) -> Mapping[str, Any]:
        return {
            "frames": self.frames,
            "tolerance_ms": self.tolerance_ms,
            "naming": self.naming,
            "unmatched": self.unmatched,
            "scales": self.scales_file,
            "direction": "first_to_last",
        }

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a record says of the data; `metric` is whether lengths are metres."""
        return {**super().facts, "metric": self._scales is not None}

    def _states(self) -> Sequence[str]:
        states = [] if isinstance(self._cameras, Chunks) or self._cameras is None else self._cameras.states()
        if self.scales_file is not None:
            states.append(f"{self.scales_file} {self.root.state(self.scales_file)}")
        for key in self._ids:
            if key not in self._absent:
                states += self._frames.states(key, self._video_ids[key])
        return states

    def cameras(self, sample_id: str) -> Cameras:
        """Return what the camera file says of a clip, whether or not its frames are there.

        Raises:
            DataError: the file is missing or broken.
        """
        if sample_id not in self._known or self._cameras is None:
            raise DataError(f"{self.root.url}: expected a clip of the split {self.split!r}, got {sample_id!r}.")
        return self._cameras.cameras(sample_id)

    def match(self, sample_id: str) -> Match:
        """Return the stored frame of each timestamp, and whether it is near enough.

        Raises:
            DataError: the clip is missing or broken.
        """
        self._check(sample_id)
        return self._frames.match(sample_id, self.cameras(sample_id))

    def _run(self, sample_id: str, cameras: Cameras) -> tuple[Match, int, int]:
        """Return the match, and the timestamps `[start, stop)` that make the sample."""
        match = self._frames.match(sample_id, cameras)
        lacking = int((~match.ok).sum())
        if lacking and self.unmatched == "refuse":
            raise DataError(
                f"{sample_id}: expected a frame within {self.tolerance_ms:g} ms of each of {len(cameras)} timestamps, "
                f"got {len(cameras) - lacking}: {cameras.video_id or 'its video'} is cut or another. "
                "Fetch it again, or state unmatched='trim'."
            )
        start, stop = longest_run(match.ok)
        if start == stop:
            raise DataError(f"{sample_id}: expected frames near its timestamps, got none.")
        return match, start, stop

    def _length(self, sample_id: str) -> int:
        _, start, stop = self._run(sample_id, self.cameras(sample_id))
        return stop - start

    def _load(self, sample_id: str, frames: list[int]) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
        cameras = self.cameras(sample_id)
        match, start, stop = self._run(sample_id, cameras)
        rows = start + np.asarray(frames, np.intp)
        video, source = self._frames.read(sample_id, cameras, match.places[rows].tolist())
        scale = 1.0 if self._scales is None else self._scales[sample_id]
        extrinsics = cameras.extrinsics[rows].copy()
        extrinsics[:, :, 3] *= scale
        pose = {
            "extrinsics": extrinsics,
            "intrinsics": intrinsics_in_pixels(cameras.intrinsics[rows], video.shape[1], video.shape[2]),
        }
        provenance = {
            **source,
            "youtube": cameras.video_id,
            "timestamps_us": cameras.stamps[rows].tolist(),
            "trimmed": [start, len(cameras) - stop],
            "metric": self._scales is not None,
            "scale": scale,
            "direction": "first_to_last",
        }
        return video, {"pose": pose}, provenance
