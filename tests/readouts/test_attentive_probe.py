"""The probe finds what is in features and nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def probe():
    return runpy.run_path(str(Path(__file__).parent / "attentive_probe.py"))["attentive_probe"]


def sequences(rng, count):
    """Return `(n, 4, 3, 8)` features in which one channel rises (class 1) or falls (class 0) over time."""
    labels = rng.integers(0, 2, count)
    features = rng.normal(size=(count, 4, 3, 8)).astype(np.float32)
    slope = np.linspace(-2, 2, 4)[:, None] * (2 * labels - 1)[:, None, None]
    features[..., 0] += slope
    return features, labels


def test_it_learns_the_order_of_frames_and_is_at_chance_when_they_are_shuffled(probe):
    rng = np.random.default_rng(0)
    train, held_out = sequences(rng, 512), sequences(rng, 250)
    ordered, predicted = probe(train, held_out, steps=300, rate=1e-2)
    assert ordered > 0.9
    assert predicted.shape == (250,)
    shuffled = [
        (np.stack([clip[rng.permutation(4)] for clip in features]), labels) for features, labels in (train, held_out)
    ]
    assert abs(probe(*shuffled, steps=300, rate=1e-2)[0] - 0.5) < 0.12
