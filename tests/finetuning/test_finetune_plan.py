"""What a plan makes of finetuning: units, refusals, cost; and the paper's whole table as a suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="needs jax: the readouts' plugin requires it")

import attrs
from click.testing import CliRunner

from probe4d import suites
from probe4d.cli import root
from probe4d.errors import Probe4dError
from probe4d.planning import make_plan
from probe4d.planning.outline import outline
from probe4d.planning.parts import owners
from probe4d.records import RunFolder
from probe4d.running import check_plan
from toy_plans import planned, playroom_suite

TEXT = playroom_suite(
    """
name = "small"
backbones = ["4ds-micro"]
tasks = ["playroom-pose"]
protocols = ["frozen-quick", "finetune-quick"]
""",
    train=8,
    val=4,
)


def plan_of(tmp_path: Path, text: str = TEXT):
    return planned(tmp_path, text)


def targets(plan, protocol: str) -> list[str]:
    own = [unit for unit in plan.units if unit.arguments.get("protocol", {}).get("name") == f"probe4d/{protocol}"]
    return [unit.target.rpartition(":")[2] for unit in own]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return plan_of(tmp_path_factory.mktemp("both"))


def test_each_member_is_a_unit_of_its_own_and_one_brings_them_together(both):
    assert targets(both, "finetune-quick") == ["finetune", "finetune", "collect", "score_cells"]
    assert targets(both, "frozen-quick") == ["probe", "score_cells"]
    members = [unit for unit in both.units if unit.id.startswith("finetune-")]
    assert [unit.arguments["member"]["learning_rate"] for unit in members] == [1e-3, 3e-3]
    collect = next(unit for unit in both.units if unit.id.startswith("collect-"))
    assert collect.needs == tuple(unit.id for unit in members)


def test_nothing_is_cached_for_finetuning_but_the_targets_that_are_scored(both, tmp_path):
    alone = plan_of(tmp_path, TEXT.replace('"frozen-quick", ', ""))
    assert [stored.kinds for stored in alone.sets] == [("pose",)]
    assert alone.to_json()["seconds"]["finetune"] > 0
    frozen = plan_of(tmp_path, TEXT.replace(', "finetune-quick"', ""))
    assert both.to_json()["seconds"]["stream"] == frozen.to_json()["seconds"]["finetune"] == 0


def test_the_papers_sweep_has_four_members_at_95_per_cent(tmp_path):
    plan = plan_of(tmp_path, TEXT.replace("finetune-quick", "finetune-80k"))
    members = [unit.arguments["member"] for unit in plan.units if unit.id.startswith("finetune-")]
    assert {(one["learning_rate"], one["weight_decay"]) for one in members} == {
        (rate, decay) for rate in (1e-4, 3e-4) for decay in (1e-4, 5e-2)
    }
    assert {one["layer"] for one in members} == {0.95}


def test_the_members_of_a_sweep_go_to_one_part(both):
    found = owners(both.units, 2)
    own = {found[unit.id] for unit in both.units if unit.id.startswith(("finetune-", "collect-"))}
    assert len(own) == 1


def test_the_outline_names_the_unit_that_stands_for_a_finetuned_sweep(both):
    trained = {sweep["what"]: sweep["train"].partition("-")[0] for sweep in outline(both)["sweeps"]}
    assert set(trained.values()) == {"probe", "collect"}
    assert all("score" in sweep for sweep in outline(both)["sweeps"])


def test_a_backbone_with_frozen_features_only_is_refused_by_name(tmp_path):
    plan = plan_of(tmp_path, TEXT.replace('["4ds-micro"]', '["pixels", "4ds-micro-random"]'))
    assert [cell[:3] for cell in plan.blocked] == [("pixels", "probe4d/playroom-pose", "probe4d/finetune-quick")]
    assert plan.blocked[0].lacks == ("a trainable backbone",)
    assert len(plan.sweeps) == 3
    with pytest.raises(Probe4dError, match="fourds/pixels offers frozen features only") as caught:
        check_plan(plan)
    assert caught.value.exit_code == 2


def test_a_setting_that_finetuning_does_not_have_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(Probe4dError, match="weight_decays"):
        plan_of(tmp_path, TEXT + "[overrides.finetune-quick]\nweight_decay = 0.1\n")


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    made = CliRunner().invoke(root, ["plan", "paper", "--json", "-o", str(folder / "run"), "--store", str(folder)])
    assert made.exception is None or isinstance(made.exception, SystemExit)
    return made.exit_code, json.loads(made.stdout)


def test_the_papers_suite_is_every_cell_of_its_tables(paper):
    code, plan = paper
    assert code == 4  # weights and data are missing; nothing crashed
    cells = {(cell["backbone"], cell["task"], cell["protocol"]) for cell in plan["blocked"]}
    assert len(plan["blocked"]) == len(cells) == 18 * 5 * 4
    assert plan["cells"] == []


def test_every_cell_of_the_papers_suite_says_what_it_lacks_and_costs(paper):
    _, plan = paper
    by = {(one["backbone"], one["task"], one["protocol"]): one for one in plan["blocked"]}
    one = by["4ds-j", "probe4d/perception_test", "probe4d/finetune-20k"]
    assert one["lacks"] == ["weights (not public)", "data movi_e", "data perception_test"]
    assert (one["bytes"], one["layers"]) == (0, [0.95])
    assert by["dinov2-l", "probe4d/ssv2", "probe4d/frozen"]["lacks"] == ["weights", "data ssv2"]
    assert by["dinov2-l", "probe4d/ssv2", "probe4d/frozen"]["bytes"] > 1e12
    assert all(cell["seconds"] > 0 for cell in plan["blocked"])
    longer = [by["4ds-s", "probe4d/waymo", f"probe4d/finetune-{n}k"]["seconds"] for n in (20, 40, 80)]
    assert longer[0] < longer[1] < longer[2] < 4.1 * longer[0]
    assert {one["dataset"] for one in plan["expected"]} >= {"probe4d/ssv2", "probe4d/waymo", "probe4d/movi_e"}


def test_the_papers_suite_in_words_has_a_line_per_cell(tmp_path):
    shown = CliRunner().invoke(
        root, ["plan", "paper", "-t", "ssv2", "-o", str(tmp_path / "run"), "--store", str(tmp_path)]
    )
    lines = shown.stdout.splitlines()
    assert lines[0] == "suite paper: 72 cells, of which 72 cannot run yet"
    assert sum("data ssv2" in line for line in lines) == 72
    assert any("weights (not public), data ssv2" in line for line in lines)
    assert any(line.startswith("finetuning") for line in lines)


def test_the_papers_suite_is_planned_but_not_run_without_what_is_missing(tmp_path):
    suite = attrs.evolve(suites.find_suite("paper"), tasks=("waymo",), protocols=("finetune-20k",))
    plan = make_plan(suite, RunFolder(tmp_path / "run"), store=str(tmp_path))
    with pytest.raises(Probe4dError, match="not public"):
        check_plan(plan)
