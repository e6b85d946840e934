"""A step on a mesh is the step on one device, and nobody holds more than their part."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

RECIPES = {
    "one": ("one", {}),
    "data": ("data", {}),
    "fsdp": ("fsdp", {"remat": "full"}),
    "data x fsdp": ("data x fsdp", {"accumulate": 2, "remat": "dots"}),
    "fsdp x tensor": ("fsdp x tensor", {}),
}


@pytest.fixture(scope="module")
def steps():
    """One process for all meshes: devices are made when jax starts."""
    program = Path(__file__).with_name("eight_devices.py")
    ran = subprocess.run(
        [sys.executable, str(program), json.dumps(RECIPES)], capture_output=True, text=True, timeout=500, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout)


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "one"])
def test_loss_and_gradients_equal_those_of_one_device(steps, name):
    assert steps[name]["loss"] == pytest.approx(steps["one"]["loss"], rel=1e-6)
    for path, want in steps["one"]["gradients"].items():
        got = np.asarray(steps[name]["gradients"][path])
        scale = max(np.abs(want).max(), 1e-3)  # a key bias has no gradient but rounding: softmax cancels it
        np.testing.assert_allclose(got / scale, np.asarray(want) / scale, atol=2e-5, err_msg=f"{name} {path}")


def test_gradients_are_not_all_zero(steps):
    moved = [path for path, values in steps["one"]["gradients"].items() if np.abs(values).max() > 1e-6]
    assert len(moved) == len(steps["one"]["gradients"]) - 1  # all but the key bias


@pytest.mark.parametrize("part", ["params", "optimizer"])
def test_each_device_holds_its_part_of_parameters_and_optimizer(steps, part):
    (whole,) = steps["one"][part]
    assert steps["data"][part] == [whole] * 8  # data parallelism copies
    for name, split in (("fsdp", 8), ("data x fsdp", 4), ("fsdp x tensor", 8)):
        assert len(steps[name][part]) == 8
        assert max(steps[name][part]) < 1.4 * whole / split, name  # norms, biases and the latents are copied
