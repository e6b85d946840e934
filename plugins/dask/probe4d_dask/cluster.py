"""A client of the cluster that a run asks for: one made for the run, or one that is there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dask
from distributed import Client, LocalCluster

from probe4d.errors import Probe4dError

__all__ = ["embedded", "existing"]

CONNECT_SECONDS = 30.0
CLOSE_SECONDS = 5.0


@contextmanager
def embedded(workers: int, resources: Mapping[str, float], lost_after: float) -> Iterator[Client]:
    """Yield a client of a scheduler in this process with worker processes, over TCP on the loopback.

    Args:
        workers: processes, of one unit each.
        resources: what each of them offers.
        lost_after: seconds without a sign of life after which a worker is replaced.

    Raises:
        Probe4dError: a worker does not start.
    """
    try:
        cluster = _started(workers, resources, lost_after)
    except RuntimeError as error:  # a worker died as it started
        raise Probe4dError(
            f"Dask on this machine: expected {workers} workers to start, got {error.__cause__ or error}. "
            "Run the same command again, with fewer --workers if the memory is short."
        ) from error
    try:
        with Client(cluster, set_as_default=False) as client:
            yield client
    finally:
        cluster.close(timeout=CONNECT_SECONDS)


def _started(workers: int, resources: Mapping[str, float], lost_after: float) -> LocalCluster:
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        protocol="tcp://",
        dashboard_address="127.0.0.1:0",  # the usual 8787 may be taken, which distributed warns of
        silence_logs=logging.CRITICAL,
        memory_limit=0,  # units run beside the worker, so its own memory says nothing
        resources=dict(resources),
        # A dead worker's units come back to the runner, which knows which of them had begun.
        scheduler_kwargs={"allowed_failures": 0, "worker_ttl": lost_after},
    )


@contextmanager
def existing(address: str) -> Iterator[Client]:
    """Yield a client of the cluster whose scheduler is at this address.

    Raises:
        Probe4dError: nobody answers there.
    """
    try:
        with dask.config.set({"distributed.comm.timeouts.connect": CONNECT_SECONDS}):
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise Probe4dError(
            f"scheduler {address}: expected a Dask scheduler to answer within {CONNECT_SECONDS:g} s, got {error}. "
            "Start one by `dask scheduler`, or leave --scheduler out for a cluster on this machine."
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=CLOSE_SECONDS)
