"""Streaming: nothing is cached, and what is trained is what a cache of the same views would have trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs jax: probes are trained with it")

import attrs

from probe4d import suites
from probe4d.errors import DataError
from probe4d.planning import make_plan
from probe4d.records import RunFolder
from probe4d.registry import load_target
from probe4d_datasets.playroom import Playroom
from probe4d_runners.clip_source import ClipSource
from toy_plans import playroom_suite

SUITE = playroom_suite(
    """
name = "tiny"
backbones = ["pixels"]
tasks = ["playroom-pose"]
protocols = ["frozen-quick"]
""",
    train=12,
    val=4,
    more="""
[overrides.frozen-quick]
steps = 4
warmup_steps = 1
batch_size = 2
eval_batch_size = 3
extract_batch_size = 2
learning_rates = [1e-3, 1e-2]
readout = {width = 16, heads = 2}
""",
)


def suite(views: int, **overrides: object) -> suites.Suite:
    read = suites.parse(SUITE, "tiny.toml")
    settings = {**read.overrides["frozen-quick"], "views": views, **overrides}
    return attrs.evolve(read, overrides={"frozen-quick": settings})


class Run:
    """A plan carried out in this process, unit by unit."""

    def __init__(self, folder: Path, read: suites.Suite) -> None:
        self.folder = folder
        self.plan = make_plan(read, RunFolder(folder / "run"), store=str(folder / "store"))

    def carry_out(self) -> dict[str, object]:
        """Return the record after every unit that is still to do."""
        for unit in make_plan(self.plan.suite, self.plan.run, store=self.plan.root).todo:
            load_target(unit.target)(**unit.arguments)
        (record,) = self.plan.run.records()
        return dict(record.content)


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("cached"), suite(views=1)).carry_out()


@pytest.fixture(scope="module")
def streamed_run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("streamed"), suite(views=0))


@pytest.fixture(scope="module")
def streamed(streamed_run):
    return streamed_run.carry_out()


def test_a_stream_trains_what_a_cache_of_the_same_views_trains(cached, streamed):
    # Four steps of two are less than an epoch of twelve clips: every clip in its first view, in the same order.
    assert streamed["members"] == cached["members"]
    assert streamed["values"] == cached["values"]
    assert streamed["files"]["predictions.npz"] == cached["files"]["predictions.npz"]


def test_nothing_but_the_targets_to_score_is_stored(streamed_run, streamed):
    assert [stored.kinds for stored in streamed_run.plan.sets] == [("pose",)]
    assert not list((streamed_run.folder / "store").glob("*/features.zarr/layers"))


def test_the_record_says_that_nothing_was_cached(cached, streamed):
    assert (cached["protocol"]["settings"]["views"], streamed["protocol"]["settings"]["views"]) == (1, 0)
    assert (cached["data"]["train"]["views"], streamed["data"]["train"]["views"]) == (1, 0)
    assert cached["data"]["train"]["features"]
    assert streamed["data"]["train"]["features"] is None
    assert cached["timings"]["extract"] > 0
    assert "extract" not in streamed["timings"]


def test_the_identity_of_the_work_tells_a_stream_from_a_cache(cached, streamed):
    assert streamed["unit"] != cached["unit"]


def test_every_epoch_sees_new_views_of_the_clips(tmp_path, monkeypatch):
    seen: list[tuple[str, int]] = []
    clip = ClipSource.clip
    monkeypatch.setattr(
        ClipSource, "clip", lambda self, name, view: seen.append((name, view)) or clip(self, name, view)
    )
    drawn = suite(views=0, steps=7, seed=5)
    run = Run(tmp_path, attrs.evolve(drawn, clip={**drawn.clip, "start": "random"}))
    probe = next(unit for unit in run.plan.units if unit.id.startswith("probe"))
    load_target(probe.target)(**probe.arguments)
    train = [item for item in seen if item[1] >= 5]
    assert len(set(train)) == len(train)
    assert [view for _, view in train[:14]] == [5] * 12 + [6] * 2


def test_a_stream_that_was_interrupted_starts_its_unit_again_and_ends_alike(streamed, tmp_path, monkeypatch):
    run = Run(tmp_path, suite(views=0))
    load, asked = Playroom.load, []

    def interrupted(self, sample_id, frames=None):
        asked.append(sample_id)
        if self.split == "train" and len(asked) > 6:
            raise KeyboardInterrupt
        return load(self, sample_id, frames)

    monkeypatch.setattr(Playroom, "load", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.carry_out()
    assert not list((tmp_path / "run/sweeps").glob("*/sweep.json"))
    monkeypatch.setattr(Playroom, "load", load)
    again = run.carry_out()
    assert again["members"] == streamed["members"]
    assert again["files"]["predictions.npz"] == streamed["files"]["predictions.npz"]


def broken(*names: str):
    load = Playroom.load

    def loaded(self, sample_id, frames=None):
        if sample_id in names:
            raise DataError(f"{sample_id}: it is broken.")
        return load(self, sample_id, frames)

    return loaded


def test_a_broken_clip_costs_itself_and_is_named(tmp_path, monkeypatch):
    run = Run(tmp_path, suite(views=0, max_broken=0.3, steps=6))  # more than an epoch of the eleven that are left
    first = run.plan.sweeps[0].train.clips.ids[0]
    monkeypatch.setattr(Playroom, "load", broken(first))
    record = run.carry_out()
    assert record["samples"]["train_left_out"] == {first: f"{first}: it is broken."}
    assert record["samples"]["evaluated"] == 4


def test_too_many_broken_clips_fail_the_unit(tmp_path, monkeypatch):
    run = Run(tmp_path, suite(views=0))
    monkeypatch.setattr(Playroom, "load", broken(*run.plan.sweeps[0].train.clips.ids))
    with pytest.raises(DataError, match="broken"):
        run.carry_out()


@pytest.mark.parametrize("views", [0, 2])
def test_a_member_is_chosen_on_held_out_samples(views, tmp_path):
    run = Run(tmp_path, suite(views=views, select_on="holdout", holdout=0.25))
    record = run.carry_out()
    assert record["select_on"] == "holdout"
    sweep = json.loads(next((tmp_path / "run/sweeps").glob("*/sweep.json")).read_text())
    assert sweep["clips"] == {"train": 9 * max(views, 1), "evaluate": 4, "holdout": 3 * max(views, 1)}
    chosen = min(record["members"], key=lambda member: member["chosen_by"])
    assert record["selected"]["name"] == chosen["name"]
    assert all(np.isfinite(member["chosen_by"]) for member in record["members"])
    assert [m["chosen_by"] for m in record["members"]] != [m["values"]["epe"] for m in record["members"]]
