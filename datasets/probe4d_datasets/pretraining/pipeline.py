"""The stream of batches: read ahead by Grain, and continued from a few bytes of state."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from probe4d.errors import UsageError
from probe4d_datasets.pretraining.batches import Batches
from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.health import Health
from probe4d_datasets.pretraining.reader import Reader
from probe4d_datasets.pretraining.sources import ClipSource, open_source

__all__ = ["ClipStream", "open_stream"]

SCHEMA = "probe4d/clip-stream/1"
FIELDS = ("frames", "stride", "size", "margin", "flip", "seed")  # that decide what an example is


def open_stream(
    data: ClipData, *, process_index: int = 0, process_count: int = 1, start: bytes | None = None
) -> ClipStream:
    """Return the stream of this process's part of each global batch.

    Args:
        start: what `ClipStream.get_state` gave, to go on with the very next example.

    Raises:
        UsageError: the batch does not divide among the processes, or the state is of other data.
        DataError: the source holds no video, or cannot be listed.
        MissingExtraError: Grain, or what the source needs, is not installed.
    """
    stream = ClipStream(open_source(data), data, data.share(process_index, process_count))
    if start is not None:
        stream.set_state(start)
    return stream


class ClipStream(Iterator[dict[str, Any]]):
    """Batches `{"video": (b, t, h, w, 3) uint8, "ids": [str]}` of this process's part of the batch.

    Attributes:
        wait_seconds: time spent waiting in `next`, all batches together.
    """

    def __init__(self, source: ClipSource, data: ClipData, share: range) -> None:
        self._source = source
        self._data = data
        self._share = share
        self._position = 0  # examples of all processes that were handed out
        self._health = Health()
        self._reader: Reader | None = None
        self.wait_seconds = 0.0

    def __iter__(self) -> ClipStream:
        return self

    def __next__(self) -> dict[str, Any]:
        """Return the next batch.

        Raises:
            DataError: too many videos are broken by now; the message names some.
        """
        began = time.perf_counter()
        batch = self._read()
        skips = batch.pop("skips")
        self._health = self._health.after(len(batch["ids"]), skips)
        self._position += self._data.batch_size
        self.wait_seconds += time.perf_counter() - began
        if skips:
            self._health.require(self._data.max_broken, len(self._source))
        return batch

    def _read(self) -> dict[str, Any]:
        if self._reader is None:
            self._reader = Reader(Batches(self._source, self._data, self._share, self._position), self._data)
        try:
            return next(self._reader)
        except BaseException:
            self.close()  # Grain would go on after the batch that failed
            raise

    def get_state(self) -> bytes:
        """Return where the stream is, as JSON: after the last batch that was returned.

        It depends on no number of workers or processes, so another number may go on from it.
        """
        state = {"schema": SCHEMA, "position": self._position, "data": self._identity(), **self._health.as_record()}
        return json.dumps(state).encode()

    def set_state(self, state: bytes) -> None:
        """Go to where another stream of the same data was.

        Raises:
            UsageError: the state is none, or of other data; the message names the field.
        """
        values = _parsed(state)
        for name, here in self._identity().items():
            if (there := values["data"].get(name)) != here:
                raise UsageError(
                    f"state of the clips, {name}: expected {here!r} as in the data here, got {there!r}. "
                    "Continue with the data that the run began with."
                )
        self.close()
        self._position, self._health = values["position"], Health.from_record(values)

    def health(self) -> dict[str, Any]:
        """Return `read`, `skipped` per reason and `named`, of all batches that were returned here."""
        return self._health.as_record()

    def close(self) -> None:
        """End the threads and processes that read ahead. The stream may be used again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __enter__(self) -> ClipStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _identity(self) -> dict[str, Any]:
        fields = {name: getattr(self._data, name) for name in FIELDS}
        return {**fields, "size": list(self._data.size), "videos": len(self._source), "list": self._source.identity()}


def _parsed(state: bytes) -> dict[str, Any]:
    try:
        values = json.loads(state)
    except ValueError as error:
        raise UsageError(f"state of the clips: expected what get_state gave, got {state[:40]!r}.") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise UsageError(f"state of the clips: expected {SCHEMA}, got {state[:40]!r}.")
    return values
