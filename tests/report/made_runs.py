"""Small run folders as the score unit writes them: true targets of playroom, predictions with so much noise."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
from attrs import frozen

from probe4d.cells import Cell
from probe4d.contracts import Sample
from probe4d.records import Record, RunFolder
from probe4d.registry import find, make
from probe4d.scoring import score

SIZE = 64
DATA = {
    "dataset": "probe4d/playroom",
    "split": "val",
    "version": "probe4d 0.1.0",
    "options": {"size": SIZE},
    "clip": {"frames": 16, "start": "first", "size": [SIZE, SIZE]},
    "samples": 24,
    "views": 1,
    "features": "f" * 64,
}
META = {
    "points": {"order": "xy", "coords": "pixels", "frame_size": [SIZE, SIZE]},
    "boxes": {"order": "yxyx", "coords": "normalized"},
    "depth": {"unit": "metre", "surface": "z", "quantity": "depth"},
    "pose": {"unit": "metre", "direction": "first_to_last", "axes": "opencv"},
    "labels": {},
}
OWN = {  # what predictions and targets state differently
    ("points", "predictions"): {"frame_size": [256, 256]},
    ("points", "targets"): {"query_mode": "first"},
}
SCORE_OPTIONS = {"boxes": {"match": "rows"}}
PRIMARY = {
    "points": ("probe4d/point_tracks", "average_jaccard", True, ""),
    "boxes": ("probe4d/box_iou", "mean_iou", True, ""),
    "pose": ("probe4d/pose_error", "epe", False, "m"),
    "depth": ("probe4d/depth_error", "abs_rel", False, ""),
    "labels": ("probe4d/accuracy", "top1", True, ""),
}


@frozen(kw_only=True)
class Backbone:
    """A backbone of a made run; `noise` 0 predicts the targets."""

    label: str
    params: int
    noise: float
    name: str = ""


THREE = (
    Backbone(label="patch-colours", name="fourds/patch-colours", params=0, noise=1.0),
    Backbone(label="4ds-s", name="fourds/4ds-s", params=22_485_888, noise=0.5),
    Backbone(label="4ds-b", name="fourds/4ds-b", params=87_439_104, noise=0.2),
)


@functools.cache
def samples(count: int = 24) -> tuple[Sample, ...]:
    """Return the first clips of playroom's validation split, small."""
    dataset = make(find("datasets", "probe4d/playroom"), split="val", size=SIZE)
    return tuple(dataset.load(name) for name in dataset.sample_ids()[:count])


def write_run(folder: Path, backbones: tuple[Backbone, ...] = THREE, kinds: tuple[str, ...] = tuple(PRIMARY)) -> Path:
    """Write a run of playroom tasks and return its folder."""
    for backbone in backbones:
        for kind in kinds:
            write_cell(folder, backbone, kind)
    return finish(folder)


def finish(folder: Path, **facts: object) -> Path:
    """Write `run.json` and the suite."""
    run = RunFolder(folder)
    stated = {
        "run_id": "0123456789ab",
        "suite": "playroom-quick",
        "status": "success",
        "started": "2026-01-01T10:00:00+00:00",
        "ended": "2026-01-01T10:05:00+00:00",
        "seconds": 212.0,
        "command": "probe4d run playroom-quick",
        "failures": [],
        "blocked": [],
        "cells": [],
    }
    run.write_run({**stated, **facts})
    run.write_suite('name = "playroom-quick"\naggregates = ["mean_rank", "worst_task"]\n')
    return folder


