"""How long `probe4d score` takes beside the reading of the same file by numpy."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from probe4d.scoring import score


@pytest.mark.bench
def test_ten_thousand_small_samples_take_seconds(tmp_path):
    random = np.random.default_rng(0)
    meta = {"order": "xy", "coords": "pixels", "frame_size": [64, 64]}
    tracks = random.uniform(0, 64, (8, 16, 2))
    sides = {"P": {"tracks": tracks, "visible": np.ones((8, 16), bool)}}
    sides["T"] = {**sides["P"], "query_points": np.zeros((8, 3))}
    for role, fields in sides.items():
        members = {f"s{i}/{name}": value for i in range(10_000) for name, value in fields.items()}
        stated = meta if role == "P" else {**meta, "query_mode": "first"}
        np.savez(tmp_path / f"{role}.npz", meta=json.dumps(stated), **members)
    before = time.perf_counter()
    score("points", str(tmp_path / "P.npz"), str(tmp_path / "T.npz"))
    ours = time.perf_counter() - before
    before = time.perf_counter()
    for role in "PT":
        with np.load(tmp_path / f"{role}.npz") as file:
            assert sum(file[name].size for name in file.files) > 0
    reading = time.perf_counter() - before
    # The whole score, digests and 1000 resamples included, against numpy's reading of the members alone.
    assert ours < 2 * reading, (ours, reading)
