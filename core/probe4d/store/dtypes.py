"""The element types that a feature set may hold, by their zarr v3 names."""

from __future__ import annotations

from typing import Any

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import DataError, MissingExtraError, UsageError

__all__ = ["FEATURE_DTYPES", "TARGET_DTYPES", "as_dtype", "as_stored", "dtype_name", "itemsize", "widen"]

FEATURE_DTYPES = ("float16", "float32", "bfloat16")
TARGET_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
)  # fmt: skip


def itemsize(name: str) -> int:
    """Return the bytes of one element."""
    return 2 if name == "bfloat16" else np.dtype(name).itemsize


def dtype_name(dtype: Any) -> str:
    """Return the zarr name of a numpy dtype (or of a name).

    Raises:
        UsageError: it is none that a set may hold.
    """
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if name not in {*FEATURE_DTYPES, *TARGET_DTYPES}:
        raise UsageError(f"dtype: expected one of {', '.join((*TARGET_DTYPES, 'bfloat16'))}, got {name!r}.")
    return name


def as_dtype(name: str) -> np.dtype[Any]:
    """Return the numpy dtype of a zarr name; bfloat16 is that of ml_dtypes, which jax uses too.

    Raises:
        MissingExtraError: bfloat16 without ml_dtypes.
    """
    if name != "bfloat16":
        return np.dtype(name)
    try:
        from ml_dtypes import bfloat16
    except ImportError as error:
        raise MissingExtraError("bfloat16 features need ml_dtypes. Run: pip install ml_dtypes") from error
    dtype: np.dtype[Any] = np.dtype(bfloat16)
    return dtype


def as_stored(values: Array, name: str, where: str) -> Array:
    """Return features as they are stored, C-contiguous; bfloat16 as uint16 bits.

    Args:
        values: finite floats of any width.

    Raises:
        UsageError: not a float array.
        DataError: a value does not fit the type.
    """
    source = values.dtype.name
    if source not in (*FEATURE_DTYPES, "float64"):
        raise UsageError(f"{where}: expected floats, got {source}.")
    if source == "bfloat16":
        bits = np.ascontiguousarray(values).view(np.uint16)
        return bits if name == "bfloat16" else as_stored(widen(bits), name, where)
    with np.errstate(over="ignore"):
        narrow = values.astype("float32" if name == "bfloat16" else name, copy=False)
        stored = np.ascontiguousarray(_round_bfloat16(narrow) if name == "bfloat16" else narrow)
    finite = (stored & 0x7F80) != 0x7F80 if name == "bfloat16" else np.isfinite(stored)
    if not finite.all():
        raise DataError(
            f"{where}: expected features within the range of {name}, got {float(np.abs(values).max()):.6g}. "
            f"{'Extract with dtype bfloat16 or float32.' if name == 'float16' else ''}".rstrip()
        )
    return stored


def widen(bits: Array) -> Array:
    """Return bfloat16 bits (uint16) as float32, exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _round_bfloat16(values: Array) -> Array:
    """Return the bits of the nearest bfloat16 of finite float32, ties to even."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & 1))) >> np.uint32(16)
    return rounded.astype(np.uint16)
