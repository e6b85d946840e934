"""Worker processes that end when the process that they read for is gone, however it went."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

__all__ = ["parse_flags", "watch_parent"]

SECONDS = 1.0


def parse_flags() -> None:
    """Let Grain read its flags at their defaults, as in a program that is not one of absl's.

    Where jax is installed, Grain 0.2.18 asks for one when it starts workers, and absl refuses
    (google/grain issue 1355).
    """
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def watch_parent() -> Callable[[int, int], None]:
    """Return what a worker runs first: a thread that ends it once its parent is killed.

    Grain's workers wait for a sign that a killed parent cannot give, and would stay for ever.
    """
    parent = os.getpid()

    def start(_worker: int, _workers: int) -> None:
        threading.Thread(target=_watch, args=(parent,), name="watch-parent", daemon=True).start()

    return start


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS)
    os._exit(1)
