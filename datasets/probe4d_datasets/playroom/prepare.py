"""Rendering ahead of time: all cores, progress on stderr, whatever is cached stays."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING

from probe4d.cores import usable_cores

if TYPE_CHECKING:
    from probe4d_datasets.playroom.dataset import Playroom

BATCH = 8  # clips that a worker is sent at once
SECONDS = 5.0  # between lines where stderr is not a terminal


def prepare(dataset: Playroom, workers: int | None, progress: Callable[[int, int], None] | None) -> int:
    """Render what the dataset's cache lacks; see `Playroom.prepare`."""
    cached = dataset.clip_cache
    missing = [clip for clip in dataset.sample_ids() if clip not in cached]
    tell = progress or Progress()
    if not missing:
        return 0
    cached.require_room(len(missing) * dataset.clip_bytes)
    workers = min(workers or usable_cores(), len(missing))
    if workers == 1:
        for done, clip in enumerate(missing, 1):
            dataset.render(clip)
            tell(done, len(missing))
        return len(missing)
    # Spawned, not forked: a process that has threads (jax's, say) must not be forked.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        batches = [missing[i : i + BATCH] for i in range(0, len(missing), BATCH)]
        futures = [pool.submit(_render, dataset, batch) for batch in batches]
        done = 0
        try:
            for future in as_completed(futures):
                done += future.result()
                tell(done, len(missing))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(missing)


def _render(dataset: Playroom, clips: list[str]) -> int:
    for clip in clips:
        dataset.render(clip)
    return len(clips)


class Progress:
    """A line on stderr that is rewritten on a terminal, and written every few seconds elsewhere."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Say that `done` of `total` clips are rendered."""
        now = time.monotonic()
        terminal = sys.stderr.isatty()
        if done < total and now - self._last < (0.1 if terminal else SECONDS):
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        line = f"playroom: {done} of {total} clips, {rate:.1f} a second"
        sys.stderr.write(f"\r{line}" + ("\n" if done == total else "") if terminal else line + "\n")
        sys.stderr.flush()
