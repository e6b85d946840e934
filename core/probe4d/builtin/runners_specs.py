"""The runner that needs nothing but this machine."""

from __future__ import annotations

from probe4d.specs import RunnerSpec

RUNNERS = (
    RunnerSpec(
        name="local",
        target="probe4d_runners.local:LocalRunner",
        summary="worker processes on this machine",
        tags=("local",),
    ),
)
