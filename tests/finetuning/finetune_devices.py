"""Run as a program: steps of finetuning on meshes of 8 virtual CPU devices, and what each device holds, as JSON."""

from __future__ import annotations

import json
import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import numpy as np

from probe4d.registry import find, make
from probe4d_runners.finetuning.step import FinetuneStep, first_params
from probe4d_runners.jax import mesh as meshes
from probe4d_runners.protocols import FinetuneProtocol
from probe4d_vit.backbone import VitBackbone
from probe4d_vit.config import VitConfig

LAYER, STEPS, RATE = 2, 3, 1e-3
MESHES = {"one": ({"data": 1, "fsdp": 1}, 1), "data x fsdp": ({"data": 2, "fsdp": 4}, 2)}
CONFIG = VitConfig(
    width=32, depth=3, heads=2, mlp=64, patch=(2, 8, 8), grid=(2, 2, 2), activation="gelu_tanh", final_norm=False
)


def batch():
    random = np.random.default_rng(0)
    return random.random((16, 4, 16, 16, 3), np.float32), {"label": np.arange(16, dtype=np.int32) % 3}


def bytes_per_device(tree) -> list[int]:
    """Return how many bytes of a tree each device holds."""
    held = dict.fromkeys(jax.devices(), 0)
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return [size for size in held.values() if size]


def train(mesh: dict[str, int], accumulate: int) -> dict:
    """Return losses, the trained parameters and the bytes of each device."""
    protocol = FinetuneProtocol(
        steps=STEPS, batch_size=16, warmup_steps=1, dtype="float32", accumulate=accumulate, backbone_rate=0.1
    )
    shape = meshes.MeshShape(**mesh)
    made = meshes.make_mesh(shape, jax.devices()[: shape.data * shape.fsdp * shape.tensor])
    backbone = VitBackbone(CONFIG, dtype="float32", kind="einsum")
    readout = make(find("readouts", "readouts/labels"), width=32, heads=2, classes=3, frames=2)
    params = first_params(backbone, LAYER, 0)
    step = FinetuneStep(backbone, readout, protocol, LAYER, made, params, *batch())
    state = step.init(params, 0)
    placed = jax.device_put(batch(), step.batch_sharding)
    compiled, losses = step.compiled(), []
    for _ in range(STEPS):
        state, loss = compiled(state, *placed, np.float32(RATE), np.float32(5e-2))
        losses.append(float(loss))
    leaves = jax.tree_util.tree_flatten_with_path(state["params"])[0]
    return {
        "losses": losses,
        "params": {jax.tree_util.keystr(path): np.asarray(leaf).ravel().tolist() for path, leaf in leaves},
        "bytes": bytes_per_device((state["params"], state["optimizer"])),
    }


if __name__ == "__main__":
    meshes.SMALLEST = 1024  # the model is small; what is too small to split is decided by the same rule
    print(json.dumps({name: train(*given) for name, given in MESHES.items()}))
