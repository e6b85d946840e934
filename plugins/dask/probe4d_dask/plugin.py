"""The entry point: one runner."""

from __future__ import annotations

from collections.abc import Iterable

from probe4d.hookspecs import hookimpl
from probe4d.specs import RunnerSpec

PROBE4D_PLUGIN_API = 1

RUNNERS = (
    RunnerSpec(
        name="dask",
        target="probe4d_dask.runner:DaskRunner",
        summary="a Dask cluster: one of its own on this machine, or any that is there",
        requires=("distributed>=2024.8",),
        extra="probe4d[dask]",
        tags=("cluster",),
    ),
)


@hookimpl
def probe4d_runners() -> Iterable[RunnerSpec]:
    """Return the runner."""
    return RUNNERS
