"""Batches of a set: read ahead by one thread, into memory that is used again when nobody holds it."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from attrs import frozen

from probe4d.contracts import Array
from probe4d.errors import UsageError
from probe4d.store.description import layer_path, target_path

if TYPE_CHECKING:
    from probe4d.store.reading import Reader

__all__ = ["Batch", "BufferPool", "Loader", "RowOrder", "made_ahead", "read_ahead"]

Item = TypeVar("Item")
ALIGNMENT = 64  # bytes; what jax on CPU takes over without a copy


@frozen(kw_only=True, eq=False)
class Batch:
    """Rows of a set.

    Attributes:
        step: its number, from 0.
        rows: `(b,)`.
        features: `(b, t, k, c)` by layer.
        targets: `(b, …)` by field.
    """

    step: int
    rows: Array
    features: Mapping[str, Array]
    targets: Mapping[str, Array]


class BufferPool:
    """Arrays whose memory is given out again once no array, view or jax buffer refers to it.

    Fresh memory costs a page fault for every page, about as much as copying into it.
    """

    FREE = 3  # references to an unused buffer: the pool's list, the loop's name, getrefcount's argument

    def __init__(self) -> None:
        self._buffers: list[Array] = []

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array of arbitrary content that nobody else holds."""
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = self._take(nbytes + ALIGNMENT)
        start = -raw.ctypes.data % ALIGNMENT
        return raw[start : start + nbytes].view(dtype).reshape(shape)

    def _take(self, size: int) -> Array:
        for buffer in self._buffers:
            if buffer.size == size and sys.getrefcount(buffer) == self.FREE:
                return buffer
        fresh: Array = np.empty(size, np.uint8)
        self._buffers.append(fresh)
        return fresh


def read_ahead(
    reader: Reader,
    rows_of_batches: Iterator[Sequence[int] | Array],
    layers: Sequence[str],
    fields: Sequence[str],
    first: int = 0,
) -> Iterator[Batch]:
    """Yield the batch of each group of rows, the next one read by a thread meanwhile; see `made_ahead`."""
    pool = BufferPool()
    numbered = enumerate(rows_of_batches, first)
    yield from made_ahead(_batch(reader, pool, step, rows, layers, fields) for step, rows in numbered)


def made_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items, the next one made by a thread meanwhile.

    An error of the thread is raised where its item is due. Leaving the loop ends the thread.
    """
    ready: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def put(item: tuple[Item] | BaseException | None) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            while not stop.is_set():
                put((next(items),))  # held by no name, or its memory could not serve for the next one
        except StopIteration:
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the item is due
            put(error)

    thread = threading.Thread(target=work, name="probe4d-read-ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
            del item  # or the buffer would still be held while the next one is read
    finally:
        stop.set()
        thread.join()


def _batch(
    reader: Reader,
    pool: BufferPool,
    step: int,
    rows: Sequence[int] | Array,
    layers: Sequence[str],
    fields: Sequence[str],
) -> Batch:
    chosen = np.asarray(rows, np.int64)

    def read(path: str) -> Array:
        return reader.read(path, chosen, pool.empty(*reader.shape(path, len(chosen))))

    return Batch(
        step=step,
        rows=chosen,
        features={layer: read(layer_path(layer)) for layer in layers},
        targets={name: read(target_path(name)) for name in fields},
    )


class RowOrder:
    """The rows of random batches: each epoch a permutation of the pool drawn from (seed, epoch).

    Batches run over an epoch's end into the next.
    """

    def __init__(self, pool: Array, batch_size: int, seed: int, step: int = 0) -> None:
        if batch_size < 1 or step < 0 or seed < 0:
            raise UsageError(f"loader: expected batch_size ≥ 1, step ≥ 0, seed ≥ 0, got {batch_size}, {step}, {seed}.")
        if not len(pool):
            raise UsageError("loader: expected at least one row to draw from, got none: all samples are left out.")
        self.pool, self.batch_size, self.seed = pool, batch_size, seed
        self._epoch: tuple[int, Array] | None = None

    def rows(self, step: int) -> Array:
        """Return the rows of a batch, from seed and step alone."""
        size = len(self.pool)
        start, stop = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        while start < stop:
            epoch, inside = divmod(start, size)
            taken = min(stop - start, size - inside)
            parts.append(self.permutation(epoch)[inside : inside + taken])
            start += taken
        return np.concatenate(parts)

    def permutation(self, epoch: int) -> Array:
        """Return the pool in the order of an epoch."""
        if self._epoch is None or self._epoch[0] != epoch:
            # Raw bits of Philox are the same in every numpy; `Generator.permutation` is not promised to be.
            bits = np.random.Philox(key=np.array([self.seed, epoch], np.uint64)).random_raw(len(self.pool))
            self._epoch = epoch, self.pool[np.argsort(bits, kind="stable")]
        return self._epoch[1]


class Loader:
    """Random batches of a fixed size in a `RowOrder`. Iterating goes on where the last batch taken ended.

    Attributes:
        step: number of the next batch.
    """

    def __init__(
        self,
        reader: Reader,
        pool: Array,
        batch_size: int,
        seed: int,
        layers: Sequence[str],
        fields: Sequence[str],
        *,
        step: int = 0,
        steps: int | None = None,
    ) -> None:
        self._order = RowOrder(pool, batch_size, seed, step)
        self._reader = reader
        self._layers = layers
        self._fields = fields
        self._steps = steps
        self.step = step

    @property
    def state(self) -> dict[str, int]:
        """What a restart needs: `store.loader(…, **state)` goes on with the next batch."""
        return {"seed": self._order.seed, "step": self.step}

    def rows(self, step: int) -> Array:
        """Return the rows of a batch, from seed and step alone."""
        return self._order.rows(step)

    def __iter__(self) -> Iterator[Batch]:
        for batch in read_ahead(self._reader, self._rows_from(self.step), self._layers, self._fields, self.step):
            self.step = batch.step + 1
            yield batch
            del batch

    def _rows_from(self, step: int) -> Iterator[Array]:
        while self._steps is None or step < self._steps:
            yield self.rows(step)
            step += 1
