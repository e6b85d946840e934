"""The unit that scores a sweep's predictions, chooses a member per layer, and writes the records."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from probe4d.atomic import replacing, sha256_of, write_json
from probe4d.cells import Cell, escape
from probe4d.contracts import Arrays, Layer, TrainingTargets
from probe4d.errors import DataError
from probe4d.planning.provenance import environment
from probe4d.records import RunFolder
from probe4d.registry import find, make
from probe4d.scoring import Score, score
from probe4d.scoring.conventions import ROLES
from probe4d.scoring.datasets import with_unit
from probe4d.specs import MetricValue
from probe4d_runners.probing.data import Clips, open_targets
from probe4d_runners.probing.files import write_samples
from probe4d_runners.targets import NOTHING_ASKED, training_targets

__all__ = ["score_cells"]


def score_cells(
    run: str,
    sweep: str,
    probe: str,
    sets: Mapping[str, Mapping[str, Any]],
    backbone: str,
    task: Mapping[str, Any],
    protocol: Mapping[str, Any],
    layers: Sequence[Layer],
    context: Mapping[str, Any],
    unit: str,
) -> dict[str, Any]:
    """Write the record of each layer's cell and return their primary values.

    Args:
        sweep: folder that `probe` wrote; `probe` the id of that unit.
        context: what the plan knows of backbone, data and plugins.

    Raises:
        DataError: the sweep is another one, or its files are damaged.
    """
    folder = RunFolder(Path(run))
    found = _read_sweep(Path(sweep), probe)
    scorer = _Scorer(folder, Path(sweep), task, protocol, sets, found["targets"].get("holdout"), context)
    values = {}
    for layer in layers:
        started = time.perf_counter()
        members = [scorer.scored(member) for member in found["members"] if member["layer"] == layer]
        best = _best(members, scorer.way, f"{backbone} on {task['name']}, layer {layer}")
        cell = Cell(backbone=backbone, task=task["name"], protocol=protocol["name"], layer=layer)
        chosen: Score = best["score"]
        _keep_training(folder.cell(cell), Path(sweep), best, found)
        content = {
            "unit": unit,
            "status": "success",
            **scorer.result(chosen),
            "selected": {name: best[name] for name in ("name", "learning_rate", "weight_decay")},
            "select_on": protocol["settings"]["select_on"],
            "members": [_member_facts(member) for member in members],
            "samples": _sample_facts(chosen, found, scorer.nothing_asked),
            **scorer.inputs(folder.path),
            "task": dict(task),
            "protocol": dict(protocol),
            "seeds": {"protocol": protocol["settings"]["seed"], "bootstrap": 0},
            "timings": {**found["timings"], "score": time.perf_counter() - started},
            "environment": {"probe": found["environment"], "score": environment()},
            **context,
        }
        lines = [{"id": name, "values": dict(own)} for name, own in sorted(chosen.per_sample.items())]
        folder.write_record(cell, content, lines)
        values[cell.id] = content["primary"]["value"]
    return {"values": values}


class _Scorer:
    """Scores the members of a sweep against the targets of the run."""

    def __init__(
        self,
        run: RunFolder,
        sweep: Path,
        task: Mapping[str, Any],
        protocol: Mapping[str, Any],
        sets: Mapping[str, Mapping[str, Any]],
        holdout: Mapping[str, str] | None,
        context: Mapping[str, Any],
    ) -> None:
        self.kind, self.metrics = task["kind"], tuple(task["metrics"])
        metric, _, self.value = task["primary"].rpartition(".")
        self.way = next(one for one in find("metrics", metric).spec.values if one.name == self.value)
        self._made, self._described = training_targets(self.kind), make(find("kinds", self.kind))
        facts = context.get("data", {}).get("evaluate", {}).get("facts", {})
        self._meta = with_unit(self._made.file_meta("targets"), self._described, facts)
        self.options = dict(self._made.score_options)
        self.nothing_asked: list[dict[str, str]] = []
        self._sweep, self._sets = sweep, sets
        self.targets = self._written(run, f"{task['name']}~{protocol['name']}")
        self._holdout = holdout

    def _written(self, run: RunFolder, name: str) -> Path:
        """Return the file of the evaluation split's targets, written once per run and set."""
        stated = self._sets["evaluate_targets"]
        clips = open_targets(stated)
        asked = list(_target_samples(clips, self._made, self.nothing_asked))
        file = run.path / "targets" / f"{escape(f'{name}~{clips.targets.digest[:12]}')}.npz"
        if not file.exists():
            write_samples(file, asked, self._meta)
        return file

    def scored(self, member: Mapping[str, Any]) -> dict[str, Any]:
        """Return a member with its score on the evaluation split, and the value that it is chosen by."""
        if member["diverged"]:
            return {**member, "score": None, "chosen_by": None}
        result = self._score(member["files"]["evaluate"], self.targets, resamples=1000)
        by = result
        if self._holdout is not None:
            by = self._score(member["files"]["holdout"], self._file(self._holdout), resamples=0)
        return {**member, "score": result, "chosen_by": by.values.get(self._name(by))}

    def _name(self, result: Score) -> str:
        """Return what the primary value is called under the conventions of both files: `epe_unscaled`, as one."""
        if not hasattr(self._described, "value_name"):
            return str(self.value)
        return str(self._described.value_name(self.value, {role: result.inputs[role]["meta"] for role in ROLES}))

    def _score(self, stated: Mapping[str, str], targets: Path, **options: Any) -> Score:
        predictions = self._file(stated)
        return score(self.kind, str(predictions), str(targets), metrics=self.metrics, **{**self.options, **options})

    def _file(self, stated: Mapping[str, str]) -> Path:
        """Return a file of the sweep.

        Raises:
            DataError: it is another one, or none.
        """
        file = self._sweep / stated["file"]
        if not file.is_file() or sha256_of(file) != stated["sha256"]:
            raise DataError(f"{file}: expected the file of digest {stated['sha256'][:12]}…, got another or none.")
        return file

    def result(self, chosen: Score) -> dict[str, Any]:
        """Return the numbers of a cell."""
        return {
            "primary": self.primary(chosen),
            "values": dict(chosen.values),
            "ci95": {name: list(ends) for name, ends in chosen.ci95.items()},
            "counts": dict(chosen.counts),
        }

    def inputs(self, run: Path) -> dict[str, Any]:
        """Return what a cell was scored from, relative to its folder and to the run's."""
        return {
            "score_options": self.options,
            "predictions": "predictions.npz",
            "targets": self.targets.relative_to(run).as_posix(),
            "targets_sha256": sha256_of(self.targets),
        }

    def primary(self, chosen: Score) -> dict[str, Any]:
        """Return the number that stands for the cell."""
        way: MetricValue = self.way
        name = self._name(chosen)
        ends = chosen.ci95.get(name)
        return {
            "name": name,
            "value": chosen.values[name],
            "ci95": list(ends) if ends else None,
            "higher_is_better": way.higher_is_better,
            "unit": "" if name.endswith("_unscaled") else way.unit,
        }


