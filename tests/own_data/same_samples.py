"""What every dataset of one's own keeps to: the same sample from anywhere, and rows that frames do not change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from probe4d.contracts import Sample


def check_elsewhere(load: Callable[[Any], Sample], root: Path, urls: Iterable[str]) -> Sample:
    """Assert that what is loaded from each URL is what is loaded from the root; return that."""
    truth = load(root)
    for url in urls:
        sample = load(url)
        np.testing.assert_array_equal(sample.video, truth.video)
        np.testing.assert_equal(sample.targets, truth.targets)
    return truth


def check_selected_frames(dataset: Any, sample_id: str, kind: str, names: Iterable[str]) -> None:
    """Assert that frames select from video `(t, …)` and from targets `(n, t, …)`, in any order and repeated."""
    frames = [2, 0, 0]
    whole, part = dataset.load(sample_id), dataset.load(sample_id, frames)
    np.testing.assert_array_equal(part.video, whole.video[frames])
    for name in names:
        np.testing.assert_array_equal(part.targets[kind][name], whole.targets[kind][name][:, frames])
