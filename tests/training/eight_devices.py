"""Run as a program: one training step on meshes of 8 virtual CPU devices, and what each device holds, as JSON."""

from __future__ import annotations

import json
import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import numpy as np

from probe4d_fourds.objective import Mae
from probe4d_fourds.step import Recipe, TrainStep
from probe4d_runners.jax import mesh as meshes
from probe4d_vit.config import VitConfig

MESHES = {"one": (1, 1, 1), "data": (8, 1, 1), "fsdp": (1, 8, 1), "data x fsdp": (2, 4, 1), "fsdp x tensor": (1, 4, 2)}
CONFIG = Mae(
    vit=VitConfig(
        width=64, depth=3, heads=4, mlp=128, patch=(2, 8, 8), grid=(2, 4, 4), activation="gelu_tanh", final_norm=False
    ),
    decode_layers=1,
    output_patch=(4, 16, 16),
    masking=0.5,
)


def bytes_per_device(tree) -> list[int]:
    """Return how many bytes of a tree each device holds."""
    held = dict.fromkeys(jax.devices(), 0)
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return [size for size in held.values() if size]


def main(recipes: dict[str, dict]) -> dict:
    meshes.SMALLEST = 1024  # the model is small; what is too small to shard is decided by the same rule
    video = np.random.default_rng(0).integers(0, 256, (16, 4, 32, 32, 3), dtype=np.uint8)
    out = {}
    for name, (mesh, changes) in recipes.items():
        data, fsdp, tensor = MESHES[mesh]
        made = meshes.make_mesh(
            meshes.MeshShape(data=data, fsdp=fsdp, tensor=tensor), jax.devices()[: data * fsdp * tensor]
        )
        recipe = Recipe(steps=10, learning_rate=1e-3, warmup_steps=2, attention="einsum", **changes)
        step = TrainStep(CONFIG, recipe, made)
        state = step.init(0)
        batch = jax.device_put(video, step.batch_sharding)
        loss, gradients = jax.jit(step.loss_and_gradients)(state["params"], batch, jax.random.key(1))
        out[name] = {
            "loss": float(loss),
            "gradients": {
                jax.tree_util.keystr(path): np.asarray(leaf).ravel().tolist()
                for path, leaf in jax.tree_util.tree_flatten_with_path(gradients)[0]
            },
            "params": bytes_per_device(state["params"]),
            "optimizer": bytes_per_device(state["optimizer"]),
        }
    return out


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
