"""Which clips a split has, and which frames each clip: the same for whoever extracts, trains or scores.

A sample cut into several clips has the ids `<sample>#0`, `<sample>#1`, …; one that is a single clip keeps its own.
Importing this module imports no array library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from probe4d.errors import DataError
from probe4d.specs import ClipSampling

__all__ = ["clip_indices", "clip_places", "clip_seed", "clips_per_sample", "sample_of"]


def clips_per_sample(sampling: ClipSampling) -> int:
    """Return into how many clips a sample is cut: one, where the start is fixed."""
    return sampling.clips if sampling.start in ("even", "random") else 1


def clip_places(sample_ids: Sequence[str], sampling: ClipSampling) -> Mapping[str, tuple[str, int]]:
    """Return by clip id the sample and the number of the clip in it, sample by sample.

    `sampling.total` takes the first clip of every sample, then the second, until there are so many.
    """
    clips = clips_per_sample(sampling)
    total = sampling.total or clips * len(sample_ids)
    if clips == 1:
        return {sample_id: (sample_id, 0) for sample_id in sample_ids[:total]}
    rounds, rest = divmod(total, len(sample_ids)) if sample_ids else (0, 0)
    return {
        f"{sample_id}#{number}": (sample_id, number)
        for position, sample_id in enumerate(sample_ids)
        for number in range(min(clips, rounds + (position < rest)))
    }


def sample_of(clip_id: str, sampling: ClipSampling) -> str:
    """Return the sample that a clip is of."""
    return clip_id if clips_per_sample(sampling) == 1 else clip_id.rpartition("#")[0]


def clip_seed(seed: int, sample_id: str, clip: int) -> int:
    """Return the seed of one clip of one sample: the same on every machine.

    Args:
        seed: of the view.
    """
    digest = hashlib.sha256(f"{seed}\0{clip}\0{sample_id}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def clip_indices(num_frames: int, sampling: ClipSampling, seed: int, clip: int = 0) -> tuple[int, ...]:
    """Return the frames of a clip; `sampling.short` says what becomes of a video that is too short.

    Args:
        seed: of a random start.
        clip: which of `sampling.clips` evenly spaced ones.

    Raises:
        DataError: the video has no frame, or too few where these are refused.
    """
    if num_frames < 1:
        raise DataError(f"clip: expected a video with frames, got {num_frames}.")
    span = (sampling.frames - 1) * sampling.stride + 1
    if num_frames < span and sampling.short == "refuse":
        raise DataError(f"clip: expected a video of {span} frames, got {num_frames}. Leave it out, or state short.")
    room = max(num_frames - span, 0)
    start = 0
    if sampling.start == "random":
        import numpy as np

        start = int(np.random.default_rng([seed, 0]).integers(room + 1))
    elif sampling.start == "center":
        start = room // 2
    elif sampling.start == "even":
        start = round(room * (clip + 0.5) / sampling.clips)
    frames = (start + i * sampling.stride for i in range(sampling.frames))
    if sampling.short == "loop":
        return tuple(frame % num_frames for frame in frames)
    return tuple(min(frame, num_frames - 1) for frame in frames)
