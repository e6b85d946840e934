"""What a sweep of three learning rates costs beside one, at the paper's sizes on a ViT-B's features.

    pytest -s tests/benchmarks/test_sweep_speed.py -m bench

Processor time of one core, in a process of its own with huge pages, as the command line starts them. When streaming, a
step encodes its clips once for all rates; from the cache it reads them once. Depth is reported and not asserted: its
6,272 queries are computed anew for every rate. From the cache points miss their target for the same reason: 512 queries
of 64 tracks, and keys and values of its own for every rate.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.paper_readouts import READOUTS
from benchmarks.timed_workers import Worker, interleaved

pytestmark = pytest.mark.bench

CLIPS = {"depth": 1}  # of a step; the others take 4
CACHED = {
    "points": "64 tracks are 512 queries, computed anew for every rate",
    "boxes": "most of a step is a rate's own",
}

SWEEPS = """
sys.path.insert(0, TESTS)
import jax, numpy as np, probe4d
from benchmarks.paper_readouts import READOUTS, targets_of
from probe4d_runners.probing.sweep import start_sweep
from probe4d_runners.protocols import FrozenProtocol

def step_of(rates):
    readout = READOUTS[KIND]()
    features = np.random.default_rng(0).normal(size=(1, CLIPS, 8, 196, 768)).astype(np.float16)
    targets = targets_of(KIND, readout, CLIPS)
    state = list(start_sweep(readout, FrozenProtocol(learning_rates=rates, batch_size=CLIPS), features, targets))
    def step():
        *state[:2], loss = state[2](*state[:2], 0, features, targets)
        jax.block_until_ready((state[:2], loss))
    return step

backbone = probe4d.load_backbone("4ds-b-random")
clip = np.zeros((1, 16, 224, 224, 3), np.float32)
serve({"one": step_of((1e-4,)), "three": step_of((1e-4, 3e-4, 1e-3)), "encode": lambda: backbone.encode(clip, (0.95,))})
"""


@pytest.mark.parametrize("kind", READOUTS)
def test_three_rates_cost_little_more_than_one(kind):
    clips = CLIPS.get(kind, 4)
    tests = Path(__file__).parent.parent
    with Worker(SWEEPS, CORES=1, KIND=kind, CLIPS=clips, TESTS=str(tests)) as worker:
        times = interleaved(worker)
    encode, one, three = times["encode"] * clips, times["one"], times["three"]
    cached, streaming = three / one, (encode + three) / (encode + one)
    print(
        f"{kind}, {clips} clips: encode {encode:.2f} s, one rate {one:.3f} s, three {three:.3f} s; "
        f"three / one: {streaming:.2f} streaming, {cached:.2f} from the cache"
    )
    if kind == "depth":
        return
    assert streaming <= 1.3
    if cached > 2.5 and kind in CACHED:
        pytest.xfail(f"from the cache {cached:.2f} (2.5): {CACHED[kind]}")
    assert cached <= 2.5
