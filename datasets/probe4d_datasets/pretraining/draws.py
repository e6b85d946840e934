"""Chance, as pure functions of (seed, epoch, index): the order of an epoch and the crop of an example.

Made of SHA-256 and of PCG64's raw output, which numpy has frozen: a run that goes on under other
versions of anything sees the clips that it would have seen.
"""

from __future__ import annotations

import functools
import hashlib
import struct

import numpy as np
from attrs import frozen

from probe4d.contracts import Array

__all__ = ["Draws", "draws", "permutation", "substitute"]

WORD = 64


@frozen
class Draws:
    """The chance of one example: four independent 64-bit words."""

    start: int
    top: int
    left: int
    flip: int


def draws(seed: int, epoch: int, index: int, attempt: int = 0) -> Draws:
    """Return what decides the clip of the video at `index` in one epoch."""
    return Draws(*struct.unpack("<4Q", _digest(b"clip", seed, epoch, index, attempt)))


def below(word: int, bound: int) -> int:
    """Return a 64-bit word as a whole number in [0, bound)."""
    return (word * bound) >> WORD


def substitute(seed: int, epoch: int, place: int, attempt: int, count: int) -> int:
    """Return which of `count` videos stands in at a place of the epoch whose own is broken."""
    return below(int(struct.unpack("<4Q", _digest(b"substitute", seed, epoch, place, attempt))[0]), count)


@functools.lru_cache(maxsize=2)  # a batch may lie across the end of an epoch
def permutation(seed: int, epoch: int, count: int) -> Array:
    """Return the order of an epoch: `(count,)` int64, each of 0..count-1 once."""
    key = int.from_bytes(_digest(b"order", seed, epoch, 0, 0), "little")
    order: Array = np.argsort(np.random.PCG64(key).random_raw(count), kind="stable")
    order.flags.writeable = False
    return order


def _digest(purpose: bytes, *numbers: int) -> bytes:
    return hashlib.sha256(purpose + struct.pack(f"<{len(numbers)}Q", *numbers)).digest()
