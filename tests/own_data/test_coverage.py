"""What was left out is counted and named; too much of it is an error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d.errors import DataError, UsageError
from probe4d_datasets.coverage import Coverage


def test_the_record_names_every_sample_left_out() -> None:
    state = Coverage(total=10, max_broken=0.2).with_one().without("b", "cut off").without("a", "no video")
    assert json.loads(json.dumps(state.as_record())) == {
        "total": 10,
        "used": 1,
        "left_out": [{"id": "a", "reason": "no video"}, {"id": "b", "reason": "cut off"}],
        "max_broken": 0.2,
    }


def test_one_too_many_stops_and_says_why() -> None:
    state = Coverage(total=20, max_broken=0.05).without("a", "first.")
    with pytest.raises(DataError, match=r"at most 5% of 20 to be broken, got 2 after 2: first\. second\. Repair"):
        state.without("b", "second.")
    with pytest.raises(DataError, match="at most 0% of 3"):
        Coverage(total=3, max_broken=0).without("a", "x")
    assert Coverage(total=2, max_broken=1).without("a", "x").without("b", "y").used == 0


@given(st.lists(st.booleans(), max_size=20), st.integers(0, 20))
def test_any_division_into_parts_merges_to_the_whole(broken: list[bool], cut: int) -> None:
    def count(numbers: range) -> Coverage:
        state = Coverage(total=len(broken), max_broken=1)
        for number in numbers:
            state = state.without(f"s{number}", "x") if broken[number] else state.with_one()
        return state

    cut = min(cut, len(broken))
    one, other = count(range(cut)), count(range(cut, len(broken)))
    assert one.merge(other) == other.merge(one) == count(range(len(broken)))


def test_parts_of_different_sets_do_not_merge_and_a_fraction_is_one() -> None:
    with pytest.raises(UsageError, match="expected parts of one set"):
        Coverage(total=3).merge(Coverage(total=4))
    for wrong in (1.5, -0.1, True, "all"):
        with pytest.raises(UsageError, match="expected a fraction from 0 to 1"):
            Coverage(total=3, max_broken=wrong)