def _target_samples(
    clips: Clips, made: TrainingTargets, nothing_asked: list[dict[str, str]]
) -> Iterator[tuple[str, Arrays]]:
    targets = clips.targets_of(clips.rows)
    for i, sample_id in enumerate(clips.ids(clips.rows)):
        own = {name: value[i] for name, value in targets.items()}
        fields = made.file_fields("targets", own, own)
        if fields is None:
            nothing_asked.append({"id": sample_id, "reason": NOTHING_ASKED})
        else:
            yield sample_id, fields


def _read_sweep(folder: Path, unit: str) -> dict[str, Any]:
    file = folder / "sweep.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if found.get("unit") != unit:
        raise DataError(f"{file}: expected the sweep of {unit}, got that of {found.get('unit')}. Run the plan again.")
    return found


def _best(members: Sequence[Mapping[str, Any]], way: MetricValue, where: str) -> Mapping[str, Any]:
    sound = [member for member in members if member["chosen_by"] is not None]
    if not sound:
        raise DataError(f"{where}: expected a member with a value of {way.name}, got none.")
    sign = 1.0 if way.higher_is_better else -1.0
    return max(sound, key=lambda member: sign * member["chosen_by"])


def _keep_training(place: Path, sweep: Path, best: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Put the chosen member's predictions and the sweep's losses into a cell's folder."""
    with replacing(place / "predictions.npz") as temporary:
        shutil.copyfile(sweep / best["files"]["evaluate"]["file"], temporary)
    write_json(place / "training.json", {"losses": found["losses"], "members": [m["name"] for m in found["members"]]})


def _sample_facts(
    chosen: Score, found: Mapping[str, Any], nothing_asked: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Return how many samples were trained and scored on, and why others were not."""
    unscored = [{"id": item.id, "reason": item.reason} for item in chosen.left_out]
    broken = [{"id": name, "reason": reason} for name, reason in found["left_out"]["evaluate"].items()]
    return {
        "evaluated": chosen.samples,
        "left_out": [*unscored, *broken, *nothing_asked],
        "train": found["clips"]["train"],
        "train_left_out": found["left_out"]["train"],
    }


def _member_facts(member: Mapping[str, Any]) -> dict[str, Any]:
    result: Score | None = member["score"]
    kept = ("name", "layer", "learning_rate", "weight_decay", "final_loss", "diverged", "chosen_by")
    return {**{name: member[name] for name in kept}, "values": None if result is None else dict(result.values)}
