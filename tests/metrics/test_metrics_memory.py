"""Memory: what streams from disk is held a block at a time, and many samples take little each."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from probe4d_metrics import Accuracy, DepthError, PointTracks, abs_rel, bootstrap_ci, box_iou, tapvid_metrics
from probe4d_metrics.bootstrap import CHUNK

MEGABYTE = 1 << 20


@pytest.fixture
def peak():
    """Return a function that answers a call's result and how many bytes it held at most, beyond what it was given."""

    def measure(call):
        tracemalloc.start()
        try:
            found = call()
            return found, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


def on_disk(folder, name, dtype, shape, value):
    """Return a memory-mapped array; its pages are the system's and count for nobody."""
    array = np.memmap(folder / name, dtype=dtype, mode="w+", shape=shape)
    array[:] = value
    return array


def test_depth_on_disk_is_held_a_block_at_a_time(tmp_path, peak):
    shape = (64, 300, 400)  # 31 MB a side
    pred, target = (on_disk(tmp_path, name, np.float32, shape, value) for name, value in (("p", 2.2), ("t", 2.0)))
    valid = on_disk(tmp_path, "v", bool, shape, True)
    value, most = peak(lambda: abs_rel(pred, target, valid))
    assert value == pytest.approx(0.1, rel=1e-5)
    assert most < 5 * MEGABYTE
    state, most = peak(lambda: DepthError().empty().update("a", {"depth": pred}, {"depth": target, "valid": valid}))
    assert state.compute()["delta_1"] == 1
    assert most < 6 * MEGABYTE


def test_tracks_on_disk_are_held_a_block_at_a_time(tmp_path, peak):
    shape = (20, 60, 700)  # 13 MB a side
    pred, target = (on_disk(tmp_path, name, np.float64, (*shape, 2), value) for name, value in (("p", 3.5), ("t", 2.0)))
    seen = on_disk(tmp_path, "v", bool, shape, True)
    queries = np.zeros((20, 60, 3))
    found, most = peak(lambda: tapvid_metrics(pred, seen, target, seen, queries, "first"))
    assert found["points_within_4"].tolist() == [1.0] * 20
    assert most < 6 * MEGABYTE
    targets = {"tracks": target, "visible": seen, "query_points": queries, "query_mode": "first"}
    ids = [f"{i}" for i in range(20)]
    again, most = peak(lambda: PointTracks().empty().update_batch(ids, {"tracks": pred, "visible": seen}, targets))
    assert again.compute()["points_within_4"] == 1
    assert most < 6 * MEGABYTE


def test_boxes_on_disk_are_held_a_block_at_a_time(tmp_path, peak):
    shape = (200_000, 4)  # 6 MB a side, 1.6 MB of answers
    pred, target = (
        on_disk(tmp_path, name, np.float64, shape, (0, 0, 1, width)) for name, width in (("p", 1), ("t", 2))
    )
    found, most = peak(lambda: box_iou(pred, target))
    assert found.tolist()[:2] == [0.5, 0.5]
    assert most < found.nbytes + 4 * MEGABYTE


def test_a_hundred_thousand_samples_take_little_memory_each(peak):
    count = 100_000
    ids = [f"{i:06d}" for i in range(count)]
    label = np.arange(count) % 4
    state, most = peak(lambda: Accuracy().empty().update_batch(ids, {"label": label}, {"label": np.zeros(count, int)}))
    assert state.compute()["top1"] == 0.25
    assert most < 300 * count  # bytes
    found, most = peak(lambda: bootstrap_ci(state, resamples=200))
    assert found["top1"] == pytest.approx((0.25, 0.25), abs=0.01)
    assert most < 16 * CHUNK + 300 * count < 8 * 200 * count  # a chunk of the resamples at a time
