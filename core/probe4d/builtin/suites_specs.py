"""The suites of the root distribution."""

from __future__ import annotations

from probe4d.specs import SuiteSpec

SUITES = (
    SuiteSpec(
        name="4d",
        resource="probe4d.builtin:suites/4d.toml",
        summary="the paper's five tasks on their own data, frozen protocol; needs the datasets",
        tags=("paper",),
    ),
    SuiteSpec(
        name="paper",
        resource="probe4d.builtin:suites/paper.toml",
        summary="Tables 2, 3 and 7 of the paper: 18 models x 5 tasks, frozen and finetuned; needs data and weights",
        tags=("paper",),
    ),
    SuiteSpec(
        name="playroom",
        resource="probe4d.builtin:suites/playroom.toml",
        summary="five 4-D tasks on the embedded benchmark, the paper's frozen protocol",
    ),
    SuiteSpec(
        name="playroom-quick",
        resource="probe4d.builtin:suites/playroom-quick.toml",
        summary="the same five tasks in minutes on two cores",
    ),
    SuiteSpec(
        name="playroom-small",
        resource="probe4d.builtin:suites/playroom-small.toml",
        summary="the same five tasks on small frames, with more clips and steps than the quick suite",
    ),
)
