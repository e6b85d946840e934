"""The graph of units that every runner keeps."""

import pytest

from probe4d.contracts import Outcome, Unit
from probe4d_runners.unit_graph import UnitGraph


def test_a_unit_whose_outcome_is_known_is_not_counted_again():
    graph = UnitGraph([Unit(id="a", target="m:f"), Unit(id="b", target="m:f", needs=("a",))])
    assert not graph.has_ended("a")
    assert [one.unit for one in graph.settle(Outcome(unit="a", status="ok"))] == ["a"]
    assert graph.has_ended("a")
    with pytest.raises(RuntimeError, match="unit 'a': expected one outcome, got a second one"):
        list(graph.settle(Outcome(unit="a", status="failed")))
    assert graph.open == 1


def test_what_a_failure_bars_has_ended_too():
    graph = UnitGraph([Unit(id="a", target="m:f"), Unit(id="b", target="m:f", needs=("a",))])
    settled = graph.settle(Outcome(unit="a", status="failed", error="so"))
    assert [(one.unit, one.status) for one in settled] == [("a", "failed"), ("b", "skipped")]
    assert graph.has_ended("b")
    assert graph.open == 0
