"""Targets of the five kinds as arrays of fixed shape: what readouts train on and what is scored against.

Which fields each kind has is in docs/readouts.md; lengths are metres, coordinates pixels of the clip.
Each class is the `training` of a kind's spec; see `probe4d.contracts.TrainingTargets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from probe4d.contracts import Array, Arrays, Role, Sample, TrainingTargets
from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d.registry import find, load_target
from probe4d.specs import ClipSampling

__all__ = ["evaluated_fields", "relative_pose", "stack_targets", "target_shapes", "training_targets"]

NOTHING_ASKED = "nothing is visible on its first frame"


def training_targets(kind: str) -> TrainingTargets:
    """Return what stacks the targets of a kind.

    Raises:
        UsageError: the kind is only scored.
    """
    entry = find("kinds", kind)
    if entry.spec.training is None:
        raise UsageError(f"kind {entry.name}: expected one that readouts train on, got one that is only scored.")
    made: TrainingTargets = load_target(entry.spec.training, entry.name)()
    return made


def stack_targets(kind: str, samples: Sequence[Sample], settings: Mapping[str, Any]) -> dict[str, Array]:
    """Return the targets of these clips, `(b, …)` by field.

    Raises:
        DataError: a sample has no such target, or it cannot be stacked; names it.
        UsageError: the kind is not trained on, or a setting does not exist.
    """
    made = _checked(kind, settings)
    rows = []
    for sample in samples:
        if kind not in sample.targets:
            has = ", ".join(sample.targets) or "none"
            raise DataError(f"{sample.id}: expected targets of kind {kind!r}, got {has}.")
        rows.append(made.stack(sample, settings))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}


def target_shapes(
    kind: str, sampling: ClipSampling, settings: Mapping[str, Any]
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and dtype of one clip's targets by field."""
    height, width = sampling.size
    blank = Sample(
        id="blank",
        video=np.zeros((sampling.frames, height, width, 3), np.uint8),
        targets={kind: _checked(kind, settings).blank(sampling.frames, height, width)},
    )
    rows = stack_targets(kind, [blank], settings)
    return {name: (value.shape[1:], value.dtype.name) for name, value in rows.items()}


def evaluated_fields(made: TrainingTargets, sample: Sample, settings: Mapping[str, Any]) -> Arrays:
    """Return the targets of an evaluation clip as a target file has them: only the rows that are asked for.

    `track_ids` are the dataset's, or else the rows' places in the sample.

    Raises:
        DataError: it has no such targets, they cannot be stacked, or nothing is asked of it.
    """
    kind = str(made.file_meta("targets")["schema"]).split("/")[1]
    if kind not in sample.targets:
        has = ", ".join(sample.targets) or "none"
        raise DataError(f"{sample.id}: expected targets of kind {kind!r}, got {has}.")
    stacked = made.stack(sample, settings)
    fields = made.file_fields("targets", stacked, stacked)
    if fields is None:
        raise DataError(f"{sample.id}: {NOTHING_ASKED}.")
    if not isinstance(made, RowTargets):
        return fields
    rows = made.rows(sample, settings)
    return {**fields, "track_ids": np.asarray(sample.targets[kind].get("track_ids", np.arange(rows.max() + 1)))[rows]}


def _checked(kind: str, settings: Mapping[str, Any]) -> TrainingTargets:
    made = training_targets(kind)
    for name in settings:
        if name not in made.settings:
            raise UsageError(f"targets of {kind}: there is no setting {name!r}.{did_you_mean(name, made.settings)}")
    return made


@runtime_checkable
class RowTargets(Protocol):
    """Targets of which a clip has many, in rows."""

    def rows(self, sample: Sample, settings: Mapping[str, Any]) -> Array:
        """Return which rows of the sample's own are stacked and count, in their order."""
        ...


