"""Kinds, metrics, formats and tasks of third parties score like the built-in ones."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest

from probe4d.builtin.kinds_specs import KINDS
from probe4d.testing import check_kind

FLOW_PLUGIN = """
from probe4d import KindSpec, MetricSpec, hookimpl

@hookimpl
def probe4d_kinds():
    return [KindSpec(name="flow", target="toy_flow_impl:Flow", schema="toy/flow/1")]

@hookimpl
def probe4d_metrics():
    values = [dict(name="endpoint", higher_is_better=False, unit="px")]
    return [MetricSpec(name="endpoint", kind="flow", target="toy_flow_impl:Endpoint", values=values)]
"""

FLOW = '''
import numpy as np

from probe4d.contracts import Field, MetaKey
from probe4d.errors import DataError
from probe4d.scoring.source import MemorySource
from probe4d_metrics import Mean, Metric


class Flow:
    """Optical flow (h, w, 2); `--match` halves it or not, to see options arrive."""

    def __init__(self, match="whole"):
        self.match = match

    def choices(self):
        return {"match": ("whole", "half")}

    def formats(self):
        return {"ones": "toy_flow_impl:open_ones"}

    def metric_options(self, meta):
        return {"offset": meta["targets"]["offset"], "not_taken": 1}

    def value_name(self, name, meta):
        return f"{name}!" if self.match == "half" else name

    def fields(self, role):
        return {"flow": Field(dims="h w 2")}

    def meta(self, role):
        return {"order": MetaKey(choices=("uv", "vu"), required=True), "offset": MetaKey(type="number", default=0.0)}

    def read(self, predictions, targets, meta):
        if predictions["flow"].shape != targets["flow"].shape:
            raise DataError(f"predictions.flow: expected shape {targets['flow'].shape}, got another.")
        return predictions, targets

    def worst(self, targets, meta):
        return {"flow": targets["flow"] + 100}

    def example(self, seed):
        flow = np.full((2, 2, 2), float(seed))
        return {"flow": flow}, {"flow": flow}, {"predictions": {"order": "uv"}, "targets": {"order": "uv"}}


def open_ones(path, *, role, meta, limits):
    return MemorySource(path, {"a": {"flow": np.ones((2, 2, 2))}}, {"order": "uv"})


class Endpoint(Metric):
    values = {"endpoint": Mean("distance")}

    def __init__(self, offset=0.0):
        self.offset = offset

    def measure(self, predictions, targets):
        return {"distance": self.offset + float(np.sqrt(((predictions["flow"] - targets["flow"]) ** 2).sum(-1)).mean())}
'''


@pytest.fixture
def flow(site, tmp_path):
    (site.root / "toy_flow_impl.py").write_text(FLOW)
    site.add("toy", FLOW_PLUGIN)
    meta = json.dumps({"schema": "toy/flow/1", "order": "uv"})
    np.savez(tmp_path / "P.npz", meta=meta, **{"a/flow": np.zeros((2, 2, 2)), "b/flow": np.ones((2, 2, 2))})
    np.savez(tmp_path / "T.npz", meta=meta, **{"a/flow": np.ones((2, 2, 2)), "b/flow": np.ones((2, 2, 2))})
    return ["score", "flow", "--predictions", str(tmp_path / "P.npz"), "--targets", str(tmp_path / "T.npz")]


def test_a_plugins_kind_is_scored_by_its_plugins_metric(site, flow):
    done = site.run(*flow, "--json")
    answer = json.loads(done.stdout)
    assert answer["kind"] == "toy/flow"
    assert answer["values"]["endpoint"] == pytest.approx(np.sqrt(2) / 2)
    assert "px" in site.run(*flow).stdout


def test_a_plugins_kind_gets_options_and_names_its_values(site, flow):
    done = site.run(*flow, "--match", "half", "--meta", "targets.offset=3", "--json")
    assert json.loads(done.stdout)["values"] == {"endpoint!": pytest.approx(3 + np.sqrt(2) / 2)}
    wrong = site.run(*flow, "--match", "third")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "expected one of whole, half" in wrong.stderr


def test_a_plugins_kind_brings_its_own_formats_and_schemas(site, flow):
    line = ["score", "flow", "--format", "ones", "--predictions", "p", "--targets", "t", "--json"]
    assert json.loads(site.run(*line).stdout)["values"]["endpoint"] == 0
    schema = json.loads(site.run("score", "--schema", "toy/flow").stdout)
    assert schema["$defs"]["targets"]["sample"]["required"] == ["id", "flow"]


def test_a_plugins_data_error_is_completed_with_file_and_sample(site, flow, tmp_path):
    np.savez(
        tmp_path / "P.npz", meta='{"order": "uv"}', **{"a/flow": np.zeros((3, 3, 2)), "b/flow": np.ones((2, 2, 2))}
    )
    done = site.run(*flow)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"{tmp_path / 'P.npz'}: sample 'a': flow: expected shape (2, 2, 2)" in done.stderr


def test_a_plugins_metric_of_a_builtin_kind_is_scored_beside_the_builtin_one(site, tmp_path):
    plugin = """
    from probe4d import MetricSpec, hookimpl

    @hookimpl
    def probe4d_metrics():
        return [MetricSpec(name="second", kind="labels", target="probe4d_metrics.labels:Accuracy",
                           values=[dict(name="top1"), dict(name="top5")])]
    """
    site.add("toy", plugin)
    for role in ("P", "T"):
        np.savez(tmp_path / f"{role}.npz", **{"a/label": np.array(1)})
    line = ["score", "labels", "--predictions", str(tmp_path / "P.npz"), "--targets", str(tmp_path / "T.npz"), "--json"]
    assert set(json.loads(site.run(*line).stdout)["values"]) == {"probe4d/accuracy.top1", "toy/second.top1"}
    assert set(json.loads(site.run(*line, "--metric", "accuracy").stdout)["values"]) == {"top1"}


TASK_PLUGIN = """
from probe4d import ClipSampling, DataRef, DatasetSpec, TaskSpec, hookimpl

