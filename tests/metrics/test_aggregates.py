"""Aggregates: ranks with ties, ratios to a baseline, the worst task, and tables with holes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from probe4d_metrics import mean_rank, relative_to_baseline, worst_task

DIRECTIONS = {"depth": False, "tracks": True}
TABLE = {"a": {"depth": 0.1, "tracks": 0.6}, "b": {"depth": 0.2, "tracks": 0.8}, "c": {"depth": 0.4, "tracks": 0.8}}
CALLS = {
    "mean_rank": (mean_rank, {}),
    "relative_to_baseline": (relative_to_baseline, {"baseline": "b"}),
    "worst_task": (worst_task, {}),
}


def test_ranks_by_hand():
    assert mean_rank(TABLE, higher_is_better=DIRECTIONS) == {"a": 2.0, "b": 1.75, "c": 2.25}


def test_ratios_by_hand():
    found = relative_to_baseline(TABLE, higher_is_better=DIRECTIONS, baseline="b")
    assert found == pytest.approx({"a": (2 + 0.75) / 2, "b": 1.0, "c": (0.5 + 1) / 2})


def test_worst_tasks_by_hand():
    assert worst_task(TABLE, higher_is_better=DIRECTIONS) == pytest.approx({"a": 0.75, "b": 0.5, "c": 0.25})
    found = worst_task(TABLE, higher_is_better=DIRECTIONS, baseline="c")
    assert found == pytest.approx({"a": 0.75, "b": 1.0, "c": 1.0})


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6))
def test_ranks_agree_with_scipys(rows):
    table = {f"model {i}": {"depth": depth, "tracks": tracks} for i, (depth, tracks) in enumerate(rows)}
    expected = (rankdata([d for d, _ in rows]) + rankdata([-t for _, t in rows])) / 2
    assert list(mean_rank(table, higher_is_better=DIRECTIONS).values()) == pytest.approx(expected.tolist())


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_order_of_the_rows_makes_no_difference(name):
    call, options = CALLS[name]
    backwards = dict(reversed([(backbone, dict(reversed(row.items()))) for backbone, row in TABLE.items()]))
    assert call(backwards, higher_is_better=DIRECTIONS, **options) == call(
        TABLE, higher_is_better=DIRECTIONS, **options
    )


@pytest.mark.parametrize("name", sorted(CALLS))
@pytest.mark.parametrize(
    ("table", "directions", "message"),
    [
        (
            {"a": TABLE["a"], "b": {"depth": 0.2}},
            DIRECTIONS,
            "expected a value of 'tracks' for every backbone, got none for 'b'",
        ),
        (
            {"b": {"depth": math.nan, "tracks": 1.0}},
            DIRECTIONS,
            r"table\['b'\]\['depth'\]: expected a finite number, got nan",
        ),
        (TABLE, {"depth": False}, "higher_is_better: expected an entry for each task, got none for 'tracks'"),
        ({"b": {}}, DIRECTIONS, "expected at least one backbone and one task"),
    ],
)
def test_a_table_with_a_hole_is_an_error_that_names_it(name, table, directions, message):
    call, options = CALLS[name]
    with pytest.raises(ValueError, match=message):
        call(table, higher_is_better=directions, **options)


def test_a_baseline_that_is_not_there_or_not_positive_is_an_error():
    with pytest.raises(ValueError, match="baseline: expected one of 'a', 'b', 'c', got 'd'"):
        relative_to_baseline(TABLE, higher_is_better=DIRECTIONS, baseline="d")
    zero = {**TABLE, "c": {"depth": 0.0, "tracks": 0.1}}
    with pytest.raises(ValueError, match=r"table\['c'\]\['depth'\]: expected more than 0 for a ratio, got 0.0"):
        relative_to_baseline(zero, higher_is_better=DIRECTIONS, baseline="a")
