"""The unit that trains a sweep on stored features and predicts the evaluation split."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from attrs import frozen

from probe4d.atomic import write_json
from probe4d.contracts import Array, Arrays, Layer, Readout, TrainingTargets
from probe4d.errors import DataError
from probe4d.paths import cache_dir
from probe4d.planning.provenance import environment
from probe4d.registry import find, make
from probe4d_runners.probing.data import Split, open_split, split_holdout
from probe4d_runners.probing.files import batch_samples, finite, write_with_digest
from probe4d_runners.probing.sweep import Member, SweepTraining, train_sweep
from probe4d_runners.protocols import FinetuneProtocol, FrozenProtocol
from probe4d_runners.targets import training_targets

__all__ = ["probe", "task_readout"]


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
        sets: `train`, `evaluate`, `train_targets`, `evaluate_targets`, each `{url, address}`; where nothing is
            cached, `train` and `evaluate` are `{stream: …}`.
        task, protocol: their fields, as `planning.units` writes them.
        output: folder of the predictions.
        unit: id of this unit, by which a later run knows that it is done.

    Raises:
        DataError: no clip is left to train or to evaluate on, or every member diverged.
    """
    started = time.perf_counter()
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))
    settings = FrozenProtocol(**protocol["settings"])
    train, evaluate = (open_split(sets, split, settings.max_broken) for split in ("train", "evaluate"))
    readout = task_readout(task, settings)
    rows, held = train.rows, None
    if settings.select_on == "holdout":
        rows, held = split_holdout(train, settings.holdout, settings.seed)
    chosen = tuple(layers)
    trained = train_sweep(readout, settings, train.training(settings, chosen, rows))
    predictor = _Predictor.of(readout, settings, task["kind"], chosen, trained)
    if not predictor.sound:
        finals = trained.final_losses.tolist()
        raise DataError(f"{backbone} on {task['name']}: every member diverged; the last losses are {finals}.")
    folder = Path(output)
    predicting = time.perf_counter()
    splits = {"evaluate": (evaluate, evaluate.rows)} | ({"holdout": (train, held)} if held is not None else {})
    # The targets of the evaluation split are the run's, for all backbones; what was held out is this unit's own.
    files = {
        name: predictor.write(clips, part, folder / name, targets=name == "holdout")
        for name, (clips, part) in splits.items()
    }
    ended = time.perf_counter()
    timings = {"train": trained.seconds, "compile": trained.compile_seconds, "predict": ended - predicting}
    write_json(
        folder / "sweep.json",
        {
            "unit": unit,
            "members": [fact | {"files": _files_of(fact["name"], files)} for fact in predictor.facts()],
            "targets": {name: found["targets"] for name, found in files.items() if "targets" in found},
            "losses": {"steps": list(trained.steps), "values": finite(trained.losses)},
            "left_out": {"train": train.left_out, "evaluate": evaluate.left_out},
            "clips": {"train": len(rows), "evaluate": len(evaluate.rows), "holdout": 0 if held is None else len(held)},
            "timings": {**_extracted(train, evaluate), **timings, "whole": ended - started},
            "environment": environment(),
        },
    )
    return {"members": len(predictor.members), "sound": len(predictor.sound), "seconds": ended - started}


def task_readout(task: Mapping[str, Any], protocol: FrozenProtocol | FinetuneProtocol) -> Readout:
    """Return the task's readout, sized by the protocol as far as it may be."""
    entry = find("readouts", task["readout"])
    sized = {name: value for name, value in protocol.readout.items() if name in entry.spec.sizes}
    made: Readout = make(entry, **{**task["readout_options"], **sized})
    return made


@frozen(kw_only=True)
class _Predictor:
    """The trained members, and what decodes their outputs."""

    readout: Readout
    settings: FrozenProtocol
    made: TrainingTargets
    layers: tuple[Layer, ...]
    trained: SweepTraining
    members: tuple[Member, ...]

    @classmethod
    def of(
        cls, readout: Readout, settings: FrozenProtocol, kind: str, layers: tuple[Layer, ...], trained: SweepTraining
    ) -> _Predictor:
        members = [Member(layer=layer, learning_rate=rate) for layer in layers for rate in settings.learning_rates]
        made = training_targets(kind)
        return cls(
            readout=readout, settings=settings, made=made, layers=layers, trained=trained, members=tuple(members)
        )

    @property
    def sound(self) -> dict[Member, tuple[int, int]]:
        """The members that did not diverge, and where their parameters lie: layer and rate."""
        finite = np.isfinite(self.trained.final_losses)
        at = [divmod(number, finite.shape[1]) for number in range(len(self.members))]
        return {member: place for member, place in zip(self.members, at, strict=True) if finite[place]}

    def facts(self) -> Iterator[dict[str, Any]]:
        """Yield what `sweep.json` says of each member."""
        sound = self.sound
        for member in self.members:
            yield {
                "name": member.name,
                "layer": member.layer,
                "learning_rate": member.learning_rate,
                "weight_decay": self.settings.weight_decay,
                "final_loss": float(self.trained.final_losses[sound[member]]) if member in sound else None,
                "diverged": member not in sound,
            }

    def write(self, clips: Split, rows: Array, folder: Path, *, targets: bool) -> dict[str, dict[str, str]]:
        """Write the predictions of each sound member for these rows, and the targets if asked for.

        Returns file and digest by the member's name, and by `targets`.
        """
        found = list(self._decoded(clips, rows))
        written = {}
        for member, at in self.sound.items():
            samples = self._samples(clips, found, at)
            written[member.name] = write_with_digest(
                folder / f"{member.name}.npz", samples, self.made.file_meta("predictions")
            )
        if targets:
            samples = self._samples(clips, found, None)
            written["targets"] = write_with_digest(folder / "targets.npz", samples, self.made.file_meta("targets"))
        return written

    def _decoded(self, clips: Split, rows: Array) -> Iterator[tuple[Array, Arrays, Arrays]]:
        """Yield rows, what all members decode for them, and their targets."""

        def decode(params: Any, features: Any, targets: Mapping[str, Any]) -> Any:
            return self.readout.decode(self.readout.apply(params, features, targets), targets)

        run = jax.jit(jax.vmap(jax.vmap(decode, in_axes=(0, None, None)), in_axes=(0, 0, None)))
        for part, features, targets in clips.in_order(self.settings.eval_batch_size, self.layers, rows):
            decoded = run(self.trained.params, jnp.asarray(features, jnp.float32), dict(targets))
            yield part, {name: np.asarray(value) for name, value in decoded.items()}, targets

    def _samples(
        self, clips: Split, found: Sequence[tuple[Array, Arrays, Arrays]], at: tuple[int, int] | None
    ) -> Iterator[tuple[str, Arrays]]:
        """Yield id and fields of each clip: predictions of the member at this place, or the targets."""
        for part, decoded, targets in found:
            own = None if at is None else {name: value[at] for name, value in decoded.items()}
            yield from batch_samples(self.made, clips.ids(part), targets, own)


def _files_of(name: str, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {split: found.get(name) for split, found in files.items()}


def _extracted(*splits: Split) -> dict[str, float]:
    """Return how long extracting the features took, whenever that was; nothing where they were streamed."""
    seconds = [clips.extract_seconds() for clips in splits]
    return {"extract": sum(one for one in seconds if one is not None)} if None not in seconds else {}
