"""The unit that trains a sweep on stored features and predicts the evaluation split."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probe4d.atomic import sha256_of, write_json
from probe4d.contracts import Array, Arrays, Layer, Readout, TrainingTargets
from probe4d.errors import DataError
from probe4d.paths import cache_dir
from probe4d.planning.provenance import environment
from probe4d.registry import find, make
from probe4d_runners.probing.data import Clips, open_clips, split_holdout
from probe4d_runners.probing.files import write_samples
from probe4d_runners.probing.sweep import Member, SweepTraining, train_sweep
from probe4d_runners.protocols import FrozenProtocol
from probe4d_runners.targets import training_targets

__all__ = ["probe"]


def probe(
    sets: Mapping[str, Mapping[str, Any]],
    backbone: str,
    task: Mapping[str, Any],
    protocol: Mapping[str, Any],
    layers: Sequence[Layer],
    output: str,
    unit: str,
) -> dict[str, Any]:
    """Train every member of the sweep, write their predictions, and last `sweep.json`.

    Args:
        sets: `train`, `evaluate`, `train_targets`, `evaluate_targets`, each `{url, address}`.
        task, protocol: their fields, as `planning.units` writes them.
        output: folder of the predictions.
        unit: id of this unit, by which a later run knows that it is done.

    Raises:
        DataError: no clip is left to train or to evaluate on, or every member diverged.
    """
    started = time.perf_counter()
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))
    settings = FrozenProtocol(**protocol["settings"])
    train = open_clips(sets["train"], sets["train_targets"], settings.max_broken)
    evaluate = open_clips(sets["evaluate"], sets["evaluate_targets"], settings.max_broken)
    readout = _readout(task, settings)
    rows, held = train.rows, None
    if settings.select_on == "holdout":
        rows, held = split_holdout(train, settings.holdout, settings.seed)
    chosen = tuple(layers)
    trained = train_sweep(readout, settings, train.training(settings, chosen, rows))
    members = [Member(layer=layer, learning_rate=rate) for layer in chosen for rate in settings.learning_rates]
    finals = trained.final_losses.reshape(-1)
    sound = [bool(np.isfinite(loss)) for loss in finals]
    if not any(sound):
        raise DataError(f"{backbone} on {task['name']}: every member diverged; the last losses are {finals.tolist()}.")
    folder = Path(output)
    predicting = time.perf_counter()
    splits = {"evaluate": (evaluate, evaluate.rows)} | ({"holdout": (train, held)} if held is not None else {})
    files = {
        split: _predict(readout, trained, members, sound, settings, task, clips, part, folder / split)
        for split, (clips, part) in splits.items()
    }
    ended = time.perf_counter()
    write_json(
        folder / "sweep.json",
        {
            "unit": unit,
            "members": [
                {
                    "name": member.name,
                    "layer": member.layer,
                    "learning_rate": member.learning_rate,
                    "weight_decay": settings.weight_decay,
                    "final_loss": float(loss) if good else None,
                    "diverged": not good,
                    "files": {split: found.get(member.name) for split, found in files.items()},
                }
                for member, loss, good in zip(members, finals, sound, strict=True)
            ],
            "losses": {"steps": list(trained.steps), "values": _finite(trained.losses)},
            "left_out": {"train": train.left_out, "evaluate": evaluate.left_out},
            "clips": {"train": len(rows), "evaluate": len(evaluate.rows), "holdout": 0 if held is None else len(held)},
            "timings": {
                "train": trained.seconds,
                "compile": trained.compile_seconds,
                "predict": ended - predicting,
                "whole": ended - started,
            },
            "environment": environment(),
        },
    )
    return {"members": len(members), "diverged": sound.count(False), "seconds": ended - started}


def _readout(task: Mapping[str, Any], protocol: FrozenProtocol) -> Readout:
    """Return the task's readout, sized by the protocol as far as it may be."""
    entry = find("readouts", task["readout"])
    sized = {name: value for name, value in protocol.readout.items() if name in entry.spec.sizes}
    made: Readout = make(entry, **{**task["readout_options"], **sized})
    return made


def _predict(
    readout: Readout,
    trained: SweepTraining,
    members: Sequence[Member],
    sound: Sequence[bool],
    protocol: FrozenProtocol,
    task: Mapping[str, Any],
    clips: Clips,
    rows: Array,
    folder: Path,
) -> dict[str, dict[str, str]]:
    """Write the predictions of each sound member for these rows; return file and digest by its name."""
    layers = tuple(dict.fromkeys(member.layer for member in members))
    rates = len(members) // len(layers)

    def decode(params: Any, features: Any, targets: Mapping[str, Any]) -> Any:
        return readout.decode(readout.apply(params, features, targets), targets)

    run = jax.jit(jax.vmap(jax.vmap(decode, in_axes=(0, None, None)), in_axes=(0, 0, None)))
    found: list[tuple[Array, Arrays, Arrays]] = []
    for part, features, targets in clips.in_order(protocol.eval_batch_size, layers, rows):
        decoded = run(trained.params, jnp.asarray(features, jnp.float32), dict(targets))
        found.append((part, {name: np.asarray(value) for name, value in decoded.items()}, targets))
    written, made = {}, training_targets(task["kind"])
    for number, member in enumerate(members):
        if not sound[number]:
            continue
        at = divmod(number, rates)
        file = folder / f"{member.name}.npz"
        write_samples(file, _samples(clips, made, found, at), made.file_meta("predictions"))
        written[member.name] = {"file": f"{folder.name}/{file.name}", "sha256": sha256_of(file)}
    return written


def _samples(
    clips: Clips, made: TrainingTargets, found: Sequence[tuple[Array, Arrays, Arrays]], at: tuple[int, int]
) -> Iterator[tuple[str, Arrays]]:
    for part, decoded, targets in found:
        for i, sample_id in enumerate(clips.ids(part)):
            own = {name: value[i] for name, value in targets.items()}
            predicted = {name: value[at][i] for name, value in decoded.items()}
            fields = made.file_fields("predictions", predicted, own)
            if fields is not None:  # else nothing is asked of this clip; the score unit names it
                yield sample_id, fields


def _finite(values: Array) -> Any:
    """Return nested lists with None for what is not finite, as JSON has no NaN."""
    if values.ndim == 0:
        return float(values) if np.isfinite(values) else None
    return [_finite(value) for value in values]
