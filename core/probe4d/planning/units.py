"""The units of a plan: extract a shard, train a sweep, finetune a member, score cells. Their ids are their content."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from probe4d.cells import Cell, escape
from probe4d.contracts import Layer, Unit
from probe4d.planning.resolve import Backbone, Protocol, Task
from probe4d.planning.sets import StoredSet
from probe4d.records import RunFolder
from probe4d.store.files import join

__all__ = [
    "COLLECT",
    "EXTRACT",
    "FINETUNE",
    "PROBE",
    "SCORE",
    "Sweep",
    "extract_units",
    "finetune_units",
    "is_done",
    "probe_done",
    "probe_unit",
    "score_done",
    "score_unit",
]

EXTRACT = "probe4d_runners.extract:extract_shard"
PROBE = "probe4d_runners.probe:probe"
FINETUNE = "probe4d_runners.finetune:finetune"
COLLECT = "probe4d_runners.finetune:collect"
SCORE = "probe4d_runners.score:score_cells"
ROWS_PER_SHARD = 64
DIGITS = 20  # of a unit's id


@frozen(kw_only=True)
class Sweep:
    """What is trained at once: a backbone on a task under a protocol, at all layers asked for.

    Attributes:
        train, evaluate: features; `train_targets`, `evaluate_targets` what belongs to them.
    """

    backbone: Backbone
    task: Task
    protocol: Protocol
    layers: tuple[Layer, ...]
    train: StoredSet
    evaluate: StoredSet
    train_targets: StoredSet
    evaluate_targets: StoredSet

    @property
    def streamed(self) -> bool:
        """Whether features are computed as they are needed, and none are stored."""
        return bool(self.protocol.settings.views == 0)

    @property
    def finetuned(self) -> bool:
        """Whether the backbone is trained too."""
        return self.protocol.spec.mode == "finetune"

    @property
    def sets(self) -> tuple[StoredSet, ...]:
        """The sets that are stored: all four, or but the targets that are scored where features are streamed."""
        if self.streamed:
            return (self.evaluate_targets,)
        return (self.train, self.evaluate, self.train_targets, self.evaluate_targets)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One cell per layer."""
        label, task, protocol = self.backbone.ref.label, self.task.name, self.protocol.name
        return tuple(Cell(backbone=label, task=task, protocol=protocol, layer=layer) for layer in self.layers)

    @property
    def folder(self) -> str:
        """Name of the folder of what the training leaves."""
        return escape("~".join((self.backbone.ref.label, self.task.name, self.protocol.name)))


