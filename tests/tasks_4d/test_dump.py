"""What `probe4d data check --dump` writes, scored by probe4d and by an outsider who has numpy alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from probe4d import score
from probe4d.commands import data

TASKS = {
    "ssv2": ("labels", "top1"),
    "re10k": ("pose", "epe_unscaled"),
    "perception_test": ("points", "average_jaccard"),
    "scannet": ("depth", "abs_rel"),
    "waymo": ("boxes", "mean_iou"),
}
# By id: fields that are what a prediction of the kind has.
PREDICTED = {
    "labels": ("label",),
    "pose": ("pose",),
    "points": ("tracks", "visible"),
    "depth": ("depth",),
    "boxes": ("boxes", "present"),
}


@pytest.fixture(scope="module", params=TASKS)
def dumped(request, roots, tmp_path_factory):
    """Return the task, its kind, the primary value's name, and the file that was dumped."""
    task = request.param
    file = tmp_path_factory.mktemp(task) / "targets.npz"
    arguments = ["check", task, "--root", roots[task], "--dump", str(file), "--dump-frames", "--no-sheet"]
    done = CliRunner().invoke(data.command, arguments)
    assert file.exists(), done.output
    return task, *TASKS[task], file


def read(file):
    """Return meta and the fields by sample, as anybody can read them."""
    with np.load(file, allow_pickle=False) as archive:
        meta = json.loads(str(archive["meta"]))
        samples: dict[str, dict[str, np.ndarray]] = {}
        for name in archive.files:
            if name != "meta":
                sample, _, field = name.rpartition("/")
                samples.setdefault(sample, {})[field] = archive[name]
    return meta, samples


def write(file, meta, samples):
    members = {f"{sample}/{field}": value for sample, fields in samples.items() for field, value in fields.items()}
    np.savez(file, meta=json.dumps({key: value for key, value in meta.items() if key != "about"}), **members)


def predictions_of(kind, meta, samples, file, noise=0.0):
    random = np.random.default_rng(7)
    made = {}
    for sample, fields in samples.items():
        own = {name: fields[name].copy() for name in PREDICTED[kind]}
        if kind == "points":
            own["frame_size"] = fields["frame_size"]
            own["tracks"] = own["tracks"] + random.normal(0, noise * 4, own["tracks"].shape)
            own["visible"] = own["visible"] ^ (random.random(own["visible"].shape) < noise / 5)
        elif kind == "boxes":
            own["boxes"] = own["boxes"] + random.uniform(-0.05, 0.05, own["boxes"].shape) * noise
        elif kind == "depth":
            own["depth"] = own["depth"] * (1 + noise * random.uniform(-0.2, 0.2, own["depth"].shape))
        elif kind == "pose":
            own["pose"] = own["pose"] + noise * np.concatenate([np.zeros((3, 3)), random.normal(0, 1, (3, 1))], 1)
        elif noise:
            own["label"] = own["label"] + np.asarray(random.integers(0, 2), own["label"].dtype)
        made[sample] = own
    skip = {"query_mode", "skip_first_frame", "valid_range", "about"}
    write(file, {key: value for key, value in meta.items() if key not in skip}, made)
    return made


def test_predictions_made_of_the_dump_are_perfect(dumped, tmp_path):
    task, kind, value, file = dumped
    meta, samples = read(file)
    predictions_of(kind, meta, samples, tmp_path / "P.npz")
    options = {"match": "rows"} if kind == "boxes" else {}
    answer = score(kind, str(tmp_path / "P.npz"), str(file), **options)
    assert answer.samples == len(samples)
    assert answer.values[value] == pytest.approx(0 if value in ("abs_rel", "epe_unscaled") else 1, abs=1e-6)
    assert meta["about"]["task"] == f"probe4d/{task}"


def test_a_task_takes_the_same_targets_from_its_dataset(dumped, roots, tmp_path):
    task, kind, value, file = dumped
    meta, samples = read(file)
    predictions_of(kind, meta, samples, tmp_path / "P.npz", noise=1.0)
    options = {"match": "rows"} if kind == "boxes" else {}
    from_file = score(kind, str(tmp_path / "P.npz"), str(file), **options)
    from_data = score(task, str(tmp_path / "P.npz"), data_root=roots[task], **options)
    assert from_data.values[value] == from_file.values[value]
    assert from_data.samples == from_file.samples
    assert {item.id for item in from_data.left_out} == {item["id"] for item in meta["about"]["left_out"]}


