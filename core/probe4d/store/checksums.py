"""CRC-32C of bytes, as zarr's `crc32c` codec stores it, with `google-crc32c` or without.

The numpy form cuts the bytes into lanes, advances all lanes together through the byte table, and
joins the lanes by the linearity of the CRC: the register after `n` zero bytes is a 32x32 matrix over
GF(2) times the register before. It is about 50 times slower than the instruction, and always there.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

from probe4d.contracts import Array

__all__ = ["as_bytes", "crc32c", "crc32c_numpy", "fast_crc32c"]

POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected (RFC 3720, appendix B.4)
LANES = 4096


def as_bytes(data: Any) -> Array:
    """Return a flat uint8 view of a C-contiguous array or of anything with a buffer."""
    if isinstance(data, np.ndarray):
        return data.reshape(-1).view(np.uint8)
    return np.frombuffer(data, np.uint8)


def crc32c(data: Any, crc: int = 0) -> int:
    """Return the checksum of `data` appended to bytes whose checksum is `crc`.

    Args:
        data: C-contiguous array, bytes or memoryview.
    """
    fast = fast_crc32c()
    flat = as_bytes(data)
    return int(fast.extend(crc, flat)) if fast is not None else crc32c_numpy(flat, crc)


@cache
def fast_crc32c() -> Any:
    """Return `google_crc32c` where its compiled form is installed, else None."""
    try:
        import google_crc32c
    except ImportError:
        return None
    return google_crc32c if google_crc32c.implementation == "c" else None


def crc32c_numpy(data: Any, crc: int = 0) -> int:
    """Return the same as `crc32c`, by numpy alone."""
    flat = as_bytes(data)
    register = crc ^ 0xFFFFFFFF
    lanes = 1
    while lanes < LANES and lanes * 16 <= flat.size:
        lanes *= 2
    steps = flat.size // lanes
    if lanes > 1:
        register = _lanes(flat[: lanes * steps].reshape(lanes, steps), register)
        flat = flat[lanes * steps :]
    table = _table().tolist()
    for byte in flat.tolist():
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ 0xFFFFFFFF


def _lanes(blocks: Array, register: int) -> int:
    """Return the register after all blocks `(lanes, steps)`, the first of which starts with `register`."""
    table = _table()
    state = np.zeros(len(blocks), np.uint32)
    state[0] = register
    for column in np.ascontiguousarray(blocks.T):
        state = table[(state ^ column) & 0xFF] ^ (state >> np.uint32(8))
    length = blocks.shape[1]
    while len(state) > 1:  # join neighbours: the left one is followed by `length` bytes of the right one
        state = _apply(_zeros(length), state[0::2]) ^ state[1::2]
        length *= 2
    return int(state[0])


@cache
def _table() -> Array:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> np.uint32(1)) ^ np.uint32(POLYNOMIAL), values >> np.uint32(1))
    return values


@lru_cache(maxsize=64)
def _zeros(length: int) -> Array:
    """Return what `length` zero bytes do to each bit of the register: `(32,)` uint32."""
    if length == 1:
        bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
        advanced: Array = _table()[bits & 0xFF] ^ (bits >> np.uint32(8))
        return advanced
    half = _zeros(length // 2)
    whole = _apply(half, half)
    return _apply(_zeros(1), whole) if length % 2 else whole


def _apply(operator: Array, registers: Array) -> Array:
    result = np.zeros_like(registers)
    for bit in range(32):
        result ^= np.where((registers >> np.uint32(bit)) & 1, operator[bit], np.uint32(0))
    return result