def samples_per_shard(views: int) -> int:
    """Return how many clips make a shard of about 64 rows."""
    return max(1, ROWS_PER_SHARD // views)


def extract_units(stored: StoredSet, root: str, batch: int, max_broken: float) -> list[Unit]:
    """Return a unit per shard of a set.

    Args:
        root: of the feature store, any fsspec URL.
        batch: clips of one call of the backbone.
        max_broken: fraction of the samples that may be left out.
    """
    views = len(stored.clips.views)
    step = samples_per_shard(views)
    arguments: dict[str, Any] = {
        "store": join(root, stored.digest),
        "address": stored.address.to_json(),
        "samples": stored.clips.samples,
        "samples_per_shard": step,
        "max_broken": max_broken,
        "clips": stored.clips.arguments(),
        "rows": _rows(stored, batch),
    }
    shards = math.ceil(len(stored.clips.ids) / step)
    return list(_numbered(arguments, shards))


def _numbered(arguments: Mapping[str, Any], shards: int) -> Iterator[Unit]:
    """Yield units that differ in `shard` alone: what they share is written, and held in memory, once."""
    place = uuid.uuid4().hex
    before, _, after = _text(EXTRACT, {**arguments, "shard": place}).partition(f'"{place}"')
    shared = json.loads(_text(EXTRACT, arguments))[1]
    begun = hashlib.sha256(before.encode())
    for shard in range(shards):
        digest = begun.copy()
        digest.update(f"{shard}{after}".encode())
        unit_id = f"extract-{digest.hexdigest()[:DIGITS]}"
        yield Unit(id=unit_id, target=EXTRACT, arguments={**shared, "shard": shard}, needs=())


def _rows(stored: StoredSet, batch: int) -> dict[str, Any]:
    """Return what clips become: features of a backbone, or targets."""
    if stored.backbone is None:
        return {"kinds": list(stored.kinds), "target_settings": dict(stored.target_settings)}
    return {"backbone": stored.backbone.ref.arguments(), "layers": list(stored.layers), "batch_size": batch}


def probe_unit(sweep: Sweep, root: str, run: RunFolder, needs: Iterable[Unit]) -> Unit:
    """Return the unit that trains a sweep and predicts the evaluation split."""
    names = ("train", "evaluate", "train_targets", "evaluate_targets")
    stored = {name: getattr(sweep, name) for name in names if getattr(sweep, name) in sweep.sets}
    sets = {name: _stored(one, root) for name, one in stored.items()}
    if sweep.streamed:
        sets["train"] = {"stream": _stream(sweep, sweep.train, sweep.train_targets)}
        sets["evaluate"] = {"stream": _stream(sweep, sweep.evaluate, sweep.evaluate_targets)}
    arguments = {
        "sets": sets,
        **_what(sweep),
        "output": str(run.path / "sweeps" / sweep.folder),
    }
    return _unit("probe", PROBE, arguments, needs)


def finetune_units(sweep: Sweep, run: RunFolder, needs: Iterable[Unit]) -> list[Unit]:
    """Return a unit per member of the sweep, and last the one that brings together what they leave."""
    what, output, before = _what(sweep), run.path / "sweeps" / sweep.folder, tuple(needs)
    shared = {
        "sets": {
            "train": {"stream": _stream(sweep, sweep.train, sweep.train_targets)},
            "evaluate": {"stream": _stream(sweep, sweep.evaluate, sweep.evaluate_targets)},
        },
        **{name: what[name] for name in ("backbone", "task", "protocol")},
    }
    members = [
        _unit("finetune", FINETUNE, {**shared, "member": one, "output": str(output / one["name"])}, before)
        for one in sweep.protocol.settings.members(sweep.layers)
    ]
    collected = {
        "members": [{"output": unit.arguments["output"], "unit": unit.id} for unit in members],
        **{name: what[name] for name in ("backbone", "task", "protocol")},
        "output": str(output),
    }
    return [*members, _unit("collect", COLLECT, collected, members)]


def _stored(one: StoredSet, root: str) -> dict[str, Any]:
    return {"url": join(root, one.digest), "address": one.address.to_json()}


def _stream(sweep: Sweep, features: StoredSet, targets: StoredSet) -> dict[str, Any]:
    """Return what makes the rows of a split that is not stored. Its address is there to tell it from others."""
    return {
        "address": features.address.to_json(),
        "samples": features.clips.samples,
        "clips": features.clips.arguments(),
        "features": _rows(features, sweep.protocol.settings.extract_batch_size),
        "dtype": features.dtype,
        "kind": targets.kinds[0],
        "target_settings": dict(targets.target_settings),
    }


def score_unit(sweep: Sweep, probe: Unit, root: str, run: RunFolder, context: Mapping[str, Any]) -> Unit:
    """Return the unit that scores a sweep's predictions and writes the records of its cells.

    Args:
        probe: the unit that leaves the sweep.
        root: of the feature store.
        context: what else belongs into the records: provenance of plugins, the backbone's facts, data.
    """
    arguments = {
        "run": str(run.path),
        "sweep": probe.arguments["output"],
        "probe": probe.id,
        "sets": {"evaluate_targets": _stored(sweep.evaluate_targets, root)},
        **_what(sweep),
        "context": dict(context),
    }
    return _unit("score", SCORE, arguments, [probe])


def _what(sweep: Sweep) -> dict[str, Any]:
    return {
        "backbone": sweep.backbone.ref.label,
        "task": {**_plain(attrs.asdict(sweep.task.spec)), "name": sweep.task.name},
        "protocol": {"name": sweep.protocol.name, "settings": _plain(attrs.asdict(sweep.protocol.settings))},
        "layers": list(sweep.layers),
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _unit(name: str, target: str, arguments: Mapping[str, Any], needs: Iterable[Unit] = ()) -> Unit:
    text = _text(target, arguments)
    unit_id = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"
    needed = tuple(unit.id for unit in needs)
    # Its own id is what proves later that a result is this unit's.
    return Unit(id=unit_id, target=target, arguments={**json.loads(text)[1], "unit": unit_id}, needs=needed)


def _text(target: str, arguments: Mapping[str, Any]) -> str:
    """Return what a unit's id is the digest of."""
    return json.dumps([target, arguments], sort_keys=True, separators=(",", ":"), allow_nan=False)


def is_done(unit: Unit, run: RunFolder, missing_shards: Mapping[str, Container[int]]) -> bool:
    """Say whether a unit's result is there, whole.

    Args:
        missing_shards: by store URL, the shards without a receipt.
    """
    arguments = unit.arguments
    if unit.target == EXTRACT:
        return arguments["shard"] not in missing_shards[arguments["store"]]
    if unit.target == FINETUNE:
        return probe_done(Path(arguments["output"]), unit.id, "member.json")
    if unit.target in (PROBE, COLLECT):
        return probe_done(Path(arguments["output"]), unit.id)
    task, protocol = arguments["task"]["name"], arguments["protocol"]["name"]
    cells = [
        Cell(backbone=arguments["backbone"], task=task, protocol=protocol, layer=layer) for layer in arguments["layers"]
    ]
    return score_done(run, cells, unit.id)


def probe_done(output: Path, unit: str, name: str = "sweep.json") -> bool:
    """Say whether a unit that trains has left its result in a folder."""
    file = output / name
    return file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("unit") == unit


def score_done(run: RunFolder, cells: Iterable[Cell], unit: str) -> bool:
    """Say whether every cell has the record that a unit wrote."""
    records = [run.read_record(cell) for cell in cells]
    return all(record is not None and record.content.get("unit") == unit for record in records)
