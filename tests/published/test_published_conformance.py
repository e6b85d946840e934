"""The four loaders hold what the conformance kit demands, and what every published dataset is expected to say."""

from __future__ import annotations

import inspect
import json
import pickle
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest

from probe4d.registry import find, make
from probe4d.testing import Given, check_dataset

TESTS = Path(__file__).parents[1]
NAMES = ("ssv2", "re10k", "perception_test", "scannet")
SPLITS = {
    "ssv2": ("train", "validation", "test"),
    "re10k": ("train", "test"),
    "perception_test": ("valid",),
    "scannet": ("train", "val"),
}


def root_of(name: str) -> str:
    return str(TESTS / name / "data")


@pytest.fixture
def whole(tmp_path: Path):
    """Return a function that copies the samples of a dataset without those that are broken on purpose."""

    def copied(name: str) -> str:
        target = tmp_path / name
        shutil.copytree(TESTS / name / "data", target)
        if name == "ssv2":
            for file in ("labels/train.json", "annotations_20bn/something-something-v2-train.json"):
                entries = [entry for entry in json.loads((target / file).read_text()) if entry["id"] != "194804"]
                (target / file).write_text(json.dumps(entries))
        elif name == "re10k":
            for key in ("train/0e286864b3874043", "test/a601d2ca12e83cdd"):
                (target / f"RealEstate10K/{key}.txt").unlink()
        return str(target)

    return copied


@pytest.mark.parametrize("name", NAMES)
def test_the_dataset_passes_every_check(name, whole):
    entry = find("datasets", name)
    spec = entry.spec
    given = Given(roots={name: whole(name)}, splits={name: SPLITS[name]})
    results = check_dataset(attrs.evolve(spec, splits=SPLITS[name]), given=given)
    assert {result.status for result in results} == {"passed"}, [r for r in results if r.status != "passed"]


@pytest.mark.parametrize("name", NAMES)
def test_its_licence_and_access_are_stated_and_it_is_ready(name):
    spec = find("datasets", name).spec
    assert spec.licence
    assert "root: the folder or URL" in spec.access
    assert spec.requires
    assert spec.needs_root


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_plain_json_and_hold_every_option_of_the_constructor(name):
    entry = find("datasets", name)
    opened = make(entry, root=root_of(name), split=SPLITS[name][0])
    facts = json.loads(json.dumps(opened.facts))
    assert facts["coverage"]["total"] >= len(opened.sample_ids())
    options = {
        parameter
        for parameter, value in inspect.signature(type(opened).__init__).parameters.items()
        if value.kind is value.KEYWORD_ONLY
    }
    assert options - {"folder"} <= set(facts["options"])


@pytest.mark.parametrize("name", NAMES)
def test_a_revision_changes_with_the_files_and_the_options_and_with_nothing_else(name, whole):
    entry, root, split = find("datasets", name), whole(name), SPLITS[name][0]
    opened = make(entry, root=root, split=split)
    first = opened.revision
    assert make(entry, root=root, split=split).revision == first
    assert pickle.loads(pickle.dumps(opened)).revision == first
    annotation = {
        "ssv2": "labels/train.json",
        "re10k": "RealEstate10K/train/51f1744d7de0f24c.txt",
        "perception_test": "point_tracking_valid.json",
        "scannet": "scannetv2_train.txt",
    }[name]
    path = Path(root) / annotation
    path.write_text(path.read_text() + "\n")
    assert make(entry, root=root, split=split).revision != first
    assert make(entry, root=root, split=split, missing="drop", max_missing=1.0).revision != opened.revision


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_to_send_to_a_worker_is_small_and_holds_nothing_open(name):
    opened = make(find("datasets", name), root=root_of(name), split=SPLITS[name][0])
    sent = pickle.dumps(opened)
    assert len(sent) < 200_000
    found = next(one for one in opened.sample_ids() if one not in opened._absent)
    np.testing.assert_array_equal(pickle.loads(sent).load(found, [0]).video, opened.load(found, [0]).video)
