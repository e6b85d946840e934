"""What a record says of where its numbers come from: plugins, backbone, data, environment."""

from __future__ import annotations

import json
import platform
import sys
from typing import Any

import attrs

from probe4d import __version__
from probe4d.planning.sets import LIBRARIES, StoredSet, versions_of
from probe4d.planning.units import Sweep
from probe4d.registry import Entry, Registry

__all__ = ["context_of", "environment"]


def context_of(sweep: Sweep, registry: Registry) -> dict[str, Any]:
    """Return what belongs into the records of a sweep besides its numbers."""
    used = _used(sweep, registry)
    spec = sweep.backbone.spec
    return {
        "backbone": {
            "name": sweep.backbone.entry.name,
            "label": sweep.backbone.ref.label,
            "options": dict(sweep.backbone.ref.options),
            "params": spec.params,
            "modality": spec.modality,
            "licence": spec.licence,
            "weights": sweep.train.address.weights,
            "seed": sweep.backbone.ref.seed,
        },
        "data": {"train": _data(sweep.train, sweep.streamed), "evaluate": _data(sweep.evaluate, sweep.streamed)},
        "plugins": [_plugin(record, used) for record in registry.records if record.status == "ok"],
    }


def environment() -> dict[str, Any]:
    """Return Python, platform and the versions of what computes."""
    return {
        "probe4d": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "packages": versions_of((*LIBRARIES, "zarr", "flax", "optax")),
    }


def _used(sweep: Sweep, registry: Registry) -> set[str]:
    spec = sweep.task.spec
    entries: list[Entry] = [
        sweep.backbone.entry,
        sweep.task.entry,
        sweep.protocol.entry,
        registry.find("readouts", spec.readout),
        registry.find("kinds", spec.kind),
        *(registry.find("metrics", name) for name in spec.metrics),
        *(registry.find("datasets", ref.dataset) for ref in (spec.train, spec.evaluate)),
    ]
    return {entry.plugin for entry in entries}


def _data(stored: StoredSet, streamed: bool) -> dict[str, Any]:
    clips = stored.clips
    return {
        "dataset": clips.dataset,
        "split": clips.split,
        "version": clips.version,
        "options": clips.arguments()["data"]["options"],
        "clip": attrs.asdict(clips.sampling),
        "samples": clips.samples,
        "clips": len(clips.ids),
        "facts": json.loads(clips.facts),
        "views": 0 if streamed else len(clips.views),
        "features": None if streamed else stored.digest,
        # Where features of another platform were taken: by field what is here, and what made them.
        "adopted": {name: list(both) for name, both in stored.differs.items()} or None,
    }


def _plugin(record: Any, used: set[str]) -> dict[str, Any]:
    return {
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "module": record.module,
        "used": record.name in used,
    }
