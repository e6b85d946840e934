"""Whether the arrays of a sample are those of its kind: names, ranks, sizes, dtypes, finite values."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.contracts import Arrays, Field
from probe4d.errors import did_you_mean
from probe4d.scoring.lazy import is_lazy
from probe4d.scoring.source import fail

__all__ = ["check_fields"]

KIND_NAMES = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats", "U": "text", "S": "text"}


def check_fields(where: str, fields: Mapping[str, Field], arrays: Arrays) -> None:
    """Check one sample of a file.

    Raises:
        DataError: a field is missing, unknown, of a wrong rank, size or dtype, not finite where it
            has to be, or two fields disagree in an axis of the same name.
    """
    for name in arrays:
        if name not in fields:
            remedy = did_you_mean(name, fields).strip() or "Leave it out, or rename it."
            fail(where, f"fields of {', '.join(fields)}", f"{name!r}", remedy)
    sizes: dict[str, tuple[int, str]] = {}
    for name, field in fields.items():
        if name in arrays:
            _check_field(where, name, field, arrays[name], sizes)
        elif field.required:
            listed = ", ".join(arrays) or "none"
            fail(where, f"the field {name!r} ({field.dims or 'a single value'})", f"the fields {listed}")


def _check_field(where: str, name: str, field: Field, value: Any, sizes: dict[str, tuple[int, str]]) -> None:
    if value.dtype.kind not in field.dtypes:
        wanted = " or ".join(dict.fromkeys(KIND_NAMES[kind] for kind in field.dtypes))
        fail(f"{where}: {name}", wanted, f"dtype {value.dtype}")
    dims = next((dims for dims in _alternatives(field.dims) if _fits(dims, value.shape)), None)
    if dims is None:
        shapes = " or ".join(_written(dims) for dims in _alternatives(field.dims))
        fail(f"{where}: {name}", f"shape {shapes}", f"shape {value.shape}")
    for dim, size in zip(dims, value.shape, strict=True):
        if dim.isdigit():
            continue
        known = sizes.setdefault(dim, (size, name))
        if known[0] != size:
            fail(f"{where}: {name}", f"{dim} = {known[0]} as in {known[1]}", f"{size} (shape {value.shape})")
    if field.finite and value.dtype.kind == "f" and not is_lazy(value) and not np.isfinite(value).all():
        first = np.unravel_index(int(np.argmin(np.isfinite(value))), value.shape)
        at = f" at {tuple(map(int, first))}" if value.ndim else ""
        fail(f"{where}: {name}", "finite numbers", f"{value[first]}{at}")


@functools.cache
def _alternatives(dims: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(part.split()) for part in dims.split("|"))


def _fits(dims: tuple[str, ...], shape: tuple[int, ...]) -> bool:
    if len(dims) != len(shape):
        return False
    return all(not dim.isdigit() or int(dim) == size for dim, size in zip(dims, shape, strict=True))


def _written(dims: tuple[str, ...]) -> str:
    return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"
