"""Suites and plans: what a suite comes to, before anything runs."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d import suites
from probe4d.commands.plan import _text, weights_licences
from probe4d.errors import NothingSelectedError, Probe4dError, UsageError
from probe4d.planning import costs, sets
from probe4d.planning.units import PROBE
from probe4d.running import check_plan
from toy_plans import PIXELS_ON_LABELS, planned, playroom_suite

pytest.importorskip("jax", reason="needs jax: the readouts' plugin requires it")

TEXT = playroom_suite(PIXELS_ON_LABELS.replace("tasks = [", 'tasks = ["playroom-points", '), train=100, val=24)


def plan_of(tmp_path, text: str = TEXT, **options):
    return planned(tmp_path, text, **options)


values = st.one_of(st.integers(-99, 99), st.booleans(), st.text(max_size=5), st.lists(st.integers(0, 9), max_size=3))
tables = st.dictionaries(
    st.text(min_size=1, max_size=6), st.dictionaries(st.text(max_size=5), values, max_size=3), max_size=3
)


@given(st.text(min_size=1), st.lists(st.text(min_size=1)), tables, tables)
def test_a_suite_written_as_toml_reads_back_the_same(name, tasks, data, overrides):
    suite = suites.Suite(name=name, tasks=tasks, data=data, overrides=overrides, layers=[0.5, 3])
    again = suites.parse(suites.to_toml(suite), "test")
    assert suites.to_toml(again) == suites.to_toml(suite)
    assert again.tasks == suite.tasks
    assert dict(again.overrides) == dict(suite.overrides)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = 3", "name: expected text"),
        ('name = "x"\ntask = []', "Did you mean 'tasks'"),
        ('name = "x"\nlayers = [1.5]', "depths in"),
        ('name = "x"\nbackbones = [{label = "a"}]', "expected names or tables"),
        ('name = "x"\nbackbones = [{name = "a", weight = "f"}]', "Did you mean 'weights'"),
        ('name = "x"\n[data]\nplayroom = 3', "expected a table per name"),
        ("name = ", "expected TOML"),
        ("", "expected a name"),
    ],
)
def test_a_wrong_suite_says_what_was_expected(text, words):
    with pytest.raises(UsageError, match=words):
        suites.parse(text, "x.toml")


def test_a_plan_has_a_cell_per_backbone_task_protocol_and_layer(tmp_path):
    plan = plan_of(tmp_path, TEXT.replace("protocols", "layers = [0.5, 0.95]\nprotocols"))
    cells = [cell for sweep in plan.sweeps for cell in sweep.cells]
    assert {(cell.backbone, cell.task, cell.layer) for cell in cells} == {
        ("pixels", f"probe4d/playroom-{task}", layer) for task in ("points", "labels") for layer in (0.5, 0.95)
    }
    assert len({cell.folder for cell in cells}) == len(cells)


def test_tasks_share_features_and_backbones_share_targets(tmp_path):
    text = TEXT.replace('["pixels"]', '["pixels", {name = "4ds-micro-random", label = "micro"}]')
    plan = plan_of(tmp_path, text)
    features = [one for one in plan.sets if one.backbone is not None]
    targets = [one for one in plan.sets if one.backbone is None]
    assert len(features) == 4  # two backbones x two splits, whatever the number of tasks
    assert len(targets) == 4  # two kinds x two splits, whatever the number of backbones


@pytest.mark.parametrize(("start", "shared"), [("first", 2), ("random", 1)])
def test_another_seed_uses_the_same_features_where_clips_are_cut_without_chance(tmp_path, start, shared):
    text = TEXT.replace("[clip]", f'[clip]\nstart = "{start}"')
    first, other = (plan_of(tmp_path, f"{text}\n[overrides.frozen-quick]\nseed = {seed}") for seed in (0, 1))
    both = {one.digest for one in first.sets if one.backbone} & {one.digest for one in other.sets if one.backbone}
    assert len(both) == shared  # those of `val` are cut the same for every seed
    assert {unit.id for unit in first.units if unit.target == PROBE}.isdisjoint(unit.id for unit in other.units)


def test_unit_ids_are_the_work_they_name(tmp_path):
    first, again = plan_of(tmp_path), plan_of(tmp_path)
    assert [unit.id for unit in first.units] == [unit.id for unit in again.units]
    assert len({unit.id for unit in first.units}) == len(first.units)
    changed = plan_of(tmp_path, TEXT.replace("length = 24", "length = 25"))
    assert {unit.id for unit in changed.units} != {unit.id for unit in first.units}
    json.dumps([dict(unit.arguments) for unit in first.units])


def test_needs_name_units_of_the_plan_that_stand_before(tmp_path):
    seen = set()
    for unit in plan_of(tmp_path).units:
        assert set(unit.needs) <= seen
        seen.add(unit.id)


def test_a_limit_takes_the_first_samples(tmp_path):
    assert {len(one.clips.ids) for one in plan_of(tmp_path, limit=5).sets} == {5}


def test_bytes_are_those_of_features_and_targets(tmp_path):
    plan = plan_of(tmp_path)
    spec = plan.sweeps[0].backbone.spec
    numbers = spec.tokens.time * spec.tokens.space * spec.tokens.channels
    by_set = {(stored.kinds, len(stored.clips.ids)): stored.description.nbytes for stored in plan.sets}
    assert 100 * numbers * 2 <= by_set[(), 100] < 130 * numbers * 2 + 999  # float16, in whole shards
    kinds = {kinds for kinds, _ in by_set if kinds}
    assert all(by_set[kind, 24] > 24 for kind in kinds)
    assert plan.bytes == sum(by_set.values())
    assert plan.bytes_todo() == plan.bytes


def test_weights_that_are_not_there_show_before_anything_runs(tmp_path):
    plan = plan_of(tmp_path, TEXT.replace('["pixels"]', '[{name = "4ds-micro", weights = "/nowhere/mine.npz"}]'))
    assert [(problem.of, problem.exit_code) for problem in plan.problems] == [("4ds-micro", 4)]
    assert "expected a file at /nowhere/mine.npz, got none" in plan.problems[0].reason
    assert plan.sweeps == ()


def test_the_same_weights_by_another_path_are_the_same_features(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.npz").write_bytes(b"one")

    def address(location):
        text = TEXT.replace('["pixels"]', f'[{{name = "4ds-micro", weights = "{location}"}}]')
        return plan_of(tmp_path, text).sweeps[0].train.address.weights

    by_home = address("~/mine.npz")
    assert by_home == address(tmp_path / "mine.npz")
    (tmp_path / "mine.npz").write_bytes(b"two")
    assert address("~/mine.npz") != by_home


def test_examples_and_the_licence_of_weights_are_shown_before_anything_runs(tmp_path):
    file = tmp_path / "vitl16.pth.tar"
    file.write_bytes(b"not read by a plan")
    text = TEXT.replace('["pixels"]', f'["pixels", {{name = "vjepa-l", weights = "{file}"}}]')
    plan = plan_of(tmp_path, text + "[overrides.frozen-quick]\nsteps = 250\nbatch_size = 8\n")
    trainings = plan.to_json()["trainings"]
    assert [(one["examples"], one["evaluated"]) for one in trainings] == [(2000, 24)] * len(plan.sweeps)
    lines = _text(plan).splitlines()
    said = f"training under probe4d/frozen-quick: {len(plan.sweeps)} sweeps of 2,000 examples"
    assert [line for line in lines if line.startswith(said)]
    assert weights_licences(plan) == ["licence of vjepa-l: CC-BY-NC-4.0"]


def test_the_time_of_training_readouts_is_estimated_where_it_is_known_what_they_compute(tmp_path, monkeypatch):
    def plan(steps):
        return plan_of(tmp_path, f"{TEXT}[overrides.frozen-quick]\nsteps = {steps}\nbatch_size = 8\n")

    def seconds(steps):
        return {one["task"]: one["readout_seconds"] for one in plan(steps).to_json()["trainings"]}

    short, long = seconds(100), seconds(1000)
    assert short["probe4d/playroom-points"] > short["probe4d/playroom-labels"] > 0
    for task, value in short.items():
        assert long[task] == pytest.approx(10 * value, rel=0.05)  # what is evaluated is the same
    assert any(line.startswith("training readouts: about") for line in _text(plan(100)).splitlines())
    entry = costs.find("readouts", "readouts/labels")
    silent = attrs.evolve(entry, spec=attrs.evolve(entry.spec, flops=""))
    found = costs.find
    monkeypatch.setattr(costs, "find", lambda sort, name: silent if name == "readouts/labels" else found(sort, name))
    assert seconds(100)["probe4d/playroom-labels"] is None
    assert "time of training readouts not known: probe4d/playroom-labels" in _text(plan(100))


def test_the_matmul_rate_is_that_of_the_machine_whatever_else_it_does():
    costs.measured_flops.cache_clear()
    assert 1e9 < costs.measured_flops() < 1e14


@pytest.mark.parametrize("library", ["pillow", "av", "numpy", "opencv-python-headless"])
def test_another_version_of_what_decodes_or_computes_is_another_set(tmp_path, monkeypatch, library):
    real = sets.versions_of

    def digests(version):
        with monkeypatch.context() as patch:
            told = {library: version}
            patch.setattr(sets, "versions_of", lambda names: real(names) | (told if library in names else {}))
            plan = plan_of(tmp_path)
        return {stored.digest for stored in plan.sets if stored.backbone is not None or library in sets.DECODERS}

    assert digests("1").isdisjoint(digests("2"))


def test_a_stream_stores_no_features_and_is_estimated(tmp_path):
    cached, streamed = (
        plan_of(tmp_path, TEXT + f"[overrides.frozen-quick]\nviews = {views}\n").to_json() for views in (1, 0)
    )
    assert cached["seconds"]["stream"] == 0
    assert all(one["backbone"] is None for one in streamed["sets"])
    assert streamed["bytes"] < cached["bytes"] / 10


def test_what_is_not_public_blocks_its_cells_and_says_so(tmp_path):
    plan = plan_of(tmp_path, TEXT.replace('["pixels"]', '["pixels", "4ds-j"]'))
    assert {sweep.backbone.ref.label for sweep in plan.sweeps} == {"pixels"}
    assert [cell[0] for cell in plan.blocked] == ["4ds-j", "4ds-j"]
    assert "not public" in plan.problems[0].reason
    with pytest.raises(Probe4dError, match="not public") as caught:
        check_plan(plan)
    assert caught.value.exit_code == 4
    check_plan(plan, partial=True)


def test_a_disk_that_is_too_small_is_refused(tmp_path, monkeypatch):
    plan = plan_of(tmp_path)
    monkeypatch.setattr(type(plan), "free_bytes", lambda self: 1000)
    with pytest.raises(Probe4dError, match="GB free"):
        check_plan(plan)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("tasks = [", 'tasks = ["playroom-pints", '), "Did you mean"),
        (("[clip]", "[overrides.frozen-quik]\nsteps = 3\n[clip]"), "names no task or protocol"),
        (("[clip]", "[overrides.frozen-quick]\nstep = 3\n[clip]"), "Did you mean 'steps'"),
        (("[clip]", "[overrides.playroom-points]\nmetric = 3\n[clip]"), "Did you mean 'metrics'"),
        (("size = [32, 32]", "sizes = [32, 32]"), "Did you mean 'size'"),
        (("size = [32, 32]", 'size = "big"'), "overrides of probe4d/playroom-points"),
        (("[clip]", "[overrides.frozen-quick]\nviews = -1\n[clip]"), "settings of probe4d/frozen-quick: 'views' must"),
        (("[clip]", '[overrides.frozen-quick]\nsteps = "ten"\n[clip]'), "settings of probe4d/frozen-quick"),
        (("[clip]", "[overrides.playroom-points]\nmetrics = 3\n[clip]"), "overrides of probe4d/playroom-points"),
        (("size = 32", 'size = "big"'), "playroom size"),
        (('["pixels"]', '["pixels", "pixels"]'), "each label once"),
        (("[data.playroom.val]", "[data.playroom.valid]"), "no such split"),
    ],
)
def test_a_name_or_field_that_does_not_exist_is_an_error(change, words, tmp_path):
    with pytest.raises(Probe4dError, match=words):
        check_plan(plan_of(tmp_path, TEXT.replace(*change)))


def test_a_suite_without_backbones_wants_some(tmp_path):
    text = TEXT.replace('backbones = ["pixels"]\n', "")
    with pytest.raises(NothingSelectedError, match="expected backbones"):
        plan_of(tmp_path, text)
    assert len(plan_of(tmp_path, text, backbones=["pixels"]).sweeps) == 2


def test_a_broken_metric_shows_before_anything_runs(tmp_path, monkeypatch):
    from probe4d_metrics import Accuracy

    def broken(*_):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(Accuracy, "measure_batch", broken)
    plan = plan_of(tmp_path)
    assert [problem.of for problem in plan.problems] == ["probe4d/playroom-labels"]
    assert "no such luck" in plan.problems[0].reason


def test_a_setting_inside_a_value_says_which_of_the_two_to_drop(tmp_path):
    from probe4d.commands.suite_options import _with_settings

    suite = suites.parse(TEXT, "test")
    changed = _with_settings(suite, ["data.playroom.train.length=9", "overrides.frozen-quick.steps=3"])
    assert changed.data["playroom"]["train"]["length"] == 9
    assert changed.overrides["frozen-quick"] == {"steps": 3}
    with pytest.raises(UsageError, match="sets a part of 'size', which has a value"):
        _with_settings(suite, ["data.playroom.size.height=9"])
