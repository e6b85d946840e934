"""The plugin that the root distribution is: first-party specs through the public hooks."""

from __future__ import annotations

from probe4d import specs
from probe4d.builtin.aggregates_specs import AGGREGATES
from probe4d.builtin.commands_specs import COMMANDS
from probe4d.builtin.datasets import converted, movi, perception_test, re10k, scannet, ssv2, tapvid, waymo
from probe4d.builtin.kinds_specs import KINDS
from probe4d.builtin.metrics_specs import METRICS
from probe4d.builtin.own_data_specs import DATASETS as OWN_DATA
from probe4d.builtin.own_data_tasks import TASKS as OWN_TASKS
from probe4d.builtin.playroom_specs import DATASETS as PLAYROOM
from probe4d.builtin.playroom_tasks import TASKS
from probe4d.builtin.protocols_specs import PROTOCOLS
from probe4d.builtin.runners_specs import RUNNERS
from probe4d.builtin.suites_specs import SUITES
from probe4d.builtin.tasks_4d import TASKS as TASKS_4D
from probe4d.hookspecs import hookimpl

# A group of one host joins with nobody, so any address will do.
PROBE4D_CONFORMANCE = {"small": {"runners/hosts": {"options": {"join": "localhost:0,0/1", "workers": 2}}}}


@hookimpl
def probe4d_datasets() -> tuple[specs.DatasetSpec, ...]:
    """Return the embedded benchmark, what reads the user's own files, and the published datasets."""
    published = (converted, ssv2, re10k, perception_test, movi, tapvid, scannet, waymo)
    return (*PLAYROOM, *OWN_DATA, *(spec for module in published for spec in module.DATASETS))


@hookimpl
def probe4d_tasks() -> tuple[specs.TaskSpec, ...]:
    """Return the five tasks, on the embedded benchmark and on the paper's data, and one on your own videos."""
    return (*TASKS, *TASKS_4D, *OWN_TASKS)


@hookimpl
def probe4d_protocols() -> tuple[specs.ProtocolSpec, ...]:
    """Return the frozen protocols."""
    return PROTOCOLS


@hookimpl
def probe4d_metrics() -> tuple[specs.MetricSpec, ...]:
    """Return the five metrics."""
    return METRICS


@hookimpl
def probe4d_kinds() -> tuple[specs.KindSpec, ...]:
    """Return the five prediction kinds."""
    return KINDS


@hookimpl
def probe4d_aggregates() -> tuple[specs.AggregateSpec, ...]:
    """Return the aggregates of a results table."""
    return AGGREGATES


@hookimpl
def probe4d_runners() -> tuple[specs.RunnerSpec, ...]:
    """Return the local runner."""
    return RUNNERS


@hookimpl
def probe4d_suites() -> tuple[specs.SuiteSpec, ...]:
    """Return the suites on the embedded benchmark, and the paper's."""
    return SUITES


@hookimpl
def probe4d_commands() -> tuple[specs.CommandSpec, ...]:
    """Return the built-in commands."""
    return COMMANDS
