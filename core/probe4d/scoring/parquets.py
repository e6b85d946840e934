"""`.parquet`: one row a sample, a column `id`, a column per field, `meta` in the file's key-value metadata."""

from __future__ import annotations

from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays
from probe4d.errors import DataError, MissingExtraError
from probe4d.scoring.files import Bytes
from probe4d.scoring.source import Limits, Source, as_array, check_id, fail
from probe4d.scoring.strict_json import meta_object

__all__ = ["open_parquet"]


def open_parquet(path: str, *, limits: Limits, **_: Any) -> Source:
    """Return the samples of a `.parquet` file, read by row groups.

    Raises:
        MissingExtraError: pyarrow is not installed.
        DataError: it is no parquet file, or has no column `id`.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError(f"{path}: .parquet needs pyarrow. Run: pip install 'probe4d[parquet]'") from error
    data = Bytes(path)
    try:
        return Parquet(data, pq.ParquetFile(data.file), limits)
    except (pa.ArrowException, OSError, ValueError) as error:
        data.close()
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: expected a parquet file, got a truncated or foreign one ({error}).") from error


class Parquet(Source):
    """One row group is held at a time: write groups of few rows where samples are large."""

    def __init__(self, data: Bytes, file: Any, limits: Limits) -> None:
        self.name = data.path
        self._data = data
        self._file = file
        self._limits = limits
        self._places: dict[str, tuple[int, int]] = {}
        self._held: tuple[int, Any] = (-1, None)
        metadata = file.schema_arrow.metadata or {}
        self.meta = meta_object(f"{self.name}: meta", metadata.get(b"meta", b"{}"))
        if "id" not in file.schema_arrow.names:
            fail(self.name, "a column 'id'", f"the columns {file.schema_arrow.names[:6]}")
        for group in range(file.num_row_groups):
            self._index(group)
        self.ids = list(self._places)
        if not self.ids:
            fail(self.name, "at least one row", "none")

    def _index(self, group: int) -> None:
        size = self._file.metadata.row_group(group).total_byte_size
        if size > self._limits.array_bytes:
            remedy = "Write smaller row groups."
            fail(f"{self.name}: row group {group}", f"at most {self._limits.array_bytes:,} bytes", f"{size:,}", remedy)
        column = self._read(group, ["id"]).column("id")
        for row, value in enumerate(column.to_pylist()):
            sample_id = check_id(self.name, str(value) if isinstance(value, int) else value)
            if sample_id in self._places:
                fail(self.name, "each sample id once", f"{sample_id!r} twice")
            self._places[sample_id] = (group, row)

    def _read(self, group: int, columns: list[str] | None = None) -> Any:
        import pyarrow as pa

        try:
            return self._file.read_row_group(group, columns=columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{self.name}: row group {group}: expected readable data, got {error}.") from error

    def load(self, sample_id: str) -> Arrays:
        """Return the arrays of one row."""
        group, row = self._places[sample_id]
        if self._held[0] != group:
            self._held = (group, self._read(group))
        table = self._held[1]
        where = f"{self.name}: sample {sample_id!r}"
        names = [name for name in table.column_names if name != "id"]
        return {name: _cell(f"{where}: {name}", table.column(name)[row]) for name in names}

    def digest(self) -> str:
        """Return the sha256 of the file."""
        return self._data.digest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._data.close()


def _cell(where: str, scalar: Any) -> Array:
    """Return nested lists of one cell as an array, without making Python objects of the numbers."""
    shape: list[int] = []
    value = scalar
    if not value.is_valid:
        fail(where, "a value", "null")
    if not hasattr(value, "values") or not hasattr(value.type, "value_type"):
        return as_array(where, value.as_py())
    values = value.values
    shape.append(len(values))
    while hasattr(values.type, "value_type") and hasattr(values, "flatten") and values.null_count == 0:
        lengths = np.unique(np.asarray(values.value_lengths())) if len(values) else np.zeros(1, int)
        if len(lengths) != 1:
            fail(where, "nested lists of equal lengths", f"lengths {lengths[:4].tolist()}")
        shape.append(int(lengths[0]))
        values = values.flatten()
    if values.null_count:
        fail(where, "numbers", "nulls")
    flat = as_array(where, values.to_numpy(zero_copy_only=False))
    return flat.reshape(shape)
