"""Run as a program: a state saved from 8 devices, restored on 4, saved again, restored on 1; all as it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import eight_devices  # beside this file: the same small model
import jax
import numpy as np

from probe4d_fourds.step import Recipe, TrainStep
from probe4d_runners.jax import mesh as meshes
from probe4d_runners.jax.checkpoints import Checkpoints

RECIPE = Recipe(steps=10, learning_rate=1e-3, warmup_steps=2, attention="einsum")


def step_on(devices: int) -> TrainStep:
    return TrainStep(eight_devices.CONFIG, RECIPE, meshes.make_mesh(meshes.MeshShape(), jax.devices()[:devices]))


def main(folder: Path) -> None:
    meshes.SMALLEST = 1024
    state = step_on(8).init(3)
    want = jax.tree.map(np.asarray, state)
    for number, devices in enumerate((4, 1)):
        with Checkpoints(folder / str(number)) as checkpoints:
            checkpoints.save(7, state, {"step": 7}, wait=True)
            abstract = step_on(devices).abstract_state()
            state, extra = checkpoints.restore(abstract)
        assert extra == {"step": 7}
        assert len(state["params"]["encoder"]["blocks"]["up"]["kernel"].sharding.device_set) == devices
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.asarray, state), want)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
