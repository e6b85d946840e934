"""Resolves a suite into what will be computed, before anything is."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.aggregating import check_aggregates
from probe4d.contracts import Unit
from probe4d.planning.adoption import Stored
from probe4d.planning.costs import (
    encode_seconds,
    extract_seconds,
    finetune_seconds,
    measured_flops,
    readout_seconds,
    set_bytes,
)
from probe4d.planning.expected import Blocked, Expected, blocked_cell, expected_sets
from probe4d.planning.finding import Sweeper, chosen_problems, find_sweeps, names_of
from probe4d.planning.preflight import Problem, problems_of
from probe4d.planning.provenance import context_of
from probe4d.planning.resolve import select
from probe4d.planning.sets import StoredSet
from probe4d.planning.units import Sweep, extract_units, finetune_units, is_done, probe_unit, score_unit
from probe4d.records import RunFolder
from probe4d.registry import Registry
from probe4d.registry import registry as loaded_registry
from probe4d.store import FeatureStore, default_root
from probe4d.store.errors import NotExtractedError
from probe4d.store.files import join
from probe4d.suites import Suite

__all__ = ["ONLY", "Plan", "make_plan"]

ONLY = ("extract", "probe")  # what a plan may be restricted to: one environment extracts, another one probes


@frozen(kw_only=True)
class Plan:
    """What a suite comes to.

    Attributes:
        sweeps: what can run; `blocked` what cannot, `problems` why.
        units: all of it, in an order that needs allow; `todo` those whose result is not there yet.
        root: of the feature store.
        expected: features of what cannot run yet, by published sizes.
        only: what it is restricted to, one of `ONLY`.
    """

    suite: Suite
    run: RunFolder
    root: str
    sweeps: tuple[Sweep, ...] = field(repr=False)
    units: tuple[Unit, ...] = field(repr=False)
    todo: tuple[Unit, ...] = field(repr=False)
    problems: tuple[Problem, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    expected: tuple[Expected, ...] = ()
    only: str | None = None

    @property
    def sets(self) -> tuple[StoredSet, ...]:
        """The stored sets, each once."""
        return tuple({stored.digest: stored for sweep in self.sweeps for stored in sweep.sets}.values())

    @property
    def adopted(self) -> tuple[StoredSet, ...]:
        """The sets of features that were extracted on another platform."""
        return tuple(stored for stored in self.sets if stored.here is not None)

    @property
    def bytes(self) -> int:
        """Bytes of features and targets when all is extracted."""
        return sum(set_bytes(stored) for stored in self.sets)

    def bytes_todo(self) -> int:
        """Bytes of features and targets that are still to be written."""
        shards, left = (Counter(unit.arguments.get("store") for unit in units) for units in (self.units, self.todo))
        urls = {stored.digest: join(self.root, stored.digest) for stored in self.sets}
        return sum(set_bytes(one) * left[urls[one.digest]] // shards[urls[one.digest]] for one in self.sets)

    def free_bytes(self) -> int | None:
        """Return the free bytes of the disk that the store is on; None where that is not this machine's."""
        if "://" in self.root:
            return None
        path = Path(self.root)
        existing = next(parent for parent in (path, *path.parents) if parent.exists())
        return shutil.disk_usage(existing).free

    def look_again(self) -> tuple[Unit, ...]:
        """Return the units whose result is not there now: others may have carried some out meanwhile."""
        return _todo(self.units, self.sweeps, self.root, self.run)

    def to_json(self) -> dict[str, Any]:
        """Return cells, sets, units and what is missing, as plain JSON values."""
        trainings = [_training_json(sweep) for sweep in self.sweeps]
        return {
            "schema": "probe4d/plan/1",
            "suite": self.suite.name,
            "cells": [attrs.asdict(cell) for sweep in self.sweeps for cell in sweep.cells],
            "blocked": [cell._asdict() for cell in self.blocked],
            "problems": [attrs.asdict(problem) for problem in self.problems],
            "sets": [_set_json(stored) for stored in self.sets],
            "expected": [attrs.asdict(one) for one in self.expected],
            "trainings": trainings,
            "units": {"total": len(self.units), "done": len(self.units) - len(self.todo), "todo": len(self.todo)},
            "bytes": self.bytes,
            "bytes_todo": self.bytes_todo(),
            "free_bytes": self.free_bytes(),
            "flops": measured_flops(),
            "seconds": {
                "extract": sum(extract_seconds(stored) for stored in self.sets),
                "stream": sum(_stream_seconds(one) for one in self.sweeps if one.streamed and not one.finetuned),
                "readouts": sum(one["readout_seconds"] or 0.0 for one in trainings),
                "finetune": sum(_finetune_seconds(sweep) for sweep in self.sweeps if sweep.finetuned),
            },
        }


def _stream_seconds(sweep: Sweep) -> float:
    """Return the estimated seconds of encoding what a sweep trains and is evaluated on."""
    clips = sweep.protocol.settings.examples() + len(sweep.evaluate.clips.ids)
    return encode_seconds(sweep.backbone.spec, clips)


def _finetune_seconds(sweep: Sweep) -> float:
    """Return the estimated seconds of training all members of a sweep."""
    settings, evaluated = sweep.protocol.settings, len(sweep.evaluate.clips.ids)
    members = len(settings.members(sweep.layers))
    return finetune_seconds(sweep.backbone.spec, settings.examples(), evaluated, members)


