"""A plan as its run's folder keeps it: which units there are and where each leaves its result."""

from __future__ import annotations

import os
from typing import Any

import attrs

from probe4d.planning.costs import set_bytes
from probe4d.planning.plan import Plan
from probe4d.planning.sets import StoredSet
from probe4d.planning.units import EXTRACT, FINETUNE
from probe4d.records import OUTLINE_SCHEMA
from probe4d.store.files import join

__all__ = ["outline"]


def outline(plan: Plan) -> dict[str, Any]:
    """Return sets with a unit per shard, and sweeps with the units that train and score them, as plain JSON.

    Another process tells from it and the store what is done, without the suite, its plugins or its data.
    """
    shards: dict[str, list[str]] = {}
    sweeps: list[dict[str, Any]] = []
    folders = iter(plan.sweeps)
    for unit in plan.units:
        if unit.target == EXTRACT:
            shards.setdefault(unit.arguments["store"], []).append(unit.id)
        elif unit.target == FINETUNE:
            continue  # a member; what brings them together stands for the sweep
        elif "probe" in unit.arguments:
            sweeps[-1]["score"] = unit.id
        else:
            sweep = next(folders)
            cells = [attrs.asdict(cell) for cell in sweep.cells]
            what = f"{sweep.backbone.ref.label} on {sweep.task.name} ({sweep.protocol.name})"
            sweeps.append({"what": what, "folder": sweep.folder, "train": unit.id, "cells": cells})
    return {
        "schema": OUTLINE_SCHEMA,
        "suite": plan.suite.name,
        "store": plan.root if "://" in plan.root else os.path.abspath(plan.root),
        "sets": [
            {
                "digest": one.digest,
                "what": _what(one),
                "bytes": set_bytes(one),
                "units": shards[join(plan.root, one.digest)],
            }
            for one in plan.sets
        ],
        "sweeps": sweeps,
    }


def _what(stored: StoredSet) -> str:
    whose = stored.backbone.ref.label if stored.backbone else f"targets ({', '.join(stored.kinds)})"
    return f"{whose} of {stored.clips.dataset}:{stored.clips.split}"
