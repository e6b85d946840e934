"""The entry point: one runner."""

from __future__ import annotations

from collections.abc import Iterable

from probe4d.hookspecs import hookimpl
from probe4d.specs import RunnerSpec

PROBE4D_PLUGIN_API = 1

# Where there is no Slurm, the checks run jobs on this machine, by submitit's executor for that.
PROBE4D_CONFORMANCE = {"small": {"runners/slurm": {"options": {"cluster": "local", "workers": 2}}}}

RUNNERS = (
    RunnerSpec(
        name="slurm",
        target="probe4d_slurm.runner:SlurmRunner",
        summary="arrays of Slurm jobs, each a part of the plan",
        requires=("submitit>=1.5",),
        extra="probe4d[slurm]",
        tags=("cluster",),
    ),
)


@hookimpl
def probe4d_runners() -> Iterable[RunnerSpec]:
    """Return the runner."""
    return RUNNERS
