"""Batches read ahead by Grain: in a thread of this process, or in processes of their own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from probe4d.errors import MissingExtraError
from probe4d_datasets.pretraining.batches import Batches
from probe4d_datasets.pretraining.config import ClipData

__all__ = ["Reader"]

WATCH_SECONDS = 1.0
GRACE_SECONDS = 60.0  # that a worker goes on after SIGTERM


class Reader:
    """The batches in their order, some of them ready before they are asked for.

    A batch is one element of Grain's: its buffers count batches, and no example is copied to be stacked.

    Raises:
        MissingExtraError: Grain is not installed.
    """

    def __init__(self, batches: Batches, data: ClipData) -> None:
        try:
            import grain
        except ImportError as error:
            raise MissingExtraError("clips: expected Grain, which is missing. pip install 'probe4d[train]'") from error
        self._gate = _Gate(batches)
        if data.workers:
            _parse_flags()
            inline = grain.MapDataset.source(batches).to_iter_dataset(grain.ReadOptions(0, 0))
            options = grain.MultiprocessingOptions(num_workers=data.workers, per_worker_buffer_size=data.ahead)
            self._elements = iter(inline.mp_prefetch(options, worker_init_fn=_outlive_signals()))
        else:
            ahead = grain.ReadOptions(num_threads=1, prefetch_buffer_size=data.ahead)
            self._elements = iter(grain.MapDataset.source(self._gate).to_iter_dataset(ahead))

    def __next__(self) -> dict[str, Any]:
        return dict(next(self._elements))

    def close(self) -> None:
        """End what reads ahead; when this returns nothing is being read any more."""
        self._elements.close()
        self._gate.close()


class _Gate:
    """Batches whose reading can be ended: Grain's thread goes on with the batch that it has begun."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._reading = threading.Lock()
        self._closed = False

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> dict[str, Any] | None:
        with self._reading:
            return None if self._closed else self._batches[number]

    def close(self) -> None:
        """Let no reading begin, and wait for one that has begun."""
        self._closed = True
        with self._reading:
            pass


def _parse_flags() -> None:
    """Let Grain read its flags at their defaults, as in a program that is not one of absl's.

    Where jax is installed, Grain 0.2.18 asks for one when it starts workers, and absl refuses
    (google/grain issue 1355).
    """
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _outlive_signals() -> Callable[[int, int], None]:
    """Return what a worker runs first.

    A preempted job's SIGTERM, or Ctrl-C, goes to all of its processes, and who trains wants to end a
    step and save: it closes its workers then, so they go on for a while. But once the process that they
    read for is killed they end: Grain's wait for a sign that it cannot give any more.
    """
    parent = os.getpid()

    def start(_worker: int, _workers: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: _later(GRACE_SECONDS, lambda: True))
        _later(WATCH_SECONDS, lambda: os.getppid() != parent)

    return start


def _later(seconds: float, ends: Callable[[], bool]) -> None:
    """End this process as soon as, asked every so many seconds, something says so."""

    def wait() -> None:
        time.sleep(seconds)
        while not ends():
            time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
