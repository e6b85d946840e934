"""The metrics against plain numpy transcriptions of their published formulas.

`make bench` measures the sizes of a real benchmark and asserts the ratios, each the median over
interleaved rounds of CPU time; `make test` runs each once, on small arrays, and compares values only.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from attrs import frozen

from benchmarks.plain_metrics import plain_abs_rel, plain_epe, plain_iou, plain_tapvid
from probe4d_metrics import PointTracks, abs_rel, box_iou, end_point_error, pairwise_iou, tapvid_metrics


def videos(videos_: int, tracks: int, frames: int) -> tuple[Any, ...]:
    """Return random tracks, some within each threshold, queried in their first half."""
    rng = np.random.default_rng(0)
    shape = (videos_, tracks, frames)
    target = rng.uniform(0, 256, (*shape, 2))
    pred = target + rng.normal(0, 6, target.shape)
    queries = rng.integers(0, (frames + 1) // 2, (*shape[:2], 3)).astype(float)
    return pred, rng.random(shape) < 0.8, target, rng.random(shape) < 0.8, queries, "first"


def depths(frames: int, side: int) -> tuple[Any, ...]:
    """Return float32 depth of which nine pixels in ten are valid."""
    rng = np.random.default_rng(0)
    target = rng.uniform(0.5, 9, (frames, side, side)).astype(np.float32)
    pred = target + rng.normal(0, 0.2, target.shape).astype(np.float32)
    return pred, target, rng.random(target.shape) < 0.9


def boxes(*shape: int) -> Any:
    """Return random boxes."""
    rng = np.random.default_rng(sum(shape))
    low = rng.uniform(0, 0.6, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(0.05, 0.4, (*shape, 2))], axis=-1)


def poses(count: int) -> tuple[Any, ...]:
    """Return random 3x4 matrices."""
    return tuple(np.random.default_rng(0).normal(size=(2, count, 3, 4)))


@frozen
class Case:
    """A metric, its plain form, arguments in full and in small, and how many times faster it is to be."""

    fast: Callable[..., Any]
    plain: Callable[..., Any]
    full: Callable[[], tuple[Any, ...]]
    small: Callable[[], tuple[Any, ...]]
    times: float
    tolerance: float = 0.0  # relative; 0 is bit for bit


CASES = {
    "AJ, 73 x 60 x 700": Case(
        tapvid_metrics, plain_tapvid, lambda: videos(73, 60, 700), lambda: videos(3, 4, 700), times=14
    ),
    "AJ, 10000 x 64 x 16": Case(
        tapvid_metrics, plain_tapvid, lambda: videos(10_000, 64, 16), lambda: videos(50, 64, 16), times=14
    ),
    "AbsRel, 411 MB": Case(
        abs_rel, plain_abs_rel, lambda: depths(1024, 224), lambda: depths(3, 224), times=5, tolerance=1e-6
    ),
    "IoU, 160k pairs": Case(
        box_iou,
        plain_iou,
        lambda: (boxes(160_000), np.roll(boxes(160_000), 1, axis=0)),
        lambda: (boxes(700), np.roll(boxes(700), 1, axis=0)),
        times=3,
        tolerance=1e-12,
    ),
    "EPE, 100k poses": Case(
        end_point_error, plain_epe, lambda: poses(100_000), lambda: poses(300), times=7, tolerance=1e-12
    ),
}


def cpu_seconds(call: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    """Return the CPU time of one call, which a neighbour on a shared machine adds little to."""
    started = time.process_time()
    call(*arguments)
    return time.process_time() - started


def agree(found: Any, expected: Any, tolerance: float) -> None:
    """Fail where two answers differ by more than the tolerance."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            agree(found[name], values, tolerance)
    elif tolerance:
        np.testing.assert_allclose(found, expected, rtol=tolerance)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", CASES)
def test_the_fast_form_gives_the_plain_ones_values(name, benchmark):
    case = CASES[name]
    arguments = case.small() if benchmark.disabled else case.full()
    found = benchmark.pedantic(case.fast, args=arguments, rounds=5, warmup_rounds=1)
    agree(found, case.plain(*arguments), case.tolerance)


@pytest.mark.bench
@pytest.mark.parametrize("name", CASES)
def test_the_fast_form_is_so_many_times_faster(name, record_property):
    case = CASES[name]
    arguments = case.full()
    rounds = [(cpu_seconds(case.plain, arguments), cpu_seconds(case.fast, arguments)) for _ in range(7)][1:]
    plain, fast = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"\n{name}: plain {1e3 * plain:.1f} ms, ours {1e3 * fast:.1f} ms, {plain / fast:.1f} times")
    record_property("ratio", plain / fast)
    assert plain / fast >= case.times


@pytest.mark.bench
def test_abs_rel_takes_at_most_two_and_a_half_times_as_long_as_reading_its_bytes():
    arguments = depths(1024, 224)
    words = [array.reshape(-1).view(np.float32 if array.dtype == np.float32 else np.uint64) for array in arguments]
    rounds = [
        (cpu_seconds(lambda *arrays: [array.sum() for array in arrays], tuple(words)), cpu_seconds(abs_rel, arguments))
        for _ in range(11)
    ][1:]
    limit, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"\nAbsRel: {1e3 * ours:.1f} ms, a sum of the same bytes {1e3 * limit:.1f} ms, {ours / limit:.2f} times")
    assert ours <= 2.5 * limit


def test_a_batch_of_clips_is_scored(benchmark):
    count = 50 if benchmark.disabled else 10_000
    pred, pred_visible, target, visible, queries, mode = videos(count, 64, 16)
    predictions = {"tracks": pred, "visible": pred_visible}
    targets = {"tracks": target, "visible": visible, "query_points": queries, "query_mode": mode}
    ids = [f"{i:05d}" for i in range(count)]

    def score() -> dict[str, float]:
        return PointTracks().empty().update_batch(ids, predictions, targets).compute()

    values = benchmark.pedantic(score, rounds=5, warmup_rounds=1)
    expected = plain_tapvid(pred, pred_visible, target, visible, queries, mode)
    for name, found in values.items():
        assert found == pytest.approx(expected[name].mean(), rel=1e-12)


def test_every_pair_of_a_thousand_boxes_is_compared(benchmark):
    count = 30 if benchmark.disabled else 1000
    pred, target = boxes(count), boxes(count, 1)[:, 0]
    found = benchmark.pedantic(pairwise_iou, args=(pred, target), rounds=5, warmup_rounds=1)
    np.testing.assert_allclose(found, plain_iou(pred[:, None], target[None]), rtol=1e-12)
