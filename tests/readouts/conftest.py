"""Tiny features and batches of every kind, with padding, absent targets and NaN under the masks."""

from __future__ import annotations

from functools import cache, partial

import jax
import numpy as np
import pytest

from probe4d_readouts.boxes import BoxesReadout
from probe4d_readouts.depth import DepthReadout
from probe4d_readouts.labels import LabelsReadout
from probe4d_readouts.points import PointsReadout
from probe4d_readouts.pose import PoseReadout

B, T, K, C, N = 4, 2, 3, 8, 3
TINY = {"width": 8, "heads": 2, "frames": 4}
READOUTS = {
    "labels": lambda **more: LabelsReadout(**{**TINY, "classes": 5, **more}),
    "pose": lambda **more: PoseReadout(**{**TINY, **more}),
    "points": lambda **more: PointsReadout(**{**TINY, "query_mlp": 6, "bands": 4, **more}),
    "depth": lambda **more: DepthReadout(**{**TINY, "patch": (2, 4, 4), "query_mlp": 6, "bands": 4, **more}),
    "boxes": lambda **more: BoxesReadout(**{**TINY, "query_mlp": 6, "bands": 4, **more}),
}


def labels_batch(rng):
    return {"label": rng.integers(0, 5, B).astype(np.int32)}


def pose_batch(rng):
    return {"pose": rng.normal(size=(B, 3, 4)).astype(np.float32)}


def points_batch(rng):
    mask = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], bool)
    visible = rng.random((B, N, 4)) < 0.7
    tracks = rng.uniform(0, 1, (B, N, 4, 2)) * (64, 48)
    tracks[~(visible & mask[..., None])] = np.nan
    query = np.concatenate([np.zeros((B, N, 1)), rng.uniform(0, 48, (B, N, 2))], axis=-1)
    query[~mask] = np.nan
    return {
        "query_points": query.astype(np.float32),
        "frame_size": np.tile(np.array([48, 64], np.int32), (B, 1)),
        "tracks": tracks.astype(np.float32),
        "visible": visible,
        "mask": mask,
    }


def depth_batch(rng):
    depth = rng.uniform(0.5, 9, (B, 4, 8, 4)).astype(np.float32)
    valid = rng.random(depth.shape) < 0.7
    depth[~valid] = rng.choice([np.nan, np.inf, -1.0], (~valid).sum())
    depth[0, 0, 0, :3], valid[0, 0, 0, :3] = [0.0005, 10.0, 40.0], True  # valid by the mask, out of the range
    return {"depth": depth, "valid": valid}


def boxes_batch(rng):
    mask = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], bool)
    present = rng.random((B, N, 4)) < 0.7
    present[..., 0] = True
    boxes = np.sort(rng.random((B, N, 4, 2, 2)), axis=3).reshape(B, N, 4, 4).astype(np.float32)
    boxes[~(present & mask[..., None])] = np.nan
    return {"boxes": boxes, "present": present, "mask": mask}


BATCHES = {
    "labels": labels_batch,
    "pose": pose_batch,
    "points": points_batch,
    "depth": depth_batch,
    "boxes": boxes_batch,
}
KINDS = tuple(READOUTS)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


# The programs are tiny and run once: compiling them without optimisation is three times as fast.
compile_fast = partial(jax.jit, compiler_options={"xla_backend_optimization_level": "0"})


@pytest.fixture
def compiled():
    """Return `jax.jit` that compiles fast and runs slowly."""
    return compile_fast


@cache
def _params(kind, options):
    readout, features, batch = _example(kind, dict(options))
    return compile_fast(readout.init)(jax.random.key(0), features, batch)


def _example(kind, options):
    rng = np.random.default_rng(KINDS.index(kind))
    features = rng.normal(size=(B, T, K, C)).astype(np.float32)
    return READOUTS[kind](**options), features, BATCHES[kind](rng)


@pytest.fixture
def start():
    """Return `start(kind, **options) -> params` for the example of the same call."""
    return lambda kind, **options: _params(kind, tuple(options.items()))


@pytest.fixture
def make():
    """Return `make(kind, **options) -> (readout, features, batch)`, always the same for the same call."""

    return lambda kind, **options: _example(kind, options)
