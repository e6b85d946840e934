"""Features of another platform: taken where everything else is the same, said in plan and record, and never else."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from probe4d.errors import Probe4dError
from probe4d.planning import sets
from probe4d.planning.units import EXTRACT, SCORE
from probe4d.registry import CATEGORIES, Registry, registry
from probe4d.running import check_plan
from probe4d.store import FeatureStore
from probe4d.store.files import join
from toy_plans import PIXELS_ON_LABELS, planned, playroom_suite

pytest.importorskip("jax", reason="needs jax: the readouts' plugin requires it")

TEXT = playroom_suite(PIXELS_ON_LABELS, train=70, val=8)
THERE = {"numpy": "2.0.0", "engine": "9"}


def plan_of(folder, text=TEXT, **options):
    return planned(folder, text, **options)


@pytest.fixture
def elsewhere(monkeypatch):
    """Return a function that plans as on another platform."""

    def plan(folder, text=TEXT, versions=THERE, **options):
        with monkeypatch.context() as patch:
            patch.setattr(sets, "versions_of", lambda names: dict(versions))
            return plan_of(folder, text, **options)

    return plan


def lacking_packages():
    """Return the registry of an environment that has not what `pixels` needs."""
    known = registry()
    by_category = {name: known.entries(name) for name in CATEGORIES}
    by_category["backbones"] = tuple(
        attrs.evolve(entry, spec=attrs.evolve(entry.spec, requires=("absent-package>=2",)))
        if entry.spec.name == "pixels"
        else entry
        for entry in by_category["backbones"]
    )
    return Registry(records=known.records, manager=known.manager, by_category=by_category)


def fill(plan, but=()):
    """Store zeros as the features of a plan, but for some (split, shard)."""
    for stored in (one for one in plan.sets if one.backbone is not None):
        place = join(plan.root, stored.digest)
        store = FeatureStore.create(place, stored.address, ids=stored.clips.ids, layers=stored.row_shapes)
        for shard in range(store.num_shards):
            if (stored.clips.split, shard) not in but:
                ids = store.shard_ids(shard)
                empty = {layer: np.zeros((len(ids), *shape)) for layer, shape in stored.row_shapes.items()}
                store.write_shard(shard, {f"layers/{layer}/features": rows for layer, rows in empty.items()}, ids)


def digests(plan):
    return {stored.digest for stored in plan.sets if stored.backbone is not None}


def test_features_of_another_platform_are_taken_where_the_backbone_cannot_run(tmp_path, elsewhere):
    there = elsewhere(tmp_path)
    fill(there)
    plan = plan_of(tmp_path, registry=lacking_packages())
    check_plan(plan)
    assert plan.problems == ()
    assert digests(plan) == digests(there)
    assert {stored.digest for stored in plan.adopted} == digests(there)
    assert all(stored.differs["platform.libraries.engine"] == (None, "9") for stored in plan.adopted)
    left = [unit for unit in plan.todo if unit.target == EXTRACT]
    assert all("kinds" in unit.arguments["rows"] for unit in left)  # targets are made here
    (score,) = (unit for unit in plan.units if unit.target == SCORE)
    said = score.arguments["context"]["data"]["train"]
    assert said["features"] in digests(there)
    assert said["adopted"]["platform.libraries.engine"] == [None, "9"]
    assert [one["adopted"] is None for one in plan.to_json()["sets"]] == [False, False, True, True]


def test_where_the_backbone_runs_its_own_features_are_extracted(tmp_path, elsewhere):
    fill(elsewhere(tmp_path))
    plan = plan_of(tmp_path)
    assert plan.adopted == ()
    assert digests(plan).isdisjoint(digests(elsewhere(tmp_path)))


def test_only_probe_takes_what_is_stored_and_extracts_no_features(tmp_path, elsewhere):
    there = elsewhere(tmp_path)
    fill(there)
    plan = plan_of(tmp_path, only="probe")
    check_plan(plan)
    assert digests(plan) == digests(there)
    fill(plan_of(tmp_path))  # this platform's own go before those of another
    assert plan_of(tmp_path, only="probe").adopted == ()


def test_only_extract_has_no_other_units_and_needs_nothing_that_trains(tmp_path):
    known = registry()
    by_category = {name: known.entries(name) for name in CATEGORIES} | {"readouts": ()}
    bare = Registry(records=known.records, manager=known.manager, by_category=by_category)
    plan = plan_of(tmp_path, registry=bare, only="extract")
    check_plan(plan)
    assert {unit.target for unit in plan.units} == {EXTRACT}
    assert {unit.id for unit in plan.units} == {unit.id for unit in plan_of(tmp_path).units if unit.target == EXTRACT}
    with pytest.raises(Probe4dError, match="labels"):
        check_plan(plan_of(tmp_path, registry=bare))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("length = 70", "length = 71"), "samples (here"),
        (("[clip]\nsize", "[clip]\nstride = 2\nsize"), "clip.stride (here 1, there 2)"),
        (('protocols = ["frozen-quick"]', 'protocols = ["frozen-quick"]\nlayers = [0.5]'), "layers (here"),
        (
            ("[data.playroom.val]", "[overrides.frozen-quick]\nextract_batch_size = 3\n[data.playroom.val]"),
            "platform.batch (here 8, there 3)",
        ),
    ],
)
def test_what_differs_in_anything_else_is_not_taken_and_the_field_is_named(tmp_path, elsewhere, change, said):
    assert change[0] in TEXT
    fill(elsewhere(tmp_path, TEXT.replace(*change)))
    plan = plan_of(tmp_path, registry=lacking_packages())
    assert plan.adopted == ()
    with pytest.raises(Probe4dError) as caught:
        check_plan(plan)
    assert said in str(caught.value)
    assert "absent-package>=2" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_set_that_is_not_whole_is_not_taken(tmp_path, elsewhere):
    fill(elsewhere(tmp_path), but=[("train", 1)])
    (problem,) = (one for one in plan_of(tmp_path, registry=lacking_packages()).problems if "shards" in one.reason)
    assert problem.of == "pixels on probe4d/playroom-labels"
    assert "without 1 of its shards" in problem.reason


def test_training_and_evaluation_features_are_of_one_platform(tmp_path, elsewhere):
    fill(elsewhere(tmp_path), but=[("val", 0)])
    other = elsewhere(tmp_path, versions={"numpy": "1.26.4"})
    fill(other, but=[("train", 0), ("train", 1)])
    assert plan_of(tmp_path, registry=lacking_packages()).sweeps == ()
    fill(other)
    assert digests(plan_of(tmp_path, registry=lacking_packages())) == digests(other)


def test_what_is_streamed_needs_the_backbone_itself(tmp_path, elsewhere):
    fill(elsewhere(tmp_path))
    streamed = TEXT + "[overrides.frozen-quick]\nviews = 0\n"
    plan = plan_of(tmp_path, streamed, registry=lacking_packages())
    assert [problem.of for problem in plan.problems] == ["pixels"]
    assert plan.sweeps == ()
