"""Records as a table: the best marked, aggregates that fail told and not fatal."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from probe4d.cells import Cell
from probe4d.cli import root
from probe4d.errors import DataError, NothingSelectedError, UsageError
from probe4d.records import RunFolder
from probe4d.results import compare_runs, results_table
from probe4d.tables import results_text


def run_of(folder, values: dict[tuple[str, str], float]) -> RunFolder:
    """Return a run with these primary values by backbone and task; lower is better for `depth`."""
    run = RunFolder(folder)
    for (backbone, task), value in values.items():
        primary = {"name": "v", "value": value, "ci95": None, "higher_is_better": task != "depth", "unit": ""}
        cell = Cell(backbone=backbone, task=f"x/{task}", protocol="x/quick", layer=0.95)
        run.write_record(cell, {"primary": primary}, [])
    return run


VALUES = {("a", "depth"): 0.1, ("a", "points"): 0.0, ("b", "depth"): 0.2, ("b", "points"): 0.5}


def test_the_best_of_each_column_is_marked_whichever_way_is_better(tmp_path):
    text = results_text(results_table(run_of(tmp_path, VALUES).records()), ["mean_rank"])
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert rows["a"] == ["0.100*", "0.000", "1.5"]
    assert rows["b"] == ["0.200", "0.500*", "1.5"]


@pytest.mark.parametrize(("name", "words"), [("worst_task", "more than 0"), ("relative_to_baseline", "baseline")])
def test_an_aggregate_that_is_not_defined_is_told_and_the_table_stands(name, words, tmp_path):
    results = results_table(run_of(tmp_path, VALUES).records())
    with pytest.raises(DataError, match=words):
        results.aggregate(name)
    text = results_text(results, [name, "mean_rank"])
    assert f"no {name}: probe4d/{name}:" in text
    assert "0.500*" in text


def test_a_backbone_that_lacks_a_cell_has_no_aggregate(tmp_path):
    values = {key: value for key, value in VALUES.items() if key != ("b", "points")}
    results = results_table(run_of(tmp_path, values).records())
    assert set(results.aggregate("mean_rank")) == {"a"}
    assert results_text(results, ["mean_rank"]).splitlines()[2].split() == ["b", "0.200", "-", "-"]


def test_a_run_that_is_not_there_is_named_and_not_left_out(tmp_path):
    run = run_of(tmp_path / "run", VALUES)
    missing = RunFolder(tmp_path / "rum")
    for one, other in ((run, missing), (missing, run)):
        with pytest.raises(NothingSelectedError, match="rum: expected a run with records"):
            compare_runs(one, other)
        done = CliRunner().invoke(root, ["leaderboard", str(one.path), str(other.path)])
        assert isinstance(done.exception, NothingSelectedError)
        assert f"{missing.path}: expected a run with records, got none" in str(done.exception)


def test_no_records_and_the_same_cell_twice_are_errors(tmp_path):
    with pytest.raises(NothingSelectedError):
        results_table([])
    records = run_of(tmp_path, VALUES).records()
    with pytest.raises(UsageError, match="has a record in"):
        results_table([*records, *records])
