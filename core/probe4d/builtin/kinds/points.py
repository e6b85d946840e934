"""Point tracks: whatever order, unit and origin a file has, in TAP-Vid's 256x256 raster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays, Field, MetaKey, Role
from probe4d.errors import DataError, UsageError
from probe4d.scoring.matching import rows_by_ids, take_rows
from probe4d_metrics.tracks import RASTER, to_raster

__all__ = ["Points"]

Meta = Mapping[Role, Mapping[str, Any]]

QUERY_TOLERANCE = 0.01  # raster pixels between a query in the predictions and the target's
OUTSIDE = 4.0  # a visible target further out than this many frames is not in normalized coordinates

VISIBILITY = ("occluded", "visible", "visible_logit", "visible_prob")
CERTAINTY = ("certainty_logit", "certainty_prob")
LOCATION = {
    "order": MetaKey(choices=("xy", "yx"), required=True, summary="which coordinate of `tracks` comes first"),
    "coords": MetaKey(choices=("pixels", "normalized"), required=True, summary="the unit of `tracks`"),
    "pixel_origin": MetaKey(
        choices=("corner", "center"),
        default="corner",
        summary="whether (0, 0) is the corner (TAP-Vid) or the centre of the first pixel",
    ),
    "frame_size": MetaKey(type="size", summary="[height, width] of the frames that pixels are of"),
}
UNLISTED = MetaKey(
    choices=("error", "occluded"), default="error", summary="what frames are that frame_ids does not list"
)
THRESHOLD = MetaKey(type="number", summary="visible where visible_prob (times certainty_prob) is above it")
QUERY_MODE = MetaKey(
    choices=("first", "strided"),
    required=True,
    summary="whether only frames after the query are evaluated, or all but it",
)
TRACKS = Field(dims="n t 2", dtypes="fiu", finite=False, summary="coordinates; NaN counts as not within")
PREDICTIONS = {
    "tracks": TRACKS,
    "occluded": Field(dims="n t", dtypes="b", required=False, summary="True where the point is hidden"),
    "visible": Field(dims="n t", dtypes="b", required=False, summary="True where the point is seen"),
    "visible_logit": Field(dims="n t", dtypes="f", required=False, summary="log-odds of being visible"),
    "visible_prob": Field(dims="n t", dtypes="fiu", required=False, summary="probability of being visible"),
    "certainty_logit": Field(dims="n t", dtypes="f", required=False, summary="log-odds of being accurate"),
    "certainty_prob": Field(dims="n t", dtypes="fiu", required=False, summary="probability of being accurate"),
    "query_points": Field(dims="n 3", dtypes="fiu", required=False, summary="(t, y, x), compared with the targets'"),
    "frame_ids": Field(dims="t", dtypes="iu", required=False, summary="the video's frame that each frame is"),
    "track_ids": Field(dims="n", dtypes="iuU", required=False, summary="matches rows where both files have it"),
    "query_ids": Field(dims="n", dtypes="iuU", required=False, summary="matches rows of strided queries"),
    "frame_size": Field(dims="2", dtypes="iuf", required=False, summary="(height, width), where it differs by sample"),
}
TARGETS = {
    **{name: PREDICTIONS[name] for name in ("tracks", "occluded", "visible")},
    "query_points": Field(dims="n 3", dtypes="fiu", summary="(t, y, x) in the file's coordinates; t is a frame index"),
    **{name: PREDICTIONS[name] for name in ("frame_ids", "track_ids", "query_ids", "frame_size")},
}


class Points:
    """The kind `points`."""

    def fields(self, role: Role) -> Mapping[str, Field]:
        """Return the fields of a sample."""
        return PREDICTIONS if role == "predictions" else TARGETS

    def meta(self, role: Role) -> Mapping[str, MetaKey]:
        """Return the conventions of a file."""
        if role == "targets":
            return {**LOCATION, "query_mode": QUERY_MODE}
        return {**LOCATION, "threshold": THRESHOLD, "unlisted_frames": UNLISTED}

    def formats(self) -> Mapping[str, str]:
        """Return the foreign formats."""
        return {"perception-test": "probe4d.scoring.foreign.perception_test:open_points"}

    def read(self, predictions: Arrays, targets: Arrays, meta: Meta) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return tracks `(n, t, 2)` = (x, y) in the 256x256 raster, visibility, and queries.

        Raises:
            DataError: see `Kind.read`.
        """
        target_size = _frame_size("targets", targets, meta["targets"])
        target_tracks = _raster(targets["tracks"], meta["targets"], target_size)
        target_visible = _target_visible(targets)
        queries = _queries(targets, meta["targets"], target_size)
        _check_targets(target_tracks, target_visible, queries)

        size = _frame_size("predictions", predictions, meta["predictions"])
        tracks = _raster(predictions["tracks"], meta["predictions"], size)
        visible = _predicted_visible(predictions, meta["predictions"])
        own_queries = _queries(predictions, meta["predictions"], size) if "query_points" in predictions else None
        rows = _rows(predictions, targets, len(tracks), len(target_tracks))
        frames = _frames(predictions, targets, tracks.shape[1], target_tracks.shape[1])
        if frames is not None and meta["predictions"]["unlisted_frames"] == "error":
            _check_listed(frames, targets)
        if rows is not None:
            tracks = tracks[rows]
            visible = None if visible is None else visible[rows]
            own_queries = None if own_queries is None else own_queries[rows]
        if frames is not None:
            tracks = _take_frames(tracks, frames, np.nan)
            visible = None if visible is None else _take_frames(visible, frames, False)
        if own_queries is not None:
            _check_queries(own_queries, queries)
        found = {"tracks": tracks} if visible is None else {"tracks": tracks, "visible": visible}
        return found, {
            "tracks": target_tracks,
            "visible": target_visible,
            "query_points": queries,
            "query_mode": meta["targets"]["query_mode"],
        }

    def worst(self, targets: Arrays, meta: Meta) -> Arrays:
        """Return tracks that are nowhere near, with visibility the wrong way round.

        They carry no ids, so that they match by row, and frames as the targets have them.
        """
        wrong: dict[str, Array] = {
            "tracks": np.full(targets["tracks"].shape, np.nan),
            "visible": ~_target_visible(targets),
            "frame_size": np.ones(2),
        }
        if "frame_ids" in targets:
            wrong["frame_ids"] = targets["frame_ids"]
        return wrong

    def example(self, seed: int) -> tuple[Arrays, Arrays, Meta]:
        """Return four random walks over six frames of 48x64 pixels."""
        random = np.random.default_rng(seed)
        start = random.uniform(16, 32, (4, 1, 2))
        tracks = start + np.cumsum(random.normal(0, 1, (4, 6, 2)), axis=1)
        occluded = random.random((4, 6)) < 0.25
        occluded[:, 0] = False
        queries = np.concatenate([np.zeros((4, 1)), tracks[:, 0, ::-1]], axis=1)
        convention = {"order": "xy", "coords": "pixels", "frame_size": (48.0, 64.0), "pixel_origin": "corner"}
        predictions = {"tracks": tracks.copy(), "occluded": occluded.copy()}
        targets = {"tracks": tracks, "occluded": occluded, "query_points": queries}
        return predictions, targets, {"predictions": convention, "targets": {**convention, "query_mode": "first"}}

    def from_dataset(self, targets: Arrays, size: tuple[int, int]) -> tuple[Arrays, Mapping[str, Any]]:
        """Return a dataset's targets, which are in pixels of the frame, as a file has them."""
        fields = {name: np.asarray(value) for name, value in targets.items() if name in TARGETS}
        fields["frame_size"] = np.array(size)
        return fields, {"order": "xy", "coords": "pixels", "pixel_origin": "corner", "query_mode": "first"}


