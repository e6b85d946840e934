"""The runners that need no engine."""

from __future__ import annotations

from probe4d.specs import RunnerSpec

RUNNERS = (
    RunnerSpec(
        name="local",
        target="probe4d_runners.local:LocalRunner",
        summary="worker processes on this machine",
        tags=("local",),
    ),
    RunnerSpec(
        name="hosts",
        target="probe4d_runners.hosts:HostsRunner",
        summary="finetuning with the devices of several hosts, by jax.distributed; see run --distributed",
        requires=("jax>=0.6",),
        extra="probe4d[jax]",
        tags=("cluster",),
    ),
)