def _readout_seconds(sweep: Sweep) -> float | None:
    """Return the estimated seconds of training all readouts of a sweep; None where nobody says what they compute."""
    settings = sweep.protocol.settings
    members, evaluated = len(settings.learning_rates) * len(sweep.layers), len(sweep.evaluate.clips.ids)
    return readout_seconds(sweep.task.spec, settings, sweep.backbone.spec.tokens, evaluated, members)


def _training_json(sweep: Sweep) -> dict[str, Any]:
    return {
        "backbone": sweep.backbone.ref.label,
        "task": sweep.task.name,
        "protocol": sweep.protocol.name,
        "mode": sweep.protocol.spec.mode,
        "examples": sweep.protocol.settings.examples(),
        "evaluated": len(sweep.evaluate.clips.ids),
        "readout_seconds": None if sweep.finetuned else _readout_seconds(sweep),
    }


def _set_json(stored: StoredSet) -> dict[str, Any]:
    clips = stored.clips
    return {
        "digest": stored.digest,
        "backbone": stored.backbone.ref.label if stored.backbone else None,
        "dataset": clips.dataset,
        "split": clips.split,
        "samples": clips.samples,
        "clips": len(clips.ids),
        "views": len(clips.views),
        "layers": list(stored.layers),
        "kinds": list(stored.kinds),
        "bytes": set_bytes(stored),
        "seconds": extract_seconds(stored),
        "adopted": {name: list(both) for name, both in stored.differs.items()} or None,
    }


def make_plan(
    suite: Suite,
    run: RunFolder,
    *,
    backbones: Sequence[str | Mapping[str, Any]] = (),
    roots: Mapping[str, str] | None = None,
    store: str | None = None,
    limit: int | None = None,
    registry: Registry | None = None,
    only: str | None = None,
) -> Plan:
    """Return the plan of a suite.

    A backbone whose packages are not installed is planned all the same where its features are stored: those of
    another platform are taken, and the plan's sets and the records say so.

    Args:
        run: where records go.
        backbones: more than the suite's own.
        roots: by dataset, where its data lie.
        store: root of the feature store, any fsspec URL.
        limit: of samples per split.
        only: one of `ONLY`: `extract` fills the store and needs nothing that trains; `probe` extracts no features,
            and takes those of any platform.

    Raises:
        UsageError: a name, a field, or a dataset of `roots` is unknown.
        NothingSelectedError: nothing is selected.
    """
    known = registry or loaded_registry()
    for name in roots or {}:
        known.find("datasets", name)
    chosen = select(suite, known, backbones)
    labels = [backbone.ref.label for backbone in chosen.backbones]
    check_aggregates(suite.aggregates, labels, [task.name for task in chosen.tasks], known)
    root = store or default_root()
    problems = chosen_problems(chosen, suite, known, roots or {}, trains=only != "extract")
    sweeper = Sweeper(suite, known, roots or {}, limit)
    found = find_sweeps(chosen, sweeper, problems, Stored(root), extracts=only != "probe")
    units = _units(found.sweeps, root, run, known, only)
    return Plan(
        suite=suite,
        run=run,
        root=root,
        sweeps=found.sweeps,
        units=tuple(units),
        todo=_todo(units, found.sweeps, root, run),
        problems=found.problems,
        blocked=tuple(
            blocked_cell(one, problems_of(found.problems, names_of(*one)), suite, known, limit) for one in found.blocked
        ),
        expected=expected_sets(found.blocked, suite, known, limit),
        only=only,
    )


def _units(sweeps: Sequence[Sweep], root: str, run: RunFolder, registry: Registry, only: str | None) -> list[Unit]:
    extracts: dict[str, list[Unit]] = {}
    later: list[Unit] = []
    for sweep in sweeps:
        for stored in sweep.sets:
            if stored.digest not in extracts:
                settings = sweep.protocol.settings
                made = extract_units(stored, root, settings.extract_batch_size, settings.max_broken)
                extracts[stored.digest] = made
        if only == "extract":
            continue
        needs = [unit for stored in sweep.sets for unit in extracts[stored.digest]]
        trained = finetune_units(sweep, run, needs) if sweep.finetuned else [probe_unit(sweep, root, run, needs)]
        later += [*trained, score_unit(sweep, trained[-1], root, run, context_of(sweep, registry))]
    return [*(unit for units in extracts.values() for unit in units), *later]


def _todo(units: Sequence[Unit], sweeps: Sequence[Sweep], root: str, run: RunFolder) -> tuple[Unit, ...]:
    missing = _missing_shards(sweeps, root)
    return tuple(unit for unit in units if not is_done(unit, run, missing))


def _missing_shards(sweeps: Sequence[Sweep], root: str) -> dict[str, Container[int]]:
    """Return by store URL the shards that have no whole receipt."""
    missing: dict[str, Container[int]] = {}
    for stored in {stored.digest: stored for sweep in sweeps for stored in sweep.sets}.values():
        url = join(root, stored.digest)
        try:
            missing[url] = frozenset(FeatureStore.open(url, stored.address, stamp=False).missing())
        except NotExtractedError:
            missing[url] = range(stored.rows)
    return missing
