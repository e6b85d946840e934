"""Finetuning on a mesh of devices is finetuning on one, and each device holds its part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs jax: finetuning is done with it")
pytest.importorskip("optax", reason="needs optax")


@pytest.fixture(scope="module")
def trained():
    """One process for all meshes: devices are made when jax starts."""
    program = Path(__file__).with_name("finetune_devices.py")
    ran = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout)


def test_losses_and_weights_after_three_steps_are_those_of_one_device(trained):
    got, want = trained["data x fsdp"], trained["one"]
    np.testing.assert_allclose(got["losses"], want["losses"], rtol=2e-5)
    assert got["params"].keys() == want["params"].keys()
    close = total = 0
    for path, values in want["params"].items():
        apart = np.abs(np.array(got["params"][path]) - np.array(values))
        # Adam's first steps have the size of the rate whatever the gradient: where that is rounding, its sign is too.
        close, total = close + int((apart < 1e-5).sum()), total + apart.size
        assert apart.max() <= 2 * 3 * 1e-3, path
    assert close > 0.99 * total


def test_the_loss_falls_and_both_parts_are_trained(trained):
    losses = trained["one"]["losses"]
    assert losses[-1] < losses[0]


def test_each_device_holds_its_part_of_weights_and_optimizer(trained):
    (whole,) = trained["one"]["bytes"]
    held = trained["data x fsdp"]["bytes"]
    assert len(held) == 8
    assert max(held) < 1.4 * whole / 4  # norms and biases are copied