def test_an_outsider_gets_the_same_number_with_numpy_alone(dumped, tmp_path):
    _, kind, value, file = dumped
    meta, samples = read(file)
    predicted = predictions_of(kind, meta, samples, tmp_path / "P.npz", noise=1.0)
    options = {"match": "rows"} if kind == "boxes" else {}
    answer = score(kind, str(tmp_path / "P.npz"), str(file), **options)
    plain = {"labels": top1, "pose": epe, "points": jaccard, "depth": abs_rel, "boxes": mean_iou}[kind]
    assert answer.values[value] == pytest.approx(plain(predicted, samples), rel=1e-6)
    assert abs(answer.values[value]) > 1e-9 or kind == "labels"


def test_the_dump_has_the_clips_that_its_targets_are_of(dumped):
    task, _, _, file = dumped
    meta, samples = read(file)
    size = tuple(meta["about"]["clip"]["size"])
    for fields in samples.values():
        assert fields["video"].shape == (16, *size, 3)
        assert fields["video"].dtype == np.uint8
        assert fields["video"].std() > 1
        steps = np.diff(fields["frame_ids"])  # shorter ones where the video ends, which repeats its last frame
        assert steps.min() >= 0
        assert steps[0] == steps.max() == meta["about"]["clip"]["stride"]
    if task == "re10k":  # four clips of each video, evenly spaced
        starts = [int(fields["frame_ids"][0]) for fields in samples.values()]
        assert len(samples) == 4
        assert starts == sorted(starts)
        assert len(set(starts)) == 4
        assert [name.rpartition("#")[2] for name in samples] == list("0123")
    if task == "perception_test":  # from frame 0, four frames apart
        assert all(fields["frame_ids"][:3].tolist() == [0, 4, 8] for fields in samples.values())
    if task == "waymo":  # drawn in time, by the sample and the clip's number alone
        assert len({int(fields["frame_ids"][0]) for fields in samples.values()}) > 3


def top1(predicted, targets):
    return np.mean([predicted[name]["label"] == fields["label"] for name, fields in targets.items()])


def epe(predicted, targets):
    cube = np.array([[x, y, z, 1.0] for x in (-5, 5) for y in (-5, 5) for z in (0, 10)])
    errors = []
    for name, fields in targets.items():
        errors.append(np.linalg.norm(cube @ (predicted[name]["pose"] - fields["pose"]).T, axis=1).mean())
    return np.mean(errors)


def jaccard(predicted, targets):
    videos = []
    for name, fields in targets.items():
        height, width = fields["frame_size"]
        scale = np.array([256 / width, 256 / height])
        distance = np.linalg.norm((predicted[name]["tracks"] - fields["tracks"]) * scale, axis=-1)[:, 1:]
        seen, said = fields["visible"][:, 1:], predicted[name]["visible"][:, 1:]
        values = []
        for limit in (1, 2, 4, 8, 16):
            hit = seen & said & (distance < limit)
            values.append(hit.sum() / (seen.sum() + (said & ~(seen & (distance < limit))).sum()))
        videos.append(np.mean(values))
    return np.mean(videos)


def abs_rel(predicted, targets):
    total, pixels = 0.0, 0
    for name, fields in targets.items():
        depth = fields["depth"].astype(float)
        valid = fields["valid"] & (depth > 0.001) & (depth < 10)
        total += (np.abs(predicted[name]["depth"] - depth) / (depth + 1e-6))[valid].sum()
        pixels += valid.sum()
    return total / pixels


def mean_iou(predicted, targets):
    values = []
    for name, fields in targets.items():
        a, b = predicted[name]["boxes"][:, 1:], fields["boxes"][:, 1:].astype(float)
        low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
        shared = np.prod((high - low).clip(0), axis=-1)
        areas = [np.prod((box[..., 2:] - box[..., :2]).clip(0), axis=-1) for box in (a, b)]
        present = fields["present"][:, 1:]
        values.append(shared[present] / (areas[0] + areas[1] - shared)[present])
    return np.concatenate(values).mean()