class PointTargets:
    """Queries are the tracks' own points on the clip's first frame; tracks hidden there are masked.

    Settings: `tracks`, how many rows; `all`: none may be dropped, as in evaluation.
    """

    settings = ("tracks", "all")
    score_options: ClassVar[Mapping[str, Any]] = {}

    def rows(self, sample: Sample, settings: Mapping[str, Any]) -> Array:
        """Return the rows that are visible on the first frame, of those stacked."""
        visible = np.asarray(sample.targets["points"]["visible"], bool)
        chosen = _chosen_tracks(sample, visible, int(settings["tracks"]), bool(settings.get("all")))
        return np.asarray(chosen[visible[chosen, 0]])

    def stack(self, sample: Sample, settings: Mapping[str, Any]) -> Arrays:
        """Return tracks, visible, query_points, mask and frame_size."""
        fields = sample.targets["points"]
        tracks, visible = np.asarray(fields["tracks"], np.float32), np.asarray(fields["visible"], bool)
        chosen = _chosen_tracks(sample, visible, int(settings["tracks"]), bool(settings.get("all")))
        n, limit, frames = len(chosen), int(settings["tracks"]), tracks.shape[1]
        out_tracks, out_visible = np.zeros((limit, frames, 2), np.float32), np.zeros((limit, frames), bool)
        out_tracks[:n], out_visible[:n] = np.nan_to_num(tracks[chosen]), visible[chosen]
        queries = np.zeros((limit, 3), np.float32)
        queries[:n, 1:] = out_tracks[:n, 0, ::-1]
        mask = np.zeros(limit, bool)
        mask[:n] = visible[chosen, 0]
        size = np.array(sample.video.shape[1:3], np.float32)
        return {
            "tracks": out_tracks,
            "visible": out_visible & mask[:, None],
            "query_points": queries,
            "mask": mask,
            "frame_size": size,
        }

    def blank(self, frames: int, height: int, width: int) -> Arrays:
        """Return no tracks."""
        none = np.zeros((0, frames), bool)
        return {"tracks": np.zeros((0, frames, 2)), "visible": none, "query_points": np.zeros((0, 3))}

    def file_meta(self, role: Role) -> Mapping[str, Any]:
        """Return x y in pixels: of the 256 raster as decoded, of the clip's frame as stacked."""
        shared = {"schema": "probe4d/points/1", "order": "xy", "coords": "pixels"}
        return {**shared, "frame_size": [256, 256]} if role == "predictions" else {**shared, "query_mode": "first"}

    def file_fields(self, role: Role, arrays: Arrays, stacked: Arrays) -> Arrays | None:
        """Return the real rows."""
        names = ("tracks", "visible") if role == "predictions" else ("tracks", "visible", "query_points")
        rows = _real_rows(arrays, names, stacked["mask"])
        return rows if rows is None or role == "predictions" else {**rows, "frame_size": arrays["frame_size"]}


class BoxTargets:
    """Boxes present on the first frame, the largest where there are too many. Source: paper A.2.4.

    Settings: `boxes`, how many rows; `min_area` of a box on the first frame, as a fraction of the frame.
    """

    settings = ("boxes", "min_area")
    # Rows of predictions are those of targets, by construction.
    score_options: ClassVar[Mapping[str, Any]] = {"match": "rows"}

    def rows(self, sample: Sample, settings: Mapping[str, Any]) -> Array:
        """Return the rows that are on the first frame and large enough there, the largest of them."""
        fields = sample.targets["boxes"]
        first = np.asarray(fields["boxes"], np.float32)[:, 0]
        present = np.asarray(fields["present"], bool)[:, 0]
        area = np.where(present, (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1]), -1.0)
        chosen = np.flatnonzero(area >= settings.get("min_area", 0.0))
        return np.sort(chosen[np.argsort(-area[chosen], kind="stable")][: int(settings["boxes"])])

    def stack(self, sample: Sample, settings: Mapping[str, Any]) -> Arrays:
        """Return boxes, present and mask."""
        fields = sample.targets["boxes"]
        boxes, present = np.asarray(fields["boxes"], np.float32), np.asarray(fields["present"], bool)
        limit, chosen = int(settings["boxes"]), self.rows(sample, settings)
        out = np.zeros((limit, *boxes.shape[1:]), np.float32)
        seen, mask = np.zeros((limit, boxes.shape[1]), bool), np.zeros(limit, bool)
        n = len(chosen)
        out[:n], seen[:n], mask[:n] = np.nan_to_num(boxes[chosen]), present[chosen], True
        return {"boxes": out, "present": seen, "mask": mask}

    def blank(self, frames: int, height: int, width: int) -> Arrays:
        """Return no boxes."""
        return {"boxes": np.zeros((0, frames, 4)), "present": np.zeros((0, frames), bool)}

    def file_meta(self, role: Role) -> Mapping[str, Any]:
        """Return (ymin, xmin, ymax, xmax) in [0, 1]."""
        return {"schema": "probe4d/boxes/1", "order": "yxyx", "coords": "normalized"}

    def file_fields(self, role: Role, arrays: Arrays, stacked: Arrays) -> Arrays | None:
        """Return the real rows."""
        return _real_rows(arrays, ("boxes", "present"), stacked["mask"])


