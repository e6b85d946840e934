"""The hooks of probe4d: what a plugin may implement. Each returns specs, never classes.

A plugin is a light module behind an entry point of the group `probe4d`:

    # pyproject.toml
    [project.entry-points.probe4d]
    mine = "probe4d_mine.plugin"

    # probe4d_mine/plugin.py
    from probe4d import BackboneSpec, hookimpl

    @hookimpl
    def probe4d_backbones():
        return [BackboneSpec(name="tiny", target="probe4d_mine.model:load", …)]

The module must import neither numpy, zarr, jax nor torch. `PROBE4D_PLUGIN_API = 1` in it names
the hook API that it was written for; absent, it means 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from probe4d import specs

PROJECT = "probe4d"
API_VERSIONS = (1, 1)  # oldest and newest PROBE4D_PLUGIN_API that this core serves

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def probe4d_backbones() -> Iterable[specs.BackboneSpec]:  # type: ignore[empty-body]
    """Return the backbones that the plugin provides."""


@hookspec
def probe4d_datasets() -> Iterable[specs.DatasetSpec]:  # type: ignore[empty-body]
    """Return the datasets that the plugin can read or make."""


@hookspec
def probe4d_tasks() -> Iterable[specs.TaskSpec]:  # type: ignore[empty-body]
    """Return the tasks: data, readout and metrics that belong together."""


@hookspec
def probe4d_readouts() -> Iterable[specs.ReadoutSpec]:  # type: ignore[empty-body]
    """Return the readouts: features (and queries) to predictions."""


@hookspec
def probe4d_metrics() -> Iterable[specs.MetricSpec]:  # type: ignore[empty-body]
    """Return the metrics, each of one kind."""


@hookspec
def probe4d_kinds() -> Iterable[specs.KindSpec]:  # type: ignore[empty-body]
    """Return the prediction kinds: the schemas that `probe4d score` reads."""


@hookspec
def probe4d_protocols() -> Iterable[specs.ProtocolSpec]:  # type: ignore[empty-body]
    """Return the protocols: how a backbone is evaluated."""


@hookspec
def probe4d_aggregates() -> Iterable[specs.AggregateSpec]:  # type: ignore[empty-body]
    """Return the aggregates: functions of a whole results table."""


@hookspec
def probe4d_runners() -> Iterable[specs.RunnerSpec]:  # type: ignore[empty-body]
    """Return the runners: what carries out the units of a plan."""


@hookspec
def probe4d_suites() -> Iterable[specs.SuiteSpec]:  # type: ignore[empty-body]
    """Return the suites that the plugin ships as TOML files."""


@hookspec
def probe4d_report_panels() -> Iterable[specs.ReportPanelSpec]:  # type: ignore[empty-body]
    """Return the panels that the plugin adds to the report."""


@hookspec
def probe4d_commands() -> Iterable[specs.CommandSpec]:  # type: ignore[empty-body]
    """Return commands that the plugin adds to `probe4d`."""


@hookspec
def probe4d_on_record(record: Mapping[str, Any]) -> None:
    """Called with each record once it is written; for logging and tracking.

    Args:
        record: the record as plain JSON values. An error here is reported and changes nothing.
    """
