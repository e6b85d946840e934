"""Random samples for each of the five metrics: predictions and targets as a kind hands them over."""

from __future__ import annotations

import numpy as np

from probe4d_metrics import Accuracy, BoxIoU, DepthError, PointTracks, PoseError


def points(rng, n=3, t=6):
    tracks = rng.uniform(0, 256, (n, t, 2))
    frames = rng.integers(0, t, (n, 1)).astype(float)
    targets = {
        "tracks": tracks,
        "visible": rng.random((n, t)) < 0.6,
        "query_points": np.concatenate([frames, rng.uniform(0, 256, (n, 2))], axis=1),
        "query_mode": "first",
    }
    return {"tracks": tracks + rng.normal(0, 5, tracks.shape), "visible": rng.random((n, t)) < 0.6}, targets


def depth(rng, t=3, h=5, w=7):
    target = rng.uniform(0.1, 9, (t, h, w)).astype(np.float32)
    pred = target * rng.uniform(0.6, 1.5, target.shape).astype(np.float32)
    return {"depth": pred}, {"depth": target, "valid": rng.random(target.shape) < 0.5}


def rotation(rng):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.linalg.det(q)


def pose(rng):
    target = np.concatenate([rotation(rng), rng.normal(size=(3, 1))], axis=1)
    return {"pose": target + rng.normal(0, 0.1, (3, 4))}, {"pose": target}


def boxes_of(rng, *shape):
    low = rng.uniform(0, 0.6, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(0.05, 0.4, (*shape, 2))], axis=-1)


def boxes(rng, n=3, t=4):
    target = boxes_of(rng, n, t)
    pred = target + rng.normal(0, 0.05, target.shape)
    return (
        {"boxes": pred, "present": rng.random((n, t)) < 0.9},
        {"boxes": target, "present": rng.random((n, t)) < 0.8},
    )


def labels(rng, c=8):
    logits = rng.normal(size=c).astype(np.float32)
    if rng.random() < 0.2:
        logits[rng.integers(c)] = np.nan
    return {"logits": logits}, {"label": np.array(rng.integers(c))}


CASES = {
    "points": (PointTracks(), points),
    "depth": (DepthError(), depth),
    "pose": (PoseError(), pose),
    "boxes": (BoxIoU(), boxes),
    "labels": (Accuracy(), labels),
}


def samples(name, seed, count):
    """Return the metric and `count` samples `(id, predictions, targets)`; some have no value."""
    rng = np.random.default_rng(seed)
    metric, make = CASES[name]
    found = []
    for i in range(count):
        predictions, targets = make(rng)
        if i % 5 == 3 and name in ("depth", "boxes", "points"):
            mask = {"depth": "valid", "boxes": "present", "points": "visible"}[name]
            targets = {**targets, mask: np.zeros_like(targets[mask])}
        found.append((f"clip {i:03d}", predictions, targets))
    return metric, found


def one_by_one(metric, found):
    """Return the state of one update after the other."""
    state = metric.empty()
    for sample_id, predictions, targets in found:
        state = state.update(sample_id, predictions, targets)
    return state


def stacked(found):
    """Return ids, predictions and targets of the samples with a leading sample axis."""
    ids = [sample_id for sample_id, _, _ in found]
    sides = []
    for side in (1, 2):
        first = found[0][side]
        sides.append(
            {
                name: value if isinstance(value, str) else np.stack([item[side][name] for item in found])
                for name, value in first.items()
            }
        )
    return ids, *sides
