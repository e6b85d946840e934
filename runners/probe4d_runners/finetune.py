"""The units of finetuning: each trains one member of the sweep and predicts; the last brings them together."""

from __future__ import annotations

import inspect
import json
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from attrs import frozen

from probe4d import VideoInput, load_backbone
from probe4d.atomic import write_json
from probe4d.contracts import Array, Arrays, Layer, TrainingTargets
from probe4d.errors import DataError, UsageError
from probe4d.paths import cache_dir
from probe4d.planning.provenance import environment
from probe4d.registry import find, load_target
from probe4d.store.batches import made_ahead
from probe4d_runners.finetuning.step import as_video
from probe4d_runners.finetuning.training import Finetuned, Model, finetune_member
from probe4d_runners.jax.processes import barrier, is_lead
from probe4d_runners.probe import task_readout
from probe4d_runners.probing.data import split_holdout
from probe4d_runners.probing.files import batch_samples, finite, write_with_digest
from probe4d_runners.probing.pixels import PixelStream
from probe4d_runners.probing.sweep import thinned
from probe4d_runners.protocols import FinetuneProtocol
from probe4d_runners.targets import training_targets

__all__ = ["collect", "finetune"]


def finetune(
    sets: Mapping[str, Mapping[str, Any]],
    backbone: str,
    task: Mapping[str, Any],
    protocol: Mapping[str, Any],
    member: Mapping[str, Any],
    output: str,
    unit: str,
) -> dict[str, Any]:
    """Train one member, write its predictions, and last `member.json`; goes on from its last checkpoint.

    Several processes that have joined (`jax.distributed`) carry it out together; process 0 writes.

    Args:
        sets: `train` and `evaluate`, each `{stream: …}` as `planning.units` writes them.
        backbone: its label.
        task, protocol: their fields.
        member: name, layer, learning rate and weight decay; see `FinetuneProtocol.members`.
        output: folder of what this member leaves.
        unit: id of this unit; its checkpoints lie under it.

    Raises:
        DataError: too many clips are broken, or a checkpoint is damaged.
        UsageError: the backbone cannot be trained, or the batch does not divide over the devices.
    """
    started = time.perf_counter()
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))
    settings = FinetuneProtocol(**protocol["settings"])
    stated = sets["train"]["stream"]["features"]["backbone"]
    model = _model(stated, task, settings, member["layer"])
    clips = _FinetuneClips.open(sets, find("backbones", stated["name"]).spec.input, settings)
    folder = Path(output)
    checkpoints = folder / "checkpoints" / unit
    trained = finetune_member(model, settings, member, clips.train, clips.rows, checkpoints)
    predicting = time.perf_counter()
    files = _predictions(trained, settings, training_targets(task["kind"]), clips, folder) if trained.sound else {}
    ended = time.perf_counter()
    barrier(unit)  # nobody is at the checkpoints any more
    if is_lead():
        write_json(
            folder / "member.json",
            {
                "unit": unit,
                "member": _with_outcome(member, trained),
                "files": files,
                "losses": _curve(trained),
                "left_out": {"train": dict(trained.left_out), "evaluate": clips.evaluate.left_out},
                "clips": clips.counts(),
                "timings": {"train": trained.seconds, "predict": ended - predicting, "whole": ended - started},
                "environment": environment(),
            },
        )
        shutil.rmtree(checkpoints.parent)
    return {
        "backbone": backbone,
        "member": member["name"],
        "diverged": not trained.sound,
        "resumed": trained.resumed,
        "seconds": ended - started,
    }


def collect(
    members: Sequence[Mapping[str, str]],
    backbone: str,
    task: Mapping[str, Any],
    protocol: Mapping[str, Any],
    output: str,
    unit: str,
) -> dict[str, Any]:
    """Write `sweep.json` of the members' own files, as the score unit takes it.

    Args:
        members: `output` and `unit` of each member's unit, in the order of the sweep.
        backbone, task, protocol: what they are of, for messages.

    Raises:
        DataError: a member is missing or another one, or every member diverged.
    """
    found = [_member(Path(one["output"]), one["unit"]) for one in members]
    if all(one["member"]["diverged"] for one in found):
        name = protocol["name"]
        raise DataError(f"{backbone} on {task['name']} under {name}: every member diverged; lower learning_rates.")
    first = next(one for one in found if not one["member"]["diverged"])
    timings = {name: sum(one["timings"][name] for one in found) for name in first["timings"]}
    targets = _in_folder(first, "targets")
    write_json(
        Path(output) / "sweep.json",
        {
            "unit": unit,
            "members": [
                {**one["member"], "files": {name: _in_folder(one, name) for name in ("evaluate", "holdout")}}
                for one in found
            ],
            "targets": {} if targets is None else {"holdout": targets},
            "losses": _curves(found),
            **{name: first[name] for name in ("left_out", "clips", "environment")},
            "timings": timings,
        },
    )
    return {"members": len(found), "sound": sum(not one["member"]["diverged"] for one in found)}