def _frame_size(role: Role, arrays: Arrays, meta: Mapping[str, Any]) -> tuple[float, float] | None:
    if meta["coords"] == "normalized":
        if meta["pixel_origin"] == "center":
            raise UsageError(f"{role}: meta.pixel_origin: expected corner with coords=normalized, got center.")
        return None
    stated: Any = arrays["frame_size"].tolist() if "frame_size" in arrays else meta.get("frame_size")
    if stated is None or stated == "same":
        raise DataError(
            f"{role}.tracks: expected a frame_size with coords=pixels, got none. "
            f"Add --meta {role}.frame_size=<height>,<width>, or the field frame_size to every sample."
        )
    height, width = (float(side) for side in stated)
    if not (0 < height < 1e6 and 0 < width < 1e6):
        raise DataError(f"{role}.frame_size: expected (height, width) in pixels, got {(height, width)}.")
    return height, width


def _raster(tracks: Array, meta: Mapping[str, Any], size: tuple[float, float] | None) -> Array:
    """Return `(…, 2)` = (x, y) in the raster; ties at thresholds fall as in float64."""
    ordered = (tracks if meta["order"] == "xy" else tracks[..., ::-1]).astype(np.float64, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        if size is None:
            return ordered * float(RASTER)
        return to_raster(ordered + 0.5 if meta["pixel_origin"] == "center" else ordered, size)


def _queries(arrays: Arrays, meta: Mapping[str, Any], size: tuple[float, float] | None) -> Array:
    """Return `(n, 3)` = (t, y, x), y and x in the raster. Queries are (t, y, x) in every file."""
    points = arrays["query_points"].astype(np.float64)
    located = _raster(points[:, :0:-1], {**meta, "order": "xy"}, size)
    return np.concatenate([points[:, :1], located[:, ::-1]], axis=1)


def _target_visible(targets: Arrays) -> Array:
    given = [name for name in ("occluded", "visible") if name in targets]
    if len(given) != 1:
        raise DataError(f"targets.visible: expected one of occluded and visible, got {given or 'none'}.")
    return targets["visible"] if given == ["visible"] else ~targets["occluded"]


def _check_targets(tracks: Array, visible: Array, queries: Array) -> None:
    seen = tracks[visible]
    if not np.isfinite(seen).all():
        raise DataError("targets.tracks: expected finite coordinates where a point is visible, got NaN or infinity.")
    if seen.size and np.abs(seen).max() > OUTSIDE * RASTER:
        far = float(np.abs(seen).max() / RASTER)
        raise DataError(
            f"targets.tracks: expected visible points in the frame, got one {far:.3g} frames away. "
            "Are coords and frame_size right?"
        )
    times = np.round(queries[:, 0])
    if times.size and not ((times >= 0) & (times < tracks.shape[1])).all():
        wrong = float(queries[~((times >= 0) & (times < tracks.shape[1])), 0][0])
        raise DataError(f"targets.query_points: expected frames 0 to {tracks.shape[1] - 1}, got {wrong:g}.")


def _predicted_visible(predictions: Arrays, meta: Mapping[str, Any]) -> Array | None:
    given = [name for name in VISIBILITY if name in predictions]
    certainty = [name for name in CERTAINTY if name in predictions]
    if len(given) > 1 or len(certainty) > 1:
        raise DataError(f"predictions.{given[0]}: expected visibility stated once, got {given + certainty}.")
    soft = bool(given) and given[0] in VISIBILITY[2:]
    if certainty and not soft:
        raise DataError(f"predictions.{certainty[0]}: expected visible_logit or visible_prob beside it, got {given}.")
    if not given:
        return None
    if not soft:
        return predictions["visible"] if given == ["visible"] else ~predictions["occluded"]
    if "threshold" not in meta:
        raise UsageError(
            "predictions: meta.threshold is stated neither by the file nor by --meta: above which probability a "
            "point is visible. Add --meta predictions.threshold=<number>, as 0.5."
        )
    probability = _probability(given[0], predictions[given[0]])
    for name in certainty:
        probability = probability * _probability(name, predictions[name])
    return np.asarray(probability > meta["threshold"])


def _probability(name: str, values: Array) -> Array:
    values = values.astype(np.float64)
    if name.endswith("_logit"):
        return np.asarray(1 / (1 + np.exp(-np.clip(values, -700, 700))))
    if values.size and (values.min() < 0 or values.max() > 1):
        raise DataError(f"predictions.{name}: expected probabilities in [0, 1], got {values.min()} to {values.max()}.")
    return values


def _rows(predictions: Arrays, targets: Arrays, count: int, wanted: int) -> Array | None:
    """Return the predicted row of each target row, None where they stand in the same order."""
    for field in ("query_ids", "track_ids"):
        if field in predictions and field in targets:
            rows = rows_by_ids(field, predictions[field], targets[field])
            if (rows < 0).any():
                missing = targets[field][int(np.argmax(rows < 0))]
                raise DataError(f"predictions.{field}: expected every id of the targets, got none that is {missing}.")
            return rows
    if "query_ids" in predictions:
        raise DataError("predictions.query_ids: expected query_ids in the targets too, got none. Match by row instead.")
    if count != wanted:
        raise DataError(
            f"predictions.tracks: expected {wanted} tracks, as the targets, got {count}. "
            "Write one per target, or track_ids in both files."
        )
    return None


def _frames(predictions: Arrays, targets: Arrays, count: int, wanted: int) -> Array | None:
    """Return the predicted frame of each target frame, None where they are the same."""
    if "frame_ids" not in predictions:
        if count != wanted:
            raise DataError(
                f"predictions.tracks: expected {wanted} frames, as the targets, got {count}. "
                "Write these frames only, or frame_ids (t,) that say which frames they are."
            )
        return None
    target_ids = targets.get("frame_ids", np.arange(wanted))
    return rows_by_ids("frame_ids", predictions["frame_ids"], target_ids)


def _check_listed(frames: Array, targets: Arrays) -> None:
    if (frames < 0).any():
        place = int(np.argmax(frames < 0))
        missing = targets["frame_ids"][place] if "frame_ids" in targets else place
        raise DataError(f"predictions.frame_ids: expected every frame of the targets, got none that is {missing}.")


def _take_frames(values: Array, frames: Array, missing: float | bool) -> Array:
    return take_rows(values.swapaxes(0, 1), frames, missing).swapaxes(0, 1)


def _check_queries(own: Array, target: Array) -> None:
    with np.errstate(invalid="ignore"):
        far = ~(np.abs(own - target) <= QUERY_TOLERANCE).all(axis=1)
    if far.any():
        row = int(np.argmax(far))
        raise DataError(
            f"predictions.query_points: expected the targets' queries, got another at row {row}: (t, y, x) in the "
            f"256x256 raster {np.round(own[row], 3).tolist()}, not {np.round(target[row], 3).tolist()}. "
            "Are order, coords and frame_size right?"
        )