class DepthTargets:
    """Metric depth along the optical axis, 0 where it is not valid."""

    settings = ()
    score_options: ClassVar[Mapping[str, Any]] = {}

    def stack(self, sample: Sample, settings: Mapping[str, Any]) -> Arrays:
        """Return depth and valid."""
        fields = sample.targets["depth"]
        valid = np.asarray(fields["valid"], bool)
        return {"depth": np.where(valid, np.asarray(fields["depth"], np.float32), np.float32(0)), "valid": valid}

    def blank(self, frames: int, height: int, width: int) -> Arrays:
        """Return no valid pixel."""
        shape = (frames, height, width)
        return {"depth": np.zeros(shape), "valid": np.zeros(shape, bool)}

    def file_meta(self, role: Role) -> Mapping[str, Any]:
        """Return metres of z."""
        return {"schema": "probe4d/depth/1", "unit": "metre", "surface": "z", "quantity": "depth"}

    def file_fields(self, role: Role, arrays: Arrays, stacked: Arrays) -> Arrays | None:
        """Return the maps; a clip without a valid pixel is left to the metric, which names it."""
        return {name: np.asarray(arrays[name]) for name in ("depth", "valid") if role == "targets" or name == "depth"}


class PoseTargets:
    """The camera's motion from the first frame to the last."""

    settings = ()
    score_options: ClassVar[Mapping[str, Any]] = {}

    def stack(self, sample: Sample, settings: Mapping[str, Any]) -> Arrays:
        """Return pose.

        Raises:
            DataError: a camera of these two frames is not finite.
        """
        pose = relative_pose(sample.targets["pose"]["extrinsics"])
        if not np.isfinite(pose).all():
            raise DataError(f"{sample.id}: expected finite cameras in the first and last frame, got none.")
        return {"pose": pose.astype(np.float32)}

    def blank(self, frames: int, height: int, width: int) -> Arrays:
        """Return a camera that stands still."""
        return {"extrinsics": np.broadcast_to(np.eye(3, 4), (frames, 3, 4))}

    def file_meta(self, role: Role) -> Mapping[str, Any]:
        """Return metres, first camera to last, OpenCV axes."""
        return {"schema": "probe4d/pose/1", "unit": "metre", "direction": "first_to_last", "axes": "opencv"}

    def file_fields(self, role: Role, arrays: Arrays, stacked: Arrays) -> Arrays | None:
        """Return the matrix."""
        return {"pose": np.asarray(arrays["pose"])}


class LabelTargets:
    """One class per clip."""

    settings = ()
    score_options: ClassVar[Mapping[str, Any]] = {}

    def stack(self, sample: Sample, settings: Mapping[str, Any]) -> Arrays:
        """Return label."""
        return {"label": np.asarray(sample.targets["labels"]["label"], np.int32)}

    def blank(self, frames: int, height: int, width: int) -> Arrays:
        """Return class 0."""
        return {"label": np.zeros((), int)}

    def file_meta(self, role: Role) -> Mapping[str, Any]:
        """Return the schema alone."""
        return {"schema": "probe4d/labels/1"}

    def file_fields(self, role: Role, arrays: Arrays, stacked: Arrays) -> Arrays | None:
        """Return logits or label."""
        name = "logits" if role == "predictions" else "label"
        return {name: np.asarray(arrays[name])}


def relative_pose(extrinsics: Array) -> Array:
    """Return `(3, 4)` = [R|t] that maps points of the first camera to the last camera.

    Args:
        extrinsics: `(t, 3, 4)` world to camera.
    """
    first, last = np.asarray(extrinsics[0], float), np.asarray(extrinsics[-1], float)
    rotation = last[:, :3] @ first[:, :3].T
    return np.concatenate([rotation, (last[:, 3] - rotation @ first[:, 3])[:, None]], axis=1)


def _chosen_tracks(sample: Sample, visible: Array, limit: int, every: bool) -> Array:
    """Return the rows to keep: those visible at first where every one counts, else as many as are drawn."""
    chosen = np.flatnonzero(visible[:, 0]) if every else np.arange(len(visible))
    if len(chosen) <= limit:
        return chosen
    if every:
        raise DataError(f"{sample.id}: expected at most {limit} tracks, got {len(chosen)}. Raise eval_tracks.")
    # Drawn, not the first ones: neighbours in a file are often neighbours in the picture. The draw
    # depends on the clip alone, whoever stacks it.
    random = np.random.default_rng(list(sample.id.encode()))
    return np.sort(random.permutation(chosen)[:limit])


def _real_rows(arrays: Arrays, names: Sequence[str], mask: Array) -> dict[str, Array] | None:
    if not mask.any():
        return None
    return {name: np.asarray(arrays[name])[mask] for name in names}
