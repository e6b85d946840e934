"""Clips out of samples: which frames, which part of the picture, and the same done to every target.

Pure functions of arrays and a seed. Pixel coordinates have their origin at the picture's corner
(the first pixel's centre is 0.5), so a crop and a resize map a coordinate by `(x - x0) * W / w`.
"""

from __future__ import annotations

import numpy as np
from attrs import evolve, frozen

from probe4d.contracts import Array, Arrays, Sample
from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d.sampling import clip_indices, clip_seed
from probe4d.specs import ClipSampling

__all__ = ["Window", "apply_window", "choose_window", "clip_indices", "clip_seed", "place_targets", "prepare"]

AUGMENTS = ("random-crop", "area-crop", "flip", "colour-jitter", "grayscale")
# Short side over crop of `random-crop`. Source: paper A.2.1 (239 to 224).
RANDOM_CROP_MARGIN = 239 / 224
# Of `area-crop`. Source: paper A.2.3.
AREA_RANGE = (0.3, 1.0)
ASPECT_RANGE = (0.5, 2.0)


@frozen(kw_only=True)
class Window:
    """A part of the picture, in its pixels, and the size that it is brought to.

    Attributes:
        top, left, height, width: may be fractions of a pixel.
        size: `(height, width)` of the result.
        flip: mirror left and right, last.
    """

    top: float
    left: float
    height: float
    width: float
    size: tuple[int, int]
    flip: bool = False


def choose_window(frame: tuple[int, int], sampling: ClipSampling, seed: int) -> Window:
    """Return the window of a clip of frames `(height, width)`: drawn where augmented, else fixed.

    Raises:
        UsageError: the sampling names an augmentation that does not exist.
    """
    for name in sampling.augment:
        if name not in AUGMENTS:
            raise UsageError(f"augment: expected {', '.join(AUGMENTS)}, got {name!r}.{did_you_mean(name, AUGMENTS)}")
    height, width = frame
    size = (sampling.size[0], sampling.size[1])
    random = np.random.default_rng([seed, 1])
    flip = "flip" in sampling.augment and bool(random.integers(2))
    if "area-crop" in sampling.augment:
        top, left, h, w = _area_crop(height, width, random)
        return Window(top=top, left=left, height=h, width=w, size=size, flip=flip)
    if sampling.fit == "stretch":
        return Window(top=0.0, left=0.0, height=float(height), width=float(width), size=size, flip=flip)
    scale = _crop_scale(frame, sampling)
    h, w = size[0] * scale, size[1] * scale
    at = random.random(2) if "random-crop" in sampling.augment else np.array([0.5, 0.5])
    top, left = (height - h) * float(at[0]), (width - w) * float(at[1])
    return Window(top=top, left=left, height=h, width=w, size=size, flip=flip)


def _crop_scale(frame: tuple[int, int], sampling: ClipSampling) -> float:
    """Return how many pixels of the frame are one of the crop, as many at most as let the crop fit."""
    largest = min(frame[0] / sampling.size[0], frame[1] / sampling.size[1])
    if sampling.short_side:
        return min(min(frame) / sampling.short_side, largest)
    return largest / RANDOM_CROP_MARGIN if "random-crop" in sampling.augment else largest


def _area_crop(height: int, width: int, random: np.random.Generator) -> tuple[float, float, float, float]:
    """Return a whole-pixel crop of random area and aspect; the whole picture where 20 tries do not fit."""
    for _ in range(20):
        area = random.uniform(*AREA_RANGE) * height * width
        aspect = np.exp(random.uniform(*np.log(ASPECT_RANGE)))  # width over height
        h, w = round(float(np.sqrt(area / aspect))), round(float(np.sqrt(area * aspect)))
        if 0 < h <= height and 0 < w <= width:
            top, left = int(random.integers(height - h + 1)), int(random.integers(width - w + 1))
            return float(top), float(left), float(h), float(w)
    return 0.0, 0.0, float(height), float(width)


def prepare(sample: Sample, sampling: ClipSampling, seed: int) -> Sample:
    """Return the sample with pixels and targets brought to `sampling.size`, augmented by the seed."""
    if sample.video.ndim != 4:
        raise DataError(f"{sample.id}: expected a video (t, h, w, 3), got {sample.video.shape}.")
    if "flip" in sampling.augment and "labels" in sample.targets:
        raise UsageError("augment: expected no flip with labels, which may tell left from right, got it. Leave it out.")
    window = choose_window((sample.video.shape[1], sample.video.shape[2]), sampling, seed)
    placed = apply_window(sample, window)
    if {"colour-jitter", "grayscale"}.intersection(sampling.augment):
        from probe4d_datasets.colour import change_colours

        random = np.random.default_rng([seed, 2])
        return evolve(placed, video=change_colours(placed.video, random, sampling.augment))
    return placed


