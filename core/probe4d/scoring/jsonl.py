"""`.jsonl`: a line `{"meta": {…}}`, then one object per sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probe4d.contracts import Arrays
from probe4d.errors import DataError
from probe4d.scoring.files import Bytes, open_binary
from probe4d.scoring.source import Limits, Source, as_array, check_id, fail
from probe4d.scoring.strict_json import parse_json

__all__ = ["open_jsonl"]


def open_jsonl(path: str, *, limits: Limits, **_: Any) -> Source:
    """Return the samples of a `.jsonl` file.

    Raises:
        DataError: it is empty, a line is no object, an id is missing or occurs twice.
    """
    return Jsonl(path, limits)


class Jsonl(Source):
    """Keeps the place of every line, not its content."""

    def __init__(self, path: str, limits: Limits) -> None:
        self.name = path
        self._limits = limits
        self._places: dict[str, tuple[int, int, int]] = {}  # id -> offset, bytes, line number
        self.meta = self._index()
        self.ids = list(self._places)
        self._bytes = Bytes(path)

    def _index(self) -> Mapping[str, Any]:
        meta: Mapping[str, Any] = {}
        offset = 0
        with open_binary(self.name) as file:
            for number, line in enumerate(_lines(file, self._limits.text_bytes), start=1):
                where = f"{self.name}: line {number}"
                if len(line) > self._limits.text_bytes:
                    fail(where, f"at most {self._limits.text_bytes:,} bytes in a line", "more", "Use .npz or .zarr.")
                if line.strip():
                    value = self._object(where, line)
                    if number == 1 and set(value) == {"meta"}:
                        meta = _meta(where, value["meta"])
                    else:
                        self._add(where, value, (offset, len(line), number))
                offset += len(line)
        if not self._places:
            fail(self.name, "at least one sample (a JSON object a line)", "none")
        return meta

    def _add(self, where: str, value: Mapping[str, Any], place: tuple[int, int, int]) -> None:
        if "id" not in value:
            remedy = 'The first line is {"meta": {…}}, every other {"id": …, "<field>": …}.'
            fail(where, "an 'id'", f"the keys {sorted(value)[:6]}", remedy)
        sample_id = check_id(where, value["id"])
        if sample_id in self._places:
            fail(where, "each sample id once", f"{sample_id!r} again (first in line {self._places[sample_id][2]})")
        self._places[sample_id] = place

    @staticmethod
    def _object(where: str, line: bytes) -> dict[str, Any]:
        value = parse_json(where, line)
        if not isinstance(value, dict):
            fail(where, "a JSON object", type(value).__name__)
        return value

    def load(self, sample_id: str) -> Arrays:
        """Return the arrays of one line."""
        offset, size, number = self._places[sample_id]
        value = self._object(f"{self.name}: line {number}", self._bytes.read(offset, size))
        where = f"{self.name}: sample {sample_id!r}"
        return {field: as_array(f"{where}: {field}", item) for field, item in value.items() if field != "id"}

    def digest(self) -> str:
        """Return the sha256 of the file."""
        return self._bytes.digest()

    def close(self) -> None:
        """Close the file."""
        self._bytes.close()


def _lines(file: Any, limit: int) -> Any:
    # `readline` with a size: a file without line ends must not be read whole.
    return iter(lambda: file.readline(limit + 1), b"")


def _meta(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: meta: expected a JSON object, got {type(value).__name__}.")
    return value
