"""Playroom clips per second of one core: 16 frames of 128 x 128."""

from __future__ import annotations

import time

import pytest

from probe4d_datasets.playroom import Playroom

pytestmark = pytest.mark.bench
CLIPS = 12  # one of each class


@pytest.mark.parametrize(("antialias", "limit"), [(1, 0.26), (2, 1.0)], ids=["plain", "four-rays-a-pixel"])
def test_a_clip_takes_no_more_cpu_seconds_than_its_limit(antialias, limit):
    """CPU time, not wall time: a shared machine does not count."""
    dataset = Playroom(split="pretrain", length=CLIPS, antialias=antialias, cache=False)
    seconds = []
    for clip in dataset.sample_ids():
        start = time.process_time()
        dataset.load(clip)
        seconds.append(time.process_time() - start)
    median = sorted(seconds)[CLIPS // 2]
    print(f"playroom, antialias {antialias}: {median:.3f} CPU s a clip, {1 / median:.1f} clips/s per core")
    assert median < limit


def test_rendering(benchmark):
    dataset = Playroom(split="pretrain", length=CLIPS, cache=False)
    ids = iter(dataset.sample_ids() * 1000)
    sample = benchmark(lambda: dataset.load(next(ids)))
    assert sample.video.shape == (16, 128, 128, 3)


def test_loading_from_the_cache(benchmark):
    dataset = Playroom(split="pretrain", length=CLIPS)
    dataset.prepare(workers=1, progress=lambda done, total: None)
    ids = iter(dataset.sample_ids() * 10_000)
    sample = benchmark(lambda: dataset.load(next(ids)))
    assert sample.video.shape == (16, 128, 128, 3)