@frozen
class _FinetuneClips:
    """The clips of a member's unit.

    Attributes:
        rows: those of `train` that it is trained on.
        held: those that it is chosen on; None where it is chosen on `evaluate`.
    """

    train: PixelStream
    evaluate: PixelStream
    rows: Array
    held: Array | None

    @classmethod
    def open(
        cls, sets: Mapping[str, Mapping[str, Any]], wanted: VideoInput, settings: FinetuneProtocol
    ) -> _FinetuneClips:
        """Return them from `sets` as `finetune` has it, as videos that the backbone takes."""
        train, evaluate = (
            PixelStream.open(sets[split]["stream"], wanted, settings.max_broken) for split in ("train", "evaluate")
        )
        if settings.select_on != "holdout":
            return cls(train, evaluate, train.rows, None)
        return cls(train, evaluate, *split_holdout(train, settings.holdout, settings.seed))

    def counts(self) -> dict[str, int]:
        """Return how many clips there are of each."""
        held = 0 if self.held is None else len(self.held)
        return {"train": len(self.rows), "evaluate": len(self.evaluate.rows), "holdout": held}


def _predictions(
    trained: Finetuned, settings: FinetuneProtocol, made: TrainingTargets, clips: _FinetuneClips, folder: Path
) -> dict[str, dict[str, str]]:
    """Write what a member predicts, and what it is chosen against; return the files by name."""
    predictor = _Predictor(trained, settings, made)
    files = {"evaluate": predictor.write(clips.evaluate, clips.evaluate.rows, folder / "evaluate.npz")}
    if clips.held is not None:
        files["holdout"] = predictor.write(clips.train, clips.held, folder / "holdout.npz")
        files["targets"] = predictor.write_targets(clips.train, clips.held, folder / "holdout-targets.npz")
    return files


def _with_outcome(member: Mapping[str, Any], trained: Finetuned) -> dict[str, Any]:
    """Return the member with its loss over the last twentieth of the steps; None where it diverged."""
    tail = trained.losses[-max(1, len(trained.losses) // 20) :]
    return {**member, "final_loss": float(tail.mean()) if trained.sound else None, "diverged": not trained.sound}


def _curve(trained: Finetuned) -> dict[str, Any]:
    points, ends = thinned(trained.losses)
    return {"steps": ends, "values": finite(points)}


def _model(stated: Mapping[str, Any], task: Mapping[str, Any], settings: FinetuneProtocol, layer: Layer) -> Model:
    return Model(
        backbone=_trainable(stated, settings.dtype),
        readout=task_readout(task, settings),
        layer=layer,
        seed=int(stated["seed"]),
    )


def _trainable(stated: Mapping[str, Any], dtype: str) -> Any:
    """Return the backbone, made to compute in a dtype where it takes that option and nobody chose another."""
    entry = find("backbones", stated["name"])
    if not entry.spec.trainable:
        raise UsageError(f"{entry.name}: expected a backbone that can be trained, got one with frozen features only.")
    takes = inspect.signature(load_target(entry.spec.target, entry.name)).parameters
    return load_backbone(**({"dtype": dtype} if "dtype" in takes else {}) | dict(stated))


class _Predictor:
    """Writes what a trained member predicts, a batch at a time."""

    def __init__(self, trained: Finetuned, settings: FinetuneProtocol, made: TrainingTargets) -> None:
        self._params, self._predict = trained.params, trained.step.predictor()
        self._size, self._made = settings.eval_batch_size, made

    def write(self, clips: PixelStream, rows: Array, file: Path) -> dict[str, str]:
        """Write the predictions for these rows."""
        samples = self._predictions(clips, rows)
        if is_lead():
            return write_with_digest(file, samples, self._made.file_meta("predictions"))
        deque(samples, maxlen=0)  # each process has its part in every batch
        return {}

    def write_targets(self, clips: PixelStream, rows: Array, file: Path) -> dict[str, str]:
        """Write the targets of these rows."""
        if not is_lead():
            return {}
        batches = clips.ordered(rows, self._size)
        samples = (one for batch in batches for one in batch_samples(self._made, clips.ids(batch.rows), batch.targets))
        return write_with_digest(file, samples, self._made.file_meta("targets"))

    def _predictions(self, clips: PixelStream, rows: Array) -> Iterator[tuple[str, Arrays]]:
        for batch in made_ahead(clips.ordered(rows, self._size)):
            decoded = self._predict(self._params, as_video(batch.videos), dict(batch.targets))
            arrays = {name: np.asarray(value) for name, value in decoded.items()}
            yield from batch_samples(self._made, clips.ids(batch.rows), batch.targets, arrays)


def _member(folder: Path, unit: str) -> dict[str, Any]:
    file = folder / "member.json"
    if not file.is_file():
        raise DataError(f"{file}: expected what {unit} leaves, got none. Run the plan again.")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if found["unit"] != unit:
        raise DataError(f"{file}: expected the member of {unit}, got that of {found['unit']}. Run the plan again.")
    return found | {"folder": folder.name}


def _in_folder(member: Mapping[str, Any], name: str) -> dict[str, str] | None:
    """Return a file of a member relative to the sweep's folder."""
    stated = member["files"].get(name)
    return stated and {**stated, "file": f"{member['folder']}/{Path(stated['file']).name}"}


def _curves(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return losses `(points, layers, members of a layer)`; None where a member had ended before."""
    layers = list(dict.fromkeys(one["member"]["layer"] for one in members))
    steps = max((one["losses"]["steps"] for one in members), key=lambda ends: ends[-1])
    curves = [dict(zip(one["losses"]["steps"], one["losses"]["values"], strict=True)) for one in members]
    rates = len(members) // len(layers)
    values = [
        [[curves[place * rates + i].get(step) for i in range(rates)] for place in range(len(layers))] for step in steps
    ]
    return {"steps": steps, "values": values}
