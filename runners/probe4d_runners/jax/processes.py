"""The processes of a training that spans hosts: how they join, and how a value that all of them have is placed."""

from __future__ import annotations

import re
from typing import Any

import jax
import numpy as np
from attrs import field, frozen
from jax.experimental import multihost_utils
from jax.sharding import Sharding

from probe4d.errors import UsageError

__all__ = ["Member", "barrier", "broadcast_bytes", "is_lead", "placed", "same_everywhere"]


@frozen
class Member:
    """Process `index` (from 0) of `count`; `address` is where process 0 listens."""

    address: str
    index: int = field()
    count: int

    @index.validator
    def _check(self, _attribute: object, index: int) -> None:
        if not 0 <= index < self.count:
            raise UsageError(f"--distributed: expected HOST:PORT,I/N with I from 0 to N - 1, got {self}.")

    @classmethod
    def parse(cls, text: str) -> Member:
        """Return the member of `10.0.0.1:1234,0/2`.

        Raises:
            UsageError: it is none.
        """
        found = re.fullmatch(r"([^,]+:\d+),(\d+)/(\d+)", text)
        if found is None:
            raise UsageError(f"--distributed: expected HOST:PORT,I/N with I from 0 to N - 1, got {text!r}.")
        return cls(found[1], int(found[2]), int(found[3]))

    def __str__(self) -> str:
        return f"{self.address},{self.index}/{self.count}"

    def join(self, wait: int = 300) -> None:
        """Join the others; returns when all are there.

        Where one is not there after `wait` seconds, `jax.distributed` ends this process.
        """
        jax.distributed.initialize(self.address, self.count, self.index, initialization_timeout=wait)


def is_lead() -> bool:
    """Return whether this is the process that writes files; one that is alone is."""
    index: int = jax.process_index()
    return index == 0


def placed(values: Any, shardings: Any) -> Any:
    """Return a tree of arrays on the devices of all processes.

    Args:
        values: a tree of arrays, whole and the same in every process.
        shardings: a tree like it, or one sharding for all.
    """
    if jax.process_count() == 1:
        return jax.device_put(values, shardings)
    if isinstance(shardings, Sharding):
        shardings = jax.tree.map(lambda _: shardings, values)
    return jax.tree.map(_parts_of, values, shardings)


def _parts_of(value: Any, sharding: Any) -> Any:
    whole = np.asarray(value)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def same_everywhere(digest: int) -> bool:
    """Return whether every process gave the same number of 32 bits; each must ask."""
    if jax.process_count() == 1:
        return True
    given: list[int] = multihost_utils.process_allgather(np.uint32(digest)).tolist()
    return all(other == digest for other in given)


def broadcast_bytes(content: bytes) -> bytes:
    """Return what process 0 gave; what the others give is not looked at. Each must ask."""
    length = int(multihost_utils.broadcast_one_to_all(np.uint32(len(content))))
    given = np.frombuffer(content, np.uint8) if is_lead() else np.zeros(length, np.uint8)
    return bytes(multihost_utils.broadcast_one_to_all(given).astype(np.uint8))


def barrier(name: str) -> None:
    """Return when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
