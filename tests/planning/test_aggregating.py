"""Aggregates with options: as a suite says them, checked before a run, shown wherever results are."""

from __future__ import annotations

import json

import attrs
import pytest
from click.testing import CliRunner

from probe4d.aggregating import Aggregation, aggregations, check_aggregates
from probe4d.cells import Cell
from probe4d.commands.leaderboard import command as leaderboard
from probe4d.commands.suite import command as suite_command
from probe4d.errors import UnknownNameError, UsageError
from probe4d.records import RunFolder
from probe4d.suites import parse, to_toml

SUITE = """
name = "mine"
backbones = ["pixels", "4ds-micro-random"]
tasks = ["playroom-pose", "playroom-labels"]
protocols = ["frozen-quick"]
aggregates = ["mean_rank", {name = "relative_to_baseline", baseline = "pixels"}]
"""


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    for backbone, task, value in (("a", "depth", 0.1), ("a", "points", 0.9), ("b", "depth", 0.2), ("b", "points", 0.6)):
        primary = {"name": "v", "value": value, "ci95": None, "higher_is_better": task != "depth", "unit": ""}
        cell = Cell(backbone=backbone, task=f"x/{task}", protocol="x/quick", layer=0.95)
        folder.write_record(cell, {"primary": primary}, [])
    return folder


def test_an_aggregate_is_named_with_its_options():
    found = aggregations(["probe4d/mean_rank", {"name": "relative_to_baseline", "baseline": "pixels"}])
    assert [one.label for one in found] == ["mean_rank", "relative_to_baseline(baseline=pixels)"]
    assert Aggregation.from_text("relative_to_baseline,baseline=pixels") == found[1]


@pytest.mark.parametrize("entry", ["3", '""', '{baseline = "pixels"}', '"mean_rank", "mean_rank"'])
def test_an_entry_that_is_no_aggregate_or_stands_twice_is_refused(entry):
    with pytest.raises(UsageError, match="aggregates: expected"):
        parse(f'name = "mine"\naggregates = [{entry}]', "mine.toml")


@pytest.mark.parametrize("text", [",baseline=a", "worst_task,baseline", "worst_task,=a"])
def test_an_option_of_the_command_line_needs_a_name_and_a_value(text):
    with pytest.raises(UsageError, match="NAME,OPTION=VALUE"):
        Aggregation.from_text(text)


@pytest.mark.parametrize(
    ("entry", "error", "words"),
    [
        ("mean_rnk", UnknownNameError, "Did you mean 'mean_rank'"),
        ({"name": "relative_to_baseline", "basline": "a"}, UsageError, "got 'basline'. Did you mean 'baseline'"),
        ({"name": "relative_to_baseline", "baseline": "pixel"}, UsageError, "Did you mean 'pixels'"),
        ({"name": "mean_rank", "baseline": "a"}, UsageError, "it takes no options"),
        ("relative_to_baseline", UsageError, "baseline"),
    ],
    ids=["name", "option", "value", "none taken", "none given"],
)
def test_a_typo_shows_before_anything_runs(entry, error, words):
    with pytest.raises(error, match=words):
        check_aggregates([entry], ["pixels", "micro"], ["depth"])


def test_backbones_that_are_not_known_yet_leave_the_baseline_unchecked():
    check_aggregates([{"name": "relative_to_baseline", "baseline": "mine"}], [], ["depth"])


def test_a_suite_keeps_the_options_and_is_validated_with_them(tmp_path):
    read = parse(SUITE, "mine.toml")
    assert parse(to_toml(read), "again") == read
    file = tmp_path / "mine.toml"
    file.write_text(SUITE)
    shown = CliRunner().invoke(suite_command, ["show", str(file)])
    assert 'aggregates = ["mean_rank", {name = "relative_to_baseline", baseline = "pixels"}]' in shown.output
    assert CliRunner().invoke(suite_command, ["validate", str(file)]).exit_code == 0
    file.write_text(SUITE.replace('baseline = "pixels"', 'baseline = "pixel"'))
    done = CliRunner().invoke(suite_command, ["validate", str(file)])
    assert "Did you mean 'pixels'" in str(done.exception)


def test_the_leaderboard_shows_the_suites_aggregates_or_those_asked_for(run):
    suite = attrs.evolve(parse(SUITE, "mine.toml"), aggregates=({"name": "relative_to_baseline", "baseline": "b"},))
    run.write_suite(to_toml(suite))
    by_suite = json.loads(CliRunner().invoke(leaderboard, [str(run.path), "--json"]).output)
    assert [row["aggregates"] for row in by_suite] == [
        {"relative_to_baseline(baseline=b)": pytest.approx(1.75)},
        {"relative_to_baseline(baseline=b)": pytest.approx(1.0)},
    ]
    asked = CliRunner().invoke(leaderboard, [str(run.path), "-a", "worst_task,baseline=a"]).output
    assert "worst_task(baseline=a)" in asked
    assert "relative" not in asked
