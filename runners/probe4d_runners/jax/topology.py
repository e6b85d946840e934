"""Devices of a topology that is not here: real TPU descriptions where libtpu is installed, else virtual CPUs."""

from __future__ import annotations

import importlib.util
import os
import re
from math import prod
from typing import Any

from attrs import frozen

from probe4d.errors import UsageError, did_you_mean

__all__ = ["CHIPS", "Chip", "Topology", "prepare_environment"]


@frozen(kw_only=True)
class Chip:
    """What one chip offers.

    Attributes:
        flops: peak in bfloat16, FLOP/s; `memory`: bytes that a program may use.
        wire: bytes/s between chips, all links together.
        accelerator: what the runtime calls a slice, with the number of chips to be filled in.
    """

    flops: float
    memory: int
    wire: float
    accelerator: str


# Source: Google's TPU system architecture pages (per-chip peak, HBM capacity, interchip interconnect bandwidth).
CHIPS = {
    "v6e": Chip(flops=918e12, memory=int(31.25 * 2**30), wire=448e9, accelerator="v6e-{}"),
    "v5e": Chip(flops=197e12, memory=int(15.75 * 2**30), wire=200e9, accelerator="v5litepod-{}"),
}


@frozen(kw_only=True)
class Topology:
    """A slice of chips, as `v6e:16x16`.

    Attributes:
        kind: a key of `CHIPS`; `shape`: chips along each axis of the torus.
    """

    kind: str
    shape: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Topology:
        """Return the topology that a string names.

        Raises:
            UsageError: it is not of the form KIND:AxB, or of a kind that is not known.
        """
        found = re.fullmatch(r"(?P<kind>[a-z0-9]+):(?P<shape>\d+(x\d+)*)", text)
        if found is None:
            raise UsageError(f"topology: expected KIND:AxB, as v6e:16x16, got {text!r}.")
        kind = found["kind"]
        if kind not in CHIPS:
            raise UsageError(f"topology: expected {', '.join(CHIPS)}, got {kind!r}.{did_you_mean(kind, CHIPS)}")
        shape = tuple(int(size) for size in found["shape"].split("x"))
        if prod(shape) < 1:
            raise UsageError(f"topology: expected at least one chip, got {text!r}.")
        return cls(kind=kind, shape=shape)

    @property
    def chips(self) -> int:
        """Number of chips."""
        return prod(self.shape)

    @property
    def chip(self) -> Chip:
        """What each is."""
        return CHIPS[self.kind]

    @property
    def name(self) -> str:
        """The topology as it is written."""
        return f"{self.kind}:{'x'.join(map(str, self.shape))}"

    def devices(self) -> tuple[list[Any], bool]:
        """Return the devices to compile for, and whether they are the real chips' description.

        Raises:
            UsageError: neither libtpu is installed nor are there as many CPU devices (`prepare_environment`).
        """
        import jax

        if has_libtpu():
            from jax.experimental import topologies

            description = topologies.get_topology_desc(platform="tpu", topology_name=self.name)
            return list(description.devices), True
        if jax.device_count() < self.chips:
            raise UsageError(
                f"topology {self.name}: expected libtpu, or {self.chips} virtual CPU devices, "
                f"got {jax.device_count()}. Run: pip install 'probe4d[tpu]'"
            )
        return jax.devices()[: self.chips], False


def has_libtpu() -> bool:
    """Return whether the TPU compiler is installed."""
    return importlib.util.find_spec("libtpu") is not None


def prepare_environment(topology: Topology) -> None:
    """Say to jax, before it starts, that it computes on the CPU and which chips it compiles for."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    if has_libtpu():
        os.environ |= {
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # no chip is touched, so another dry run may go on beside
            "TPU_SKIP_MDS_QUERY": "1",
            "TPU_WORKER_HOSTNAMES": "localhost",
            "TPU_ACCELERATOR_TYPE": topology.chip.accelerator.format(topology.chips),
        }
    else:
        flag = f"--xla_force_host_platform_device_count={topology.chips}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