def apply_window(sample: Sample, window: Window) -> Sample:
    """Return the sample seen through the window: pixels, tracks, boxes, depth and cameras alike.

    A point or box that ends up outside the picture is not visible or present.
    """
    frame = (sample.video.shape[1], sample.video.shape[2])
    return evolve(sample, video=_resized(sample.video, window), targets=_placed(sample, window, frame))


def place_targets(sample: Sample, sampling: ClipSampling, seed: int) -> Sample:
    """Return the sample with its targets as `prepare` gives them, over a video without content.

    Args:
        seed: of the clip; of no effect without augmentation.
    """
    frame = (sample.video.shape[1], sample.video.shape[2])
    window = choose_window(frame, sampling, seed)
    nothing = np.broadcast_to(np.zeros((), np.uint8), (len(sample.video), *window.size, 3))
    return evolve(sample, video=nothing, targets=_placed(sample, window, frame))


def _placed(sample: Sample, window: Window, frame: tuple[int, int]) -> dict[str, Arrays]:
    transforms = {"points": _points, "boxes": _boxes, "depth": _depth, "pose": _pose}
    return {
        kind: transforms[kind](fields, window, frame) if kind in transforms else fields
        for kind, fields in sample.targets.items()
    }


def _is_whole(window: Window, frame: tuple[int, int]) -> bool:
    return (window.top, window.left, window.height, window.width) == (0, 0, *frame) and window.size == frame


def _resized(video: Array, window: Window) -> Array:
    if not _is_whole(window, (video.shape[1], video.shape[2])):
        from probe4d_datasets.resize import resize_pixels

        box = (window.left, window.top, window.left + window.width, window.top + window.height)
        video = resize_pixels(video, box, window.size)
    return np.ascontiguousarray(video[:, :, ::-1]) if window.flip else video


def _scale(window: Window) -> tuple[float, float]:
    return window.size[1] / window.width, window.size[0] / window.height  # x, y


def _points(fields: Arrays, window: Window, _frame: tuple[int, int]) -> Arrays:
    sx, sy = _scale(window)
    tracks = (np.asarray(fields["tracks"], float) - (window.left, window.top)) * (sx, sy)
    queries = np.array(fields["query_points"], float)
    queries[:, 1:] = (queries[:, 1:] - (window.top, window.left)) * (sy, sx)
    if window.flip:
        tracks[..., 0] = window.size[1] - tracks[..., 0]
        queries[:, 2] = window.size[1] - queries[:, 2]
    with np.errstate(invalid="ignore"):
        inside = ((tracks >= 0) & (tracks < (window.size[1], window.size[0]))).all(-1)
    return {**fields, "tracks": tracks, "visible": fields["visible"] & inside, "query_points": queries}


def _boxes(fields: Arrays, window: Window, frame: tuple[int, int]) -> Arrays:
    height, width = frame
    boxes = np.asarray(fields["boxes"], float) * (height, width, height, width)
    boxes = (boxes - (window.top, window.left) * 2) / ((window.height, window.width) * 2)
    if window.flip:
        boxes = boxes[..., [0, 3, 2, 1]] * (1, -1, 1, -1) + (0, 1, 0, 1)
    clipped = np.clip(boxes, 0.0, 1.0)
    with np.errstate(invalid="ignore"):
        seen = (clipped[..., 2] > clipped[..., 0]) & (clipped[..., 3] > clipped[..., 1])
    return {**fields, "boxes": clipped, "present": fields["present"] & seen}


def _depth(fields: Arrays, window: Window, frame: tuple[int, int]) -> Arrays:
    if _is_whole(window, frame):
        out = dict(fields)
    else:
        # The nearest pixel: a mean of depths over an edge would be a depth that is nowhere.
        rows = _nearest(window.top, window.height, window.size[0], frame[0])
        columns = _nearest(window.left, window.width, window.size[1], frame[1])
        out = {name: value[:, rows][:, :, columns] for name, value in fields.items()}
    return {name: value[:, :, ::-1] for name, value in out.items()} if window.flip else out


def _nearest(start: float, length: float, size: int, limit: int) -> Array:
    centres = start + (np.arange(size) + 0.5) * length / size
    return np.clip(np.floor(centres), 0, limit - 1).astype(np.intp)


def _pose(fields: Arrays, window: Window, _frame: tuple[int, int]) -> Arrays:
    sx, sy = _scale(window)
    place = np.array([[sx, 0, -window.left * sx], [0, sy, -window.top * sy], [0, 0, 1.0]])
    intrinsics = place @ np.asarray(fields["intrinsics"], float)
    extrinsics = np.array(fields["extrinsics"], float)
    if window.flip:
        # The mirrored world seen by the mirrored camera: x changes sign on both sides.
        mirror = np.diag([-1.0, 1.0, 1.0])
        extrinsics = mirror @ extrinsics @ np.diag([-1.0, 1.0, 1.0, 1.0])
        intrinsics[..., 0, 2] = window.size[1] - intrinsics[..., 0, 2]
        intrinsics[..., 0, 1] *= -1
    return {**fields, "intrinsics": intrinsics, "extrinsics": extrinsics}
