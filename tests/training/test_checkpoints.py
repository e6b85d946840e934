"""A checkpoint goes to any mesh; what is no checkpoint of the model is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest

from probe4d.errors import DataError
from probe4d_runners.jax.checkpoints import Checkpoints


def test_a_checkpoint_of_eight_devices_is_restored_on_four_and_on_one(tmp_path):
    program = Path(__file__).with_name("moving_checkpoint.py")
    ran = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]


def test_the_last_checkpoints_stay_and_every_so_many(tmp_path):
    with Checkpoints(tmp_path, keep_last=2, keep_every=4) as checkpoints:
        assert checkpoints.latest() is None
        for step in range(1, 8):
            checkpoints.save(step, {"x": jnp.full(3, float(step))}, {"step": step}, wait=True)
        assert checkpoints.latest() == 7
    kept = sorted(int(entry.name) for entry in tmp_path.iterdir() if entry.name.isdigit())
    assert kept == [4, 6, 7]


def test_a_checkpoint_of_another_model_is_refused_by_its_place(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": jnp.zeros(3)}, {"step": 1}, wait=True)
        with pytest.raises(DataError, match="expected a checkpoint of this model"):
            checkpoints.restore({"y": jnp.zeros(4)})
