"""What a readout's batch has to hold, checked once at its door, and sums over what is real in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from probe4d.errors import UsageError, did_you_mean

__all__ = ["check_fields", "masked_sum", "real_samples"]


def check_fields(where: str, arrays: Mapping[str, Any], expected: Mapping[str, str], **sizes: int) -> dict[str, int]:
    """Return the size of every named axis.

    Args:
        arrays: by field.
        expected: field -> its axes, as `"b n t 2"`; a number is a fixed size, a name is one size throughout.
        sizes: axes whose size is known already.

    Raises:
        UsageError: a field is missing, or has other axes.
    """
    for name, axes in expected.items():
        if name not in arrays:
            raise UsageError(
                f"{where}: expected the field {name!r} ({axes}), got {', '.join(sorted(arrays)) or 'none'}."
                f"{did_you_mean(name, arrays)}"
            )
        shape = tuple(arrays[name].shape)
        wanted = axes.split()
        fits = len(shape) == len(wanted)
        for axis, size in zip(wanted, shape, strict=False):
            fits = fits and size == (int(axis) if axis.isdigit() else sizes.setdefault(axis, size))
        if not fits:
            known = ", ".join(f"{axis}={size}" for axis, size in sizes.items())
            raise UsageError(f"{where}: expected {name!r} to be ({axes}) with {known}, got {shape}.")
    return sizes


def real_samples(batch: Mapping[str, Any], count: int) -> Any:
    """Return `(b,)` bool: `sample_mask` where the batch has one, else every sample."""
    if "sample_mask" not in batch:
        return jnp.ones(count, bool)
    check_fields("batch", batch, {"sample_mask": "b"}, b=count)
    return jnp.asarray(batch["sample_mask"], bool)


def masked_sum(values: Any, mask: Any) -> Any:
    """Return the float32 sum of `values` where `mask`; what is elsewhere counts nothing, NaN included.

    The values' own inputs have to be finite where the mask is off, or their gradient is NaN: select first,
    compute then.
    """
    return jnp.sum(jnp.where(mask, values, 0.0), dtype=jnp.float32)
