"""The numpy arrays of a pickle as descriptions: type, shape, and where their bytes are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np
from attrs import define, field, frozen

from probe4d.contracts import Array
from probe4d.errors import DataError

__all__ = ["Bytes", "Dtype", "Global", "PickledArray", "Refuses", "build", "read_array", "read_bytes", "reduce"]

# What numpy's own pickles call, and what is done instead. Source: numpy's `ndarray.__reduce__`,
# `__reduce_ex__` (protocol 5) and `dtype.__reduce__`; the modules of numpy 1 and of numpy 2.
KNOWN = {
    "numpy.core.multiarray._reconstruct": "array",
    "numpy._core.multiarray._reconstruct": "array",
    "numpy.core.numeric._frombuffer": "buffer",
    "numpy._core.numeric._frombuffer": "buffer",
    "numpy.core.multiarray.scalar": "scalar",
    "numpy._core.multiarray.scalar": "scalar",
    "numpy.dtype": "dtype",
    "numpy.ndarray": "ndarray",
    "_codecs.encode": "encode",
    "__builtin__.bytes": "bytes",
    "builtins.bytes": "bytes",
}
MAX_DIMS = 8
MAX_BYTES = 1 << 40


class Refuses(Protocol):
    """What makes the error of a file that asks for too much."""

    def refusal(self, what: str) -> DataError:
        """Return the error."""
        ...


@frozen
class Global:
    """A name that a pickle asked for, one of those known."""

    name: str = field()

    @name.validator
    def _check(self, _: Any, value: str) -> None:
        if value not in KNOWN:
            raise ValueError(value)

    @property
    def role(self) -> str:
        """What is done instead of calling it."""
        return KNOWN[self.name]


@frozen
class Bytes:
    """A byte string: where it is, and itself where it is short."""

    offset: int
    length: int
    inline: bytes | None = None


@define
class Dtype:
    """A dtype while it is being built."""

    code: str
    order: str = "|"

    def numpy(self) -> np.dtype[Any]:
        """Return it; numbers, truth values and fixed byte strings only."""
        made = np.dtype(self.code).newbyteorder("=" if self.order == "|" else self.order)  # type: ignore[arg-type]
        if made.kind not in "biufS" or made.names is not None:
            raise TypeError(f"a dtype {self.code}")
        return made


@define
class PickledArray:
    """An array whose content is still in the file, or a list of byte strings (an object array).

    Attributes:
        items: of an object array, in C order; None for any other.
    """

    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None
    fortran: bool = False
    content: Bytes | None = None
    items: list[Any] | None = None


def reduce(function: Global, arguments: Any, refuses: Refuses) -> Any:
    """Return what the call of a known function gives; the function itself is not called."""
    if not isinstance(arguments, tuple):
        raise TypeError("arguments that are no tuple")
    if function.role == "array":
        if not (isinstance(arguments[0], Global) and arguments[0].role == "ndarray"):
            raise refuses.refusal("an array of another class")
        return PickledArray()
    if function.role == "dtype":
        if not isinstance(arguments[0], str):
            raise refuses.refusal("a dtype that is no text")
        return Dtype(arguments[0])
    if function.role == "buffer":
        content, dtype, shape, order = arguments
        made = PickledArray()
        build(made, (1, shape, dtype, order == "F", content), refuses)
        return made
    if function.role == "scalar":
        dtype, content = arguments
        raw = _inline(content)
        return np.frombuffer(raw, dtype.numpy(), 1)[0].item()
    if function.role == "encode" and arguments[1] == "latin1":
        raw = arguments[0].encode("latin1")
        return Bytes(-1, len(raw), raw)
    if function.role == "bytes" and arguments == ():
        return Bytes(-1, 0, b"")
    raise refuses.refusal(f"a call of {function.name}")


def build(target: Any, state: Any, refuses: Refuses) -> None:
    """Give an array or a dtype its state, in place."""
    if isinstance(target, Dtype):
        if not (isinstance(state, tuple) and len(state) >= 7 and state[1] in ("<", ">", "=", "|")):
            raise ValueError("the state of a dtype")
        if state[2] is not None or state[3] is not None:
            raise refuses.refusal("a dtype with fields")
        target.order = state[1]
    elif isinstance(target, PickledArray):
        _, shape, dtype, fortran, content = state if len(state) == 5 else (0, *state)
        if not all(type(side) is int and side >= 0 for side in shape) or len(shape) > MAX_DIMS:
            raise ValueError(f"a shape {shape}")
        target.shape, target.fortran = tuple(shape), bool(fortran)
        _fill(target, dtype, content)
    else:
        raise refuses.refusal(f"the state of {type(target).__name__}")


def _fill(target: PickledArray, dtype: Dtype, content: Any) -> None:
    count = math.prod(target.shape)
    if dtype.code in ("O8", "O4", "O") and isinstance(content, list):
        if len(content) != count:
            raise ValueError(f"{len(content)} objects in a shape {target.shape}")
        target.items = content
        return
    target.dtype = dtype.numpy()
    if not isinstance(content, Bytes) or not count * target.dtype.itemsize == content.length <= MAX_BYTES:
        raise ValueError(f"bytes that do not fill {target.dtype} {target.shape}")
    target.content = content


def read_bytes(file: BinaryIO, content: Bytes, where: str) -> bytes:
    """Return a byte string.

    Raises:
        DataError: the file is shorter than it was.
    """
    if content.inline is not None:
        return content.inline
    file.seek(content.offset)
    found = file.read(content.length)
    if len(found) != content.length:
        raise DataError(f"{where}: expected {content.length} bytes, got {len(found)}. Did the file change?")
    return found


def read_array(file: BinaryIO, array: PickledArray, where: str, rows: Sequence[int] | None = None) -> Array:
    """Return the array, or only the named places of its first axis; nothing else of it is read.

    Raises:
        DataError: it holds objects, or the file is shorter than it was.
    """
    if array.dtype is None or array.content is None:
        raise DataError(f"{where}: expected an array of numbers, got one of objects.")
    if rows is None or array.fortran or array.content.inline is not None:
        flat = np.frombuffer(read_bytes(file, array.content, where), array.dtype)
        whole = flat.reshape(array.shape, order="F" if array.fortran else "C")
        return whole if rows is None else whole[list(rows)]
    row = array.content.length // max(array.shape[0], 1)
    out = np.empty((len(rows), *array.shape[1:]), array.dtype)
    for place, number in enumerate(rows):
        part = Bytes(array.content.offset + number * row, row)
        out[place] = np.frombuffer(read_bytes(file, part, where), array.dtype).reshape(array.shape[1:])
    return out


def _inline(content: Any) -> bytes:
    if not isinstance(content, Bytes) or content.inline is None:
        raise TypeError("a scalar without its bytes")
    return content.inline
