"""bfloat16 for zarr-python ≥ 3.1, which has no such type of its own; TensorStore has.

Registered by the entry point group `zarr.data_type`, or by `register()`. Imported by zarr, never by us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import ml_dtypes
import numpy as np
from zarr.core.dtype.common import HasEndianness, HasItemSize
from zarr.dtype import DataTypeValidationError, ZDType, data_type_registry

__all__ = ["BFloat16", "register"]

DTYPE: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class BFloat16(ZDType, HasEndianness, HasItemSize):
    """The zarr v3 type `bfloat16`, in memory that of ml_dtypes. Little-endian machines only, as ml_dtypes is."""

    dtype_cls = type(DTYPE)
    _zarr_v3_name = "bfloat16"

    @property
    def item_size(self) -> int:
        """Bytes of one element."""
        return 2

    @classmethod
    def from_native_dtype(cls, dtype: Any) -> Self:
        """Return the type of numpy's dtype."""
        if dtype != DTYPE:
            raise DataTypeValidationError(f"expected {DTYPE}, got {dtype}")
        return cls()

    def to_native_dtype(self) -> np.dtype[Any]:
        """Return numpy's dtype."""
        return DTYPE

    @classmethod
    def _from_json_v2(cls, data: Any) -> Self:
        raise DataTypeValidationError(f"bfloat16 exists in zarr v3 only, got the v2 type {data!r}")

    @classmethod
    def _from_json_v3(cls, data: Any) -> Self:
        if data != cls._zarr_v3_name:
            raise DataTypeValidationError(f"expected 'bfloat16', got {data!r}")
        return cls()

    def to_json(self, zarr_format: int) -> str:
        """Return the type's name."""
        if zarr_format != 3:
            raise ValueError(f"bfloat16: expected zarr v3, got v{zarr_format}.")
        return self._zarr_v3_name

    def _check_scalar(self, data: object) -> bool:
        return isinstance(data, (int, float, np.number, ml_dtypes.bfloat16))

    def cast_scalar(self, data: object) -> Any:
        """Return a scalar of the type."""
        if not self._check_scalar(data):
            raise TypeError(f"bfloat16: expected a number, got {data!r}.")
        return DTYPE.type(data)

    def default_scalar(self) -> Any:
        """Return zero."""
        return DTYPE.type(0)

    def from_json_scalar(self, data: Any, *, zarr_format: int) -> Any:
        """Return a scalar from JSON, where NaN and infinities are strings."""
        words = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
        return self.cast_scalar(words.get(data, data) if isinstance(data, str) else data)

    def to_json_scalar(self, data: object, *, zarr_format: int) -> float | str:
        """Return a scalar as JSON."""
        value = float(self.cast_scalar(data))
        if np.isfinite(value):
            return value
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def register() -> None:
    """Make the type known to zarr in this process."""
    data_type_registry.register(BFloat16._zarr_v3_name, BFloat16)
