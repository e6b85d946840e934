"""What predictions score that need no eyes: the floor that a backbone has to beat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from probe4d.contracts import Sample
from probe4d_datasets.playroom import Playroom
from probe4d_metrics.bootstrap import bootstrap_ci
from probe4d_metrics.boxes import BoxIoU
from probe4d_metrics.depth import DepthError
from probe4d_metrics.labels import Accuracy
from probe4d_metrics.pose import PoseError
from probe4d_metrics.tracks import PointTracks, to_raster

Fields = Mapping[str, Any]
DEPTH_FRAMES = 4  # frames of a training clip that the median depth is taken over: neighbours are alike


@frozen(kw_only=True, eq=False)
class Fitted:
    """What a look at the training targets gives: no more than constants.

    Attributes:
        label: the commonest class.
        depth, depth_map: median over all pixels, and (h, w) per pixel, metres.
        pose: (3, 4) mean pose of the last camera in the first one's axes.
    """

    label: int
    depth: float
    depth_map: npt.NDArray[np.float32]
    pose: npt.NDArray[np.float64]


@frozen(kw_only=True)
class Score:
    """One number and its 95 % bootstrap interval over clips."""

    baseline: str
    metric: str
    value: float
    low: float
    high: float


def relative_pose(sample: Sample) -> npt.NDArray[np.float64]:
    """Return `(3, 4)`: points of the first camera to the last one's axes, metres."""
    first, last = (np.vstack([pose, (0, 0, 0, 1)]) for pose in sample.targets["pose"]["extrinsics"][[0, -1]])
    pose: npt.NDArray[np.float64] = (last @ np.linalg.inv(first))[:3]
    return pose


def fit(train: Playroom) -> Fitted:
    """Return the constants of a training split."""
    labels, poses, depths = [], [], []
    frames = np.linspace(0, train.frames - 1, DEPTH_FRAMES).round().astype(int)
    for sample in _samples(train):
        labels.append(int(sample.targets["labels"]["label"]))
        poses.append(relative_pose(sample))
        depths.append(sample.targets["depth"]["depth"][frames])
    stacked = np.concatenate(depths)
    depth_map: npt.NDArray[np.float32] = np.stack([np.median(stacked[:, row], axis=0) for row in range(train.size[0])])
    return Fitted(
        label=int(np.bincount(labels).argmax()),
        depth=float(np.median(stacked)),
        depth_map=depth_map,
        pose=np.mean(poses, axis=0),
    )


def _samples(dataset: Playroom) -> Iterator[Sample]:
    for clip in dataset.sample_ids():
        yield dataset.load(clip)


# What a baseline answers to a sample: predictions and targets, as its metric takes them.
Rule = Callable[[Fitted, Sample], tuple[Fields, Fields]]


def _majority(fitted: Fitted, sample: Sample) -> tuple[Fields, Fields]:
    return {"label": np.int64(fitted.label)}, sample.targets["labels"]


def _static_points(_fitted: Fitted, sample: Sample) -> tuple[Fields, Fields]:
    points = sample.targets["points"]
    tracks = to_raster(points["tracks"], sample.video.shape[1:3])
    still = np.repeat(tracks[:, :1], tracks.shape[1], axis=1)
    prediction = {"tracks": still, "visible": np.ones(tracks.shape[:2], bool)}
    return prediction, {**points, "tracks": tracks, "query_mode": "first"}


def _kept_boxes(_fitted: Fitted, sample: Sample) -> tuple[Fields, Fields]:
    """Keep the boxes of the first frame; only what is seen there is asked for."""
    boxes, present = sample.targets["boxes"]["boxes"], sample.targets["boxes"]["present"]
    asked = present[:, 0]
    kept = np.repeat(boxes[asked][:, :1], boxes.shape[1], axis=1)
    return {"boxes": kept}, {"boxes": boxes[asked], "present": present[asked]}


def _constant_depth(fitted: Fitted, sample: Sample) -> tuple[Fields, Fields]:
    depth = sample.targets["depth"]
    return {"depth": np.full_like(depth["depth"], fitted.depth)}, depth


def _median_depth(fitted: Fitted, sample: Sample) -> tuple[Fields, Fields]:
    depth = sample.targets["depth"]
    return {"depth": np.broadcast_to(fitted.depth_map, depth["depth"].shape)}, depth


def _identity_pose(_fitted: Fitted, sample: Sample) -> tuple[Fields, Fields]:
    return {"pose": np.eye(3, 4)}, {"pose": relative_pose(sample)}


def _mean_pose(fitted: Fitted, sample: Sample) -> tuple[Fields, Fields]:
    return {"pose": fitted.pose}, {"pose": relative_pose(sample)}


BASELINES: Mapping[str, tuple[Any, str, Rule]] = {
    "majority class": (Accuracy(), "top1", _majority),
    "static points": (PointTracks(), "average_jaccard", _static_points),
    "keep the first box": (BoxIoU(), "mean_iou", _kept_boxes),
    "constant depth (train median)": (DepthError(), "abs_rel", _constant_depth),
    "per-pixel train-median depth": (DepthError(), "abs_rel", _median_depth),
    "identity pose": (PoseError(), "epe", _identity_pose),
    "train-mean pose": (PoseError(), "epe", _mean_pose),
}


def score(fitted: Fitted, clips: Playroom) -> list[Score]:
    """Return every baseline's primary number on a split."""
    states = {name: metric.empty() for name, (metric, _, _) in BASELINES.items()}
    for sample in _samples(clips):
        for name, (_, _, rule) in BASELINES.items():
            states[name] = states[name].update(sample.id, *rule(fitted, sample))
    scores = []
    for name, (_, value, _) in BASELINES.items():
        low, high = bootstrap_ci(states[name])[value]
        scores.append(Score(baseline=name, metric=value, value=states[name].compute()[value], low=low, high=high))
    return scores