@hookimpl
def probe4d_datasets():
    return [DatasetSpec(name="{name}-data", target="toy_data_impl:Toy", kinds=("points", "pose"), splits=("val",))]

@hookimpl
def probe4d_tasks():
    clip = ClipSampling(frames=4, stride=2, start="first", size=(32, 64))
    even = ClipSampling(frames=4, start="even", clips=2, size=(32, 64))
    data = DataRef(dataset="{name}-data", split="val")
    return [
        TaskSpec(name="{name}-" + kind, target="toy_data_impl:Toy", kind=kind, train=data, evaluate=data,
                 readout="none", metrics=(metric,), primary=metric + ".x", evaluate_clip=sampling)
        for kind, metric, sampling in (("points", "point_tracks", clip), ("pose", "pose_error", even))
    ]
"""

DATA = '''
import numpy as np

from probe4d.contracts import Sample
from probe4d.errors import DataError


class Toy:
    """Three videos of ten frames, the last of which is broken."""

    def __init__(self, root, split):
        self.root = root

    def sample_ids(self):
        return ["v0", "v1", "broken"]

    def num_frames(self, sample_id):
        return 10

    def load(self, sample_id, frames=None):
        if sample_id == "broken":
            raise DataError(f"{self.root}/broken: expected a video, got none.")
        frames = np.arange(10) if frames is None else np.asarray(frames)
        tracks = np.stack([frames * 2.0, frames * 1.0], -1)[None] + 1
        extrinsics = np.stack([np.concatenate([np.eye(3), [[f], [0], [0]]], 1) for f in frames.astype(float)])
        points = {"tracks": tracks, "visible": np.ones((1, len(frames)), bool),
                  "query_points": np.array([[0, tracks[0, 0, 1], tracks[0, 0, 0]]])}
        pose = {"extrinsics": extrinsics, "intrinsics": np.stack([np.eye(3)] * len(frames))}
        video = np.zeros((len(frames), 32, 64, 3), np.uint8)
        return Sample(id=sample_id, video=video, targets={"points": points, "pose": pose})
'''


@pytest.fixture
def task(site, tmp_path):
    (site.root / "toy_data_impl.py").write_text(textwrap.dedent(DATA))
    site.add("toy", TASK_PLUGIN)
    frames = np.arange(10)
    tracks = (np.stack([frames * 2.0, frames * 1.0], -1)[None] + 1) / [64, 32]
    meta = json.dumps({"order": "xy", "coords": "normalized"})
    fields = {f"{v}/tracks": tracks for v in ("v0", "v1", "broken")}
    ids = {f"{v}/frame_ids": frames for v in ("v0", "v1", "broken")}
    np.savez(tmp_path / "P.npz", meta=meta, **fields, **ids)
    return ["--predictions", str(tmp_path / "P.npz"), "--data-root", str(tmp_path), "--json"]


def test_a_task_takes_its_targets_from_its_dataset_and_a_broken_item_costs_itself(site, task):
    done = site.run("score", "toy-points", *task)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["task"], answer["kind"], answer["samples"]) == ("toy/toy-points", "points", 2)
    # Predictions of whole videos, of which the task's clip has frames 0, 2, 4 and 6.
    assert answer["values"]["points_within_1"] == 1
    assert answer["left_out"][0]["id"] == "broken"
    assert "expected a video, got none" in answer["left_out"][0]["reason"]
    assert len(answer["inputs"]["targets"]["sha256"]) == 64


def test_a_dataset_of_cameras_becomes_the_pose_from_first_to_last(site, task, tmp_path):
    pose = np.concatenate([np.eye(3), [[3.0], [0], [0]]], axis=1)
    meta = json.dumps({"unit": "metre", "direction": "first_to_last", "axes": "opencv"})
    np.savez(
        tmp_path / "P.npz", meta=meta, **{f"{v}#{clip}/pose": pose for v in ("v0", "v1", "broken") for clip in range(2)}
    )
    answer = json.loads(site.run("score", "toy-pose", *task).stdout)
    assert answer["values"]["epe"] == pytest.approx(0, abs=1e-12)
    assert (answer["samples"], [item["id"] for item in answer["left_out"]]) == (4, ["broken#0", "broken#1"])


def test_a_task_without_a_data_root_asks_for_it(site, task):
    done = site.run("score", "toy-points", *task[:2])
    assert (done.returncode, done.stdout) == (2, "")
    assert "--data-root: toy/toy-data needs it" in done.stderr


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.name)
def test_every_first_party_kind_passes_the_conformance_kit(spec):
    results = check_kind(spec)
    # Nothing in a pose or a label has a size that could disagree.
    without_sizes = {"disagreeing_sizes_are_refused"} if spec.name in ("pose", "labels") else set()
    assert [result.reason for result in results if result.status == "failed"] == []
    assert {result.name for result in results if result.status != "passed"} == without_sizes