def write_cell(
    folder: Path,
    backbone: Backbone,
    kind: str,
    *,
    task: str = "",
    protocol: str = "probe4d/frozen-quick",
    layer: float | int = 0.95,
    noise: float | None = None,
    **content: object,
) -> Record:
    """Write one cell: predictions, targets, training curves, samples and the record."""
    metric, value, higher, unit = PRIMARY[kind]
    cell = Cell(backbone=backbone.label, task=task or f"probe4d/playroom-{kind}", protocol=protocol, layer=layer)
    run = RunFolder(folder)
    place = run.cell(cell)
    targets = f"targets/{kind}.npz"
    amount = backbone.noise if noise is None else noise
    pairs = [_pair(sample, kind, amount) for sample in samples()]
    write_samples(place / "predictions.npz", {name: pred for name, pred, _ in pairs}, kind, "predictions")
    if not (folder / targets).exists():
        write_samples(folder / targets, {name: true for name, _, true in pairs}, kind, "targets")
    options = SCORE_OPTIONS.get(kind, {})
    found = score(
        kind, str(place / "predictions.npz"), str(folder / targets), metrics=(metric,), resamples=100, **options
    )
    members = [f"layer-{layer}-lr-{rate:g}" for rate in (3e-4, 1e-3)]
    (place / "training.json").write_text(json.dumps({"losses": _losses(amount), "members": members}))
    whole = {
        "unit": "score-1",
        "status": "success",
        "primary": {
            "name": value,
            "value": found.values[value],
            "ci95": list(found.ci95[value]),
            "higher_is_better": higher,
            "unit": unit,
        },
        "values": dict(found.values),
        "selected": {"name": members[1], "learning_rate": 1e-3, "weight_decay": 1e-4},
        "select_on": "evaluate",
        "members": [{"name": name, "chosen_by": 0.5, "diverged": False} for name in members],
        "samples": {"evaluated": found.samples, "left_out": [], "train": 100, "train_left_out": {}},
        "score_options": dict(options),
        "predictions": "predictions.npz",
        "targets": targets,
        "task": {"name": cell.task, "kind": kind, "metrics": [metric]},
        "protocol": {"name": protocol, "settings": {"steps": 400, "learning_rates": [3e-4, 1e-3]}},
        "seeds": {"protocol": 0, "bootstrap": 0},
        "timings": {"train": 21.0, "compile": 6.0, "predict": 2.0, "whole": 24.0, "score": 1.5},
        "environment": {"probe": {"python": "3.11.9", "platform": "Linux", "packages": {"numpy": "2.4.0"}}},
        "backbone": {
            "name": backbone.name or f"toys/{backbone.label}",
            "label": backbone.label,
            "params": backbone.params,
            "modality": "video",
            "licence": "Apache-2.0",
            "weights": "random seed 0",
            "seed": 0,
        },
        "data": {"train": {**DATA, "split": "train"}, "evaluate": DATA},
        "plugins": [
            {"name": "fourds", "distribution": "probe4d-fourds", "version": "0.1.0", "module": "x", "used": True}
        ],
        **content,
    }
    lines = [{"id": name, "values": dict(own)} for name, own in sorted(found.per_sample.items())]
    return run.write_record(cell, whole, lines)


def write_samples(file: Path, samples: dict[str, dict[str, np.ndarray]], kind: str, role: str) -> None:
    """Write `<sample id>/<field>` members and the conventions."""
    file.parent.mkdir(parents=True, exist_ok=True)
    meta = {"schema": f"probe4d/{kind}/1", **META[kind], **OWN.get((kind, role), {})}
    arrays = {f"{name}/{field}": value for name, fields in samples.items() for field, value in fields.items()}
    np.savez(file, meta=json.dumps(meta), **arrays)


def _pair(sample: Sample, kind: str, noise: float):
    """Return id, predictions and targets of one sample."""
    if kind == "pose":
        first, last = (np.vstack([sample.targets["pose"]["extrinsics"][k], [0, 0, 0, 1]]) for k in (0, -1))
        true = {"pose": (last @ np.linalg.inv(first))[:3]}
    else:
        true = dict(sample.targets[kind])
    if kind == "points":
        true = {name: value[:16] for name, value in true.items()}
    random = np.random.default_rng([int(sample.id[-6:]), int(1000 * noise)])
    return sample.id, PREDICT[kind](true, noise, random), true


def _points(true, noise, random):
    """Predict in the 256 raster, as readouts do."""
    drift = np.cumsum(random.normal(0, 1.2 * noise, true["tracks"].shape), axis=1)
    return {
        "tracks": (true["tracks"] + drift) * 256 / SIZE,
        "visible": true["visible"] ^ (random.random(true["visible"].shape) < 0.1 * noise),
    }


def _boxes(true, noise, random):
    return {
        "boxes": true["boxes"] + np.cumsum(random.normal(0, 0.012 * noise, true["boxes"].shape), axis=1),
        "present": true["present"],
    }


def _pose(true, noise, random):
    return {"pose": true["pose"] + random.normal(0, 0.08 * noise, (3, 4))}


def _depth(true, noise, random):
    wave = np.sin(np.linspace(0, 9, true["depth"].shape[-1])) * noise * 0.25
    return {"depth": np.maximum(0.05, true["depth"] * (1 + wave + random.normal(0, 0.03, true["depth"].shape)))}


def _labels(true, noise, random):
    logits = random.normal(0, 1 + 2 * noise, 12)
    logits[int(true["label"])] += 3.0
    return {"logits": logits}


PREDICT = {"points": _points, "boxes": _boxes, "pose": _pose, "depth": _depth, "labels": _labels}


def _losses(noise):
    steps = list(range(2, 402, 4))
    return {
        "steps": steps,
        "values": [[[2.0 * np.exp(-s / 150) + 0.3 + noise, 2.0 * np.exp(-s / 80) + 0.2 + noise]] for s in steps],
    }
