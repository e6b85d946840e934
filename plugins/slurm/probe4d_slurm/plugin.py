"""The entry point: one runner."""

from __future__ import annotations

from collections.abc import Iterable

from probe4d.hookspecs import hookimpl
from probe4d.specs import RunnerSpec

PROBE4D_PLUGIN_API = 1

_NEEDS_SLURM = "it runs where `sbatch` is; its own tests run it by jobs on one machine"
PROBE4D_CONFORMANCE = {
    "expected_failed_checks": {
        "runners/slurm": {"each_unit_has_one_outcome": _NEEDS_SLURM, "each_unit_runs_once": _NEEDS_SLURM}
    }
}

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
