"""Arrays of an ONNX file, read without onnx: a graph's stored tensors by the names that they had in torch.

An exporter keeps a parameter's name where the graph takes it as it is. A kernel that is stored transposed gets
a number instead; it is named here after the node that multiplies by it, and given back as torch has it, (out, in).

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (numbers of the fields)
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from attrs import frozen

from probe4d.errors import DataError
from probe4d_datasets.formats.wire import as_bytes, as_int, as_text, fields, varints

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

GRAPH = 7
NODE, INITIALIZER = 1, 5
NODE_INPUT, NODE_NAME, NODE_OP = 1, 3, 4
TENSOR_DIMS, TENSOR_DTYPE, TENSOR_NAME, TENSOR_RAW = 1, 2, 8, 9
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 7: np.dtype("<i8"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
_ANONYMOUS = "onnx::"


@frozen
class _Tensor:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: memoryview
    transposed: bool = False


class OnnxCheckpoint:
    """The stored tensors of an ONNX file; the file is mapped, and read as far as it is asked for."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        where = str(self.path)
        try:
            with self.path.open("rb") as file:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise DataError(f"{where}: expected an ONNX file, got an error: {error}.") from error
        graphs = [as_bytes(value, where) for _, value in fields(data, where, {GRAPH})]
        if len(graphs) != 1:
            raise DataError(f"{where}: expected an ONNX file with a graph, got {len(graphs)}. Fetch it again.")
        stored = dict(_initializers(graphs[0], where))
        names = dict(_named_after_nodes(graphs[0], where))
        self._tensors: dict[str, _Tensor] = {}
        for key, tensor in stored.items():
            name, transposed = names.get(key, (key, False)) if key.startswith(_ANONYMOUS) else (key, False)
            if name in self._tensors:
                raise DataError(f"{where}: expected each tensor once, got {name!r} twice.")
            self._tensors[name] = _Tensor(
                tensor.shape, tensor.dtype, tensor.data, transposed and len(tensor.shape) == 2
            )

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return list(self._tensors)

    def shape(self, key: str) -> tuple[int, ...]:
        """Return an array's shape."""
        tensor = self._tensors[key]
        return tensor.shape[::-1] if tensor.transposed else tensor.shape

    def read(self, key: str, block: int | None = None) -> Array:
        """Return one array, or one block of a stacked one."""
        tensor = self._tensors[key]
        array: Array = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
        array = array.T if tensor.transposed else array
        return array if block is None else array[block]


def _initializers(graph: memoryview, where: str) -> Iterator[tuple[str, _Tensor]]:
    for _, value in fields(graph, where, {INITIALIZER}):
        shape: list[int] = []
        name, code, raw = "", 0, memoryview(b"")
        for number, part in fields(as_bytes(value, where), where):
            if number == TENSOR_DIMS:
                shape += [part] if isinstance(part, int) else varints(part, where).tolist()
            elif number == TENSOR_DTYPE:
                code = as_int(part, where)
            elif number == TENSOR_NAME:
                name = as_text(part, where)
            elif number == TENSOR_RAW:
                raw = as_bytes(part, where)
        if code not in DTYPES:
            raise DataError(f"{where}: {name!r}: expected floats or int64, got ONNX type {code}.")
        size = prod(shape) * DTYPES[code].itemsize
        if any(length < 0 for length in shape) or len(raw) != size:
            raise DataError(
                f"{where}: {name!r}: expected {size} bytes in the file for {shape}, got {len(raw)}. "
                "Save it with its data inside."
            )
        yield name, _Tensor(tuple(shape), DTYPES[code], raw)


def _named_after_nodes(graph: memoryview, where: str) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield `(name, transposed)` of each tensor without a name of its own, by the node that takes it."""
    for _, value in fields(graph, where, {NODE}):
        taken: list[str] = []
        name = operation = ""
        for number, part in fields(as_bytes(value, where), where, {NODE_INPUT, NODE_NAME, NODE_OP}):
            if number == NODE_INPUT:
                taken.append(as_text(part, where))
            elif number == NODE_NAME:
                name = as_text(part, where)
            else:
                operation = as_text(part, where)
        path = name.strip("/").replace("/", ".")
        for key in taken:
            if key.startswith(_ANONYMOUS):
                kernel = operation == "MatMul"
                yield key, (path.removesuffix(".MatMul") + ".weight" if kernel else path, kernel)
