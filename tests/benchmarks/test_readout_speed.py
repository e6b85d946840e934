"""Step times (loss and gradient) of the readouts on the features of a ViT-B, one clip, paper and quick width.

    OMP_NUM_THREADS=2 pytest tests/benchmarks/test_readout_speed.py -m bench

Asserts only what is far from noise: that attending to the features directly beats making keys and values.
"""

from __future__ import annotations

import time
from functools import partial

import jax
import numpy as np
import pytest

from benchmarks.paper_readouts import READOUTS, targets_of
from probe4d_readouts.microbatch import value_and_grad

pytestmark = pytest.mark.bench

QUICK = {"width": 256, "heads": 4}


def step_of(kind, clips=1, **options):
    """Return a function that runs one compiled step and waits for it."""
    readout = READOUTS[kind](**options)
    features = np.random.default_rng(0).normal(size=(clips, 16, 196, 768)).astype(np.float32)
    batch = targets_of(kind, readout, clips)
    params = readout.init(jax.random.key(0), features, batch)
    step = jax.jit(partial(value_and_grad, readout))
    arguments = jax.device_put((params, features, batch))
    run = lambda: jax.block_until_ready(step(*arguments))  # noqa: E731
    run()
    return run


@pytest.mark.parametrize("size", [{}, QUICK], ids=["paper", "quick"])
@pytest.mark.parametrize("kind", READOUTS)
def test_readout_step(benchmark, kind, size):
    benchmark.pedantic(step_of(kind, **size), rounds=3, iterations=1)


@pytest.mark.parametrize("kind", ["labels", "boxes"])
def test_attending_to_the_features_themselves_is_faster_than_making_keys_and_values(kind):
    ways = {way: step_of(kind, attention=way) for way in ("absorbed", "projected")}
    seconds = {way: [] for way in ways}
    for _ in range(5):
        for way, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[way].append(time.perf_counter() - start)
    ratio = np.median(seconds["projected"]) / np.median(seconds["absorbed"])
    print(f"{kind}: projected / absorbed = {ratio:.1f}")
    assert ratio > 2
