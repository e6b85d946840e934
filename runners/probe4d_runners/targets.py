"""Targets of clips as arrays of fixed shape, the batch that readouts take and that metrics are scored against.

Which fields each kind has is in docs/readouts.md; lengths are metres, coordinates pixels of the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays, Sample
from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d.specs import ClipSampling

__all__ = ["relative_pose", "stack_targets", "target_shapes"]


def stack_targets(kind: str, samples: Sequence[Sample], settings: Mapping[str, Any]) -> dict[str, Array]:
    """Return the targets of these clips, `(b, …)` by field.

    Args:
        settings: of the kind. `points`: `tracks`, how many rows; `boxes`: `boxes`, how many rows;
            `all` says that none may be dropped, as in evaluation.

    Raises:
        DataError: a sample has no such target, or more rows than `all` allows to drop; names it.
        UsageError: the kind cannot be stacked, or a setting does not exist.
    """
    stack = _stacker(kind, settings)
    rows = []
    for sample in samples:
        if kind not in sample.targets:
            raise DataError(
                f"{sample.id}: expected targets of kind {kind!r}, got {', '.join(sample.targets) or 'none'}."
            )
        rows.append(stack(sample, settings))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}


def target_shapes(
    kind: str, sampling: ClipSampling, settings: Mapping[str, Any]
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and dtype of one clip's targets by field."""
    rows = stack_targets(kind, [_blank(sampling)], settings)
    return {name: (value.shape[1:], value.dtype.name) for name, value in rows.items()}


def relative_pose(extrinsics: Array) -> Array:
    """Return `(3, 4)` = [R|t] that maps points of the first camera to the last camera.

    Args:
        extrinsics: `(t, 3, 4)` world to camera.
    """
    first, last = np.asarray(extrinsics[0], float), np.asarray(extrinsics[-1], float)
    rotation = last[:, :3] @ first[:, :3].T
    return np.concatenate([rotation, (last[:, 3] - rotation @ first[:, 3])[:, None]], axis=1)


def _stacker(kind: str, settings: Mapping[str, Any]) -> Callable[[Sample, Mapping[str, Any]], dict[str, Array]]:
    if kind not in STACKERS:
        raise UsageError(f"targets: expected a kind of {', '.join(STACKERS)}, got {kind!r}.")
    stack, known = STACKERS[kind]
    for name in settings:
        if name not in known:
            raise UsageError(f"targets of {kind}: there is no setting {name!r}.{did_you_mean(name, known)}")
    return stack


def _points(sample: Sample, settings: Mapping[str, Any]) -> dict[str, Array]:
    """Queries are the tracks' own points on the clip's first frame; tracks hidden there are masked."""
    fields = sample.targets["points"]
    tracks, visible = np.asarray(fields["tracks"], np.float32), np.asarray(fields["visible"], bool)
    limit = int(settings["tracks"])
    chosen = np.flatnonzero(visible[:, 0]) if settings.get("all") else np.arange(len(tracks))
    if len(chosen) > limit:
        if settings.get("all"):
            raise DataError(f"{sample.id}: expected at most {limit} tracks, got {len(chosen)}. Raise eval_tracks.")
        # Drawn, not the first ones: neighbours in a file are often neighbours in the picture.
        chosen = np.sort(_draw(sample).permutation(chosen)[:limit])
    n, frames = len(chosen), tracks.shape[1]
    out_tracks, out_visible = np.zeros((limit, frames, 2), np.float32), np.zeros((limit, frames), bool)
    out_tracks[:n], out_visible[:n] = np.nan_to_num(tracks[chosen]), visible[chosen]
    queries = np.zeros((limit, 3), np.float32)
    queries[:n, 1:] = out_tracks[:n, 0, ::-1]
    mask = np.zeros(limit, bool)
    mask[:n] = visible[chosen, 0]
    size = np.array(sample.video.shape[1:3], np.float32)
    return {
        "tracks": out_tracks,
        "visible": out_visible,
        "query_points": queries,
        "mask": mask,
        "frame_size": size,
    }


def _boxes(sample: Sample, settings: Mapping[str, Any]) -> dict[str, Array]:
    """Boxes present on the first frame, the largest where there are too many. Source: paper A.2.4."""
    fields = sample.targets["boxes"]
    boxes, present = np.asarray(fields["boxes"], np.float32), np.asarray(fields["present"], bool)
    limit = int(settings["boxes"])
    first = boxes[:, 0]
    area = np.where(present[:, 0], (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1]), -1.0)
    chosen = np.flatnonzero(area > settings.get("min_area", 0.0))
    chosen = np.sort(chosen[np.argsort(-area[chosen], kind="stable")][:limit])
    out = np.zeros((limit, *boxes.shape[1:]), np.float32)
    seen = np.zeros((limit, boxes.shape[1]), bool)
    mask = np.zeros(limit, bool)
    n = len(chosen)
    out[:n], seen[:n], mask[:n] = np.nan_to_num(boxes[chosen]), present[chosen], True
    return {"boxes": out, "present": seen, "mask": mask}


def _depth(sample: Sample, _settings: Mapping[str, Any]) -> dict[str, Array]:
    fields = sample.targets["depth"]
    valid = np.asarray(fields["valid"], bool)
    depth = np.where(valid, np.asarray(fields["depth"], np.float32), np.float32(0))
    return {"depth": depth, "valid": valid}


def _pose(sample: Sample, _settings: Mapping[str, Any]) -> dict[str, Array]:
    fields: Arrays = sample.targets["pose"]
    pose = relative_pose(fields["extrinsics"])
    if not np.isfinite(pose).all():
        raise DataError(f"{sample.id}: expected finite cameras in the first and last frame, got none.")
    return {"pose": pose.astype(np.float32)}


def _labels(sample: Sample, _settings: Mapping[str, Any]) -> dict[str, Array]:
    return {"label": np.asarray(sample.targets["labels"]["label"], np.int32)}


STACKERS: Mapping[str, tuple[Callable[[Sample, Mapping[str, Any]], dict[str, Array]], tuple[str, ...]]] = {
    "points": (_points, ("tracks", "all")),
    "boxes": (_boxes, ("boxes", "min_area", "all")),
    "depth": (_depth, ()),
    "pose": (_pose, ()),
    "labels": (_labels, ()),
}


def _draw(sample: Sample) -> np.random.Generator:
    """Return a generator that depends on the clip alone, whoever stacks it."""
    return np.random.default_rng(list(sample.id.encode()))


def _blank(sampling: ClipSampling) -> Sample:
    """Return a clip of the right shape with nothing in it."""
    frames, (height, width) = sampling.frames, sampling.size
    camera = np.broadcast_to(np.eye(3, 4), (frames, 3, 4))
    none = np.zeros((0, frames), bool)
    targets: dict[str, Arrays] = {
        "points": {"tracks": np.zeros((0, frames, 2)), "visible": none, "query_points": np.zeros((0, 3))},
        "boxes": {"boxes": np.zeros((0, frames, 4)), "present": none},
        "depth": {"depth": np.zeros((frames, height, width)), "valid": np.zeros((frames, height, width), bool)},
        "pose": {"extrinsics": camera, "intrinsics": np.broadcast_to(np.eye(3), (frames, 3, 3))},
        "labels": {"label": np.zeros((), int)},
    }
    return Sample(id="", video=np.zeros((frames, height, width, 3), np.uint8), targets=targets)
