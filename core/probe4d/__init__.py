"""probe4d: what a video backbone knows of the 4-D world."""

from __future__ import annotations

from probe4d.hookspecs import hookimpl
from probe4d.specs import (
    AggregateSpec,
    BackboneSpec,
    ClipSampling,
    CommandSpec,
    DataRef,
    DatasetSpec,
    KindSpec,
    MetricSpec,
    MetricValue,
    ProtocolSpec,
    ReadoutSpec,
    ReportPanelSpec,
    RunnerSpec,
    SuiteSpec,
    TaskSpec,
    TokenGrid,
    VideoInput,
    Weights,
)

__version__ = "0.1.0"

__all__ = [
    "AggregateSpec",
    "BackboneSpec",
    "ClipSampling",
    "CommandSpec",
    "DataRef",
    "DatasetSpec",
    "KindSpec",
    "MetricSpec",
    "MetricValue",
    "ProtocolSpec",
    "ReadoutSpec",
    "ReportPanelSpec",
    "RunnerSpec",
    "SuiteSpec",
    "TaskSpec",
    "TokenGrid",
    "VideoInput",
    "Weights",
    "__version__",
    "hookimpl",
]
