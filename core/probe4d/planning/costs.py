"""What a plan costs, estimated before anything runs: bytes of the cache, and seconds from a measured matmul."""

from __future__ import annotations

import functools
import time

from probe4d.planning.sets import StoredSet
from probe4d.specs import BackboneSpec

__all__ = ["encode_seconds", "extract_seconds", "finetune_seconds", "forward_flops", "measured_flops", "set_bytes"]

BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
# Of the matmul rate that this machine shows, what a whole forward pass reached where we measured one.
EFFICIENCY = 0.5


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


@functools.cache
def measured_flops() -> float:
    """Return this machine's float32 matmul rate in operations per second, measured for a tenth of a second."""
    import numpy as np

    size = 512
    left = np.ones((size, size), np.float32)
    left @ left
    started, rounds = time.perf_counter(), 0
    while time.perf_counter() - started < 0.1:
        left @ left
        rounds += 1
    return 2.0 * size**3 * rounds / (time.perf_counter() - started)
