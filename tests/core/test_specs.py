"""What a spec refuses, and what it may leave out."""

from __future__ import annotations

import pickle

import attrs
import pytest

from probe4d import BackboneSpec, MetricSpec, SuiteSpec, TaskSpec, Weights
from probe4d.errors import UsageError

BACKBONE = {
    "name": "tiny",
    "target": "a.b:c",
    "params": 3,
    "input": {"frames": 16, "height": 64, "width": 64},
    "tokens": {"time": 8, "space": 16, "channels": 48},
}
TASK = {
    "name": "t", "target": "a:b", "kind": "points", "readout": "points", "metrics": ["points"],
    "primary": "points.average_jaccard",
    "train": {"dataset": "playroom", "split": "train"}, "evaluate": {"dataset": "playroom", "split": "val"},
}  # fmt: skip


def test_nested_records_may_be_written_as_mappings():
    spec = BackboneSpec(**BACKBONE, weights={"public": False, "nearest": "other"})
    assert spec.input.height == 64
    assert spec.weights == Weights(public=False, nearest="other")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Tiny"}, "expected lower-case letters"),
        ({"name": ""}, "expected lower-case letters"),
        ({"target": "a.b"}, "package.module:attribute"),
        ({"params": "3"}, "expected an integer"),
        ({"params": True}, "expected an integer"),
        ({"depth": 0}, "at least 1"),
        ({"modality": "audio"}, "'image' or 'video'"),
        ({"requires": "torch>=2"}, r"Write \('torch>=2',\)"),
        ({"requires": [3]}, "a tuple of strings"),
        ({"input": None}, "expected a VideoInput"),
        ({"summary": 3}, "expected a string"),
        ({"trainable": "yes"}, "true or false"),
    ],
)
def test_a_spec_that_is_wrong_says_which_field(change, words):
    with pytest.raises(UsageError, match=words):
        BackboneSpec(**{**BACKBONE, **change})


def test_an_unknown_fact_is_refused():
    with pytest.raises(TypeError, match="licens"):
        BackboneSpec(**BACKBONE, licens="MIT")


def test_specs_are_frozen_through_and_through():
    spec = BackboneSpec(**BACKBONE, options={"variant": "S"})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        spec.name = "other"
    with pytest.raises(TypeError):
        spec.options["variant"] = "B"


def test_a_metric_names_each_value_once():
    with pytest.raises(UsageError, match="each name once"):
        MetricSpec(name="m", target="a:b", kind="k", values=[{"name": "x"}, {"name": "x"}])
    with pytest.raises(UsageError, match="at least one value"):
        MetricSpec(name="m", target="a:b", kind="k", values=[])


@pytest.mark.parametrize("primary", ["average_jaccard", "boxes.mean_iou", "points.", ""])
def test_the_primary_of_a_task_is_a_value_of_one_of_its_metrics(primary):
    assert TaskSpec(**TASK).train.split == "train"
    with pytest.raises(UsageError, match=r"<metric>\.<value>"):
        TaskSpec(**{**TASK, "primary": primary})


@pytest.mark.parametrize("resource", ["suites/x.toml", "package:x.yaml", ":x.toml"])
def test_a_suite_is_a_toml_file_inside_a_package(resource):
    with pytest.raises(UsageError, match="package:path"):
        SuiteSpec(name="s", resource=resource)


def test_specs_can_be_sent_to_another_process():
    spec = BackboneSpec(**BACKBONE, options={"variant": "S"})
    assert pickle.loads(pickle.dumps(spec)) == spec
