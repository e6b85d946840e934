"""probe4d: what a video backbone knows of the 4-D world.

What this package exports is imported when it is first used, so that `import probe4d` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probe4d.backbones import load_backbone
    from probe4d.evaluating import evaluate
    from probe4d.hookspecs import hookimpl
    from probe4d.scoring import score
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

_HOME = {
    "AggregateSpec": "probe4d.specs",
    "BackboneSpec": "probe4d.specs",
    "ClipSampling": "probe4d.specs",
    "CommandSpec": "probe4d.specs",
    "DataRef": "probe4d.specs",
    "DatasetSpec": "probe4d.specs",
    "KindSpec": "probe4d.specs",
    "MetricSpec": "probe4d.specs",
    "MetricValue": "probe4d.specs",
    "ProtocolSpec": "probe4d.specs",
    "ReadoutSpec": "probe4d.specs",
    "ReportPanelSpec": "probe4d.specs",
    "RunnerSpec": "probe4d.specs",
    "SuiteSpec": "probe4d.specs",
    "TaskSpec": "probe4d.specs",
    "TokenGrid": "probe4d.specs",
    "VideoInput": "probe4d.specs",
    "Weights": "probe4d.specs",
    "evaluate": "probe4d.evaluating",
    "hookimpl": "probe4d.hookspecs",
    "load_backbone": "probe4d.backbones",
    "score": "probe4d.scoring",
}

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
    "evaluate",
    "hookimpl",
    "load_backbone",
    "score",
]


def __getattr__(name: str) -> Any:
    """Import and return one of the public names."""
    if name not in _HOME:
        raise AttributeError(f"module 'probe4d' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
