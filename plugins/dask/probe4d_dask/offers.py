"""What the workers of a cluster offer, and whether a unit can hope for one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeAlias

from distributed import Client

__all__ = ["Demand", "Offers"]

Demand: TypeAlias = tuple[tuple[str, float], ...]  # what a unit asks of a worker: names and amounts

REFRESH_SECONDS = 2.0
ANSWER_SECONDS = 10.0
LEAST_AHEAD = 32  # what an adaptive cluster sees of the work to come, before it has workers


class Offers:
    """The workers as they were a moment ago.

    Args:
        patience: seconds to wait for a worker that offers what is asked for.
    """

    def __init__(self, client: Client, patience: float) -> None:
        self.client, self.patience = client, patience
        self._workers: Mapping[str, Mapping[str, Any]] = {}
        self._looked = float("-inf")
        self._since: dict[Demand, float] = {}  # when somebody last could, or the waiting began

    def refresh(self) -> bool:
        """Look again after a while; return whether it did."""
        if time.monotonic() - self._looked < REFRESH_SECONDS:
            return False
        self._looked = time.monotonic()
        try:
            # Not `scheduler_info()`, which waits without end for a scheduler that has just died.
            found = self.client.sync(self.client.scheduler.identity, callback_timeout=ANSWER_SECONDS)
        except (OSError, TimeoutError):  # the scheduler is busy, or gone: then the client says so soon
            return False
        self._workers = found["workers"]
        return True

    def ahead(self, demand: Demand) -> int:
        """Return how many units of this demand to have on the way: each thread has the next one waiting."""
        threads = sum(int(worker["nthreads"]) for worker in self._workers.values() if _fits(demand, worker))
        return max(LEAST_AHEAD, 2 * threads)

    def hopeless(self, demand: Demand) -> str | None:
        """Return why no worker takes such units, once the patience is over."""
        now = time.monotonic()
        since = self._since.setdefault(demand, now)
        if any(_fits(demand, worker) for worker in self._workers.values()):
            self._since[demand] = now
            return None
        if now - since < self.patience:
            return None
        offered = sorted({_words(tuple(worker["resources"].items())) for worker in self._workers.values()})
        found = f"{len(self._workers)} workers that offer {' or '.join(offered)}" if offered else "no worker"
        return (
            f"expected a Dask worker that offers {_words(demand)} within {self.patience:g} s, got {found}. "
            "Start workers with --resources, or ask for less."
        )


def _fits(demand: Demand, worker: Mapping[str, Any]) -> bool:
    return all(worker["resources"].get(name, 0) >= amount for name, amount in demand)


def _words(amounts: Demand) -> str:
    return " ".join(f"{name}={amount:g}" for name, amount in sorted(amounts)) or "nothing particular"
