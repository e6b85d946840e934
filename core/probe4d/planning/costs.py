"""What a plan costs, estimated before anything runs: bytes of the cache, and seconds from a measured matmul."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

from probe4d.cores import usable_cores
from probe4d.planning.sets import StoredSet
from probe4d.registry import find, load_target
from probe4d.specs import BackboneSpec, TaskSpec, TokenGrid

__all__ = [
    "encode_seconds",
    "extract_seconds",
    "finetune_seconds",
    "forward_flops",
    "measured_flops",
    "readout_seconds",
    "set_bytes",
]

BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
# Of the matmul rate that this machine shows, what a whole forward pass reached where we measured one.
EFFICIENCY = 0.5
READOUT_EFFICIENCY = 0.25  # the same of a training step of readouts
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ROUNDS = """
import time
import numpy as np

size, best = 512, float("inf")
left = np.ones((size, size), np.float32)
started = time.perf_counter()
while (now := time.perf_counter()) - started < 0.1:
    left @ left
    best = min(best, time.perf_counter() - now)
print(2.0 * size**3 / best)
"""


def set_bytes(stored: StoredSet) -> int:
    """Return the bytes of a set's arrays when it is whole."""
    return stored.description.nbytes


def forward_flops(spec: BackboneSpec) -> float:
    """Return the floating-point operations of one clip: two per parameter and token, and the attention's."""
    tokens = spec.tokens.time * spec.tokens.space
    attended = spec.tokens.space if spec.modality == "image" else tokens
    attention = 4.0 * spec.depth * tokens * attended * spec.tokens.channels if spec.params else 0.0
    return 2.0 * spec.params * tokens + attention


def extract_seconds(stored: StoredSet) -> float:
    """Return the estimated seconds of extracting a whole set on this machine."""
    return 0.0 if stored.backbone is None else encode_seconds(stored.backbone.spec, stored.rows)


def encode_seconds(spec: BackboneSpec, clips: int) -> float:
    """Return the estimated seconds of so many forward passes on this machine."""
    return clips * forward_flops(spec) / (measured_flops() * EFFICIENCY)


def finetune_seconds(spec: BackboneSpec, examples: int, evaluated: int, members: int) -> float:
    """Return the estimated seconds of finetuning a sweep on this machine: a backward pass costs two forward ones."""
    return members * encode_seconds(spec, 3 * examples + evaluated)


def readout_seconds(task: TaskSpec, settings: Any, tokens: TokenGrid, evaluated: int, members: int) -> float | None:
    """Return the estimated seconds of training a sweep's readouts on this machine; None where theirs is not known.

    Args:
        settings: of the protocol.
        tokens: of the backbone.
        evaluated: clips that every member predicts.
    """
    spec = find("readouts", task.readout).spec
    if not spec.flops:
        return None
    sized = {name: value for name, value in settings.readout.items() if name in spec.sizes}
    asked = settings.target_settings("train").get(task.kind, {})
    queries = int(next((asked[name] for name in ("tracks", "boxes") if name in asked), 1))
    forward = load_target(spec.flops, task.readout)({**task.readout_options, **sized}, tokens, task.train_clip, queries)
    return float(members * (3 * settings.examples() + evaluated) * forward / (measured_flops() * READOUT_EFFICIENCY))


@functools.cache
def measured_flops() -> float:
    """Return this machine's float32 matmul rate in operations per second: one core's best round, times the cores.

    Measured in a process of one thread: threads that wait for one another on a busy machine say nothing of it.
    """
    variables = dict.fromkeys(ONE_THREAD, "1")
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return float(done.stdout) * usable_cores()
