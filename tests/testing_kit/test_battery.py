"""How results come about, and what a report says of them."""

import json

import pytest

from probe4d.errors import UsageError
from probe4d.testing import Checked, CheckResult, Report, check_spec
from probe4d.testing.battery import Battery, Checks
from probe4d.testing.result import require, skip

CHECKS = Checks()


@CHECKS()
def works(subject):
    """It works."""
    subject.append("works")


@CHECKS()
def breaks(subject):
    """It breaks."""
    subject.append("breaks")
    require(False, "expected 1, got 2")


@CHECKS("breaks")
def rests_on_a_failure(subject):
    subject.append("never")


@CHECKS()
def cannot_run(subject):
    skip("no such thing here")


@CHECKS("cannot_run")
def rests_on_a_skip(subject):
    subject.append("never")


@CHECKS()
def crashes(subject):
    raise KeyError("x")


def test_each_check_ends_in_its_own_status_and_the_rest_go_on():
    calls = []
    results = {result.name: (result.status, result.reason) for result in Battery(CHECKS.all, calls).results()}
    assert results == {
        "works": ("passed", ""),
        "breaks": ("failed", "expected 1, got 2"),
        "rests_on_a_failure": ("skipped", "rests on breaks, which failed"),
        "cannot_run": ("skipped", "no such thing here"),
        "rests_on_a_skip": ("skipped", "no such thing here"),
        "crashes": ("failed", "raised KeyError: 'x'"),
    }
    assert calls == ["works", "breaks"]


def test_a_check_runs_once_however_often_it_is_asked_for():
    calls = []
    battery = Battery(CHECKS.all, calls)
    battery.result("rests_on_a_failure")
    battery.results()
    assert calls.count("breaks") == 1


def test_an_expected_failure_is_an_xfail_with_its_reason():
    result = Battery(CHECKS.all, [], {"breaks": "known, see the manual"}).result("breaks")
    assert (result.status, result.reason) == ("xfail", "known, see the manual")


def test_an_expected_failure_that_passes_is_a_failure():
    result = Battery(CHECKS.all, [], {"works": "once broken"}).result("works")
    assert result.status == "failed"
    assert "Take it off expected_failed_checks" in result.reason


def test_an_expected_failure_of_an_unknown_check_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean 'breaks'"):
        Battery(CHECKS.all, [], {"break": "typo"})


def test_an_interrupt_is_not_a_finding():
    checks = Checks()

    @checks()
    def interrupted(subject):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Battery(checks.all, None).results()


def test_two_checks_of_one_name_cannot_be_added():
    with pytest.raises(ValueError, match="expected a new name"):
        CHECKS()(works)


def test_an_unknown_category_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean 'metrics'"):
        check_spec("metric", None)


REPORT = Report(
    plugin="toy",
    subjects=(
        Checked(category="metrics", name="a", results=[CheckResult(name="one", status="passed", seconds=0.5)]),
        Checked(
            category="metrics",
            name="b",
            results=[
                CheckResult(name="one", status="xfail", reason="known"),
                CheckResult(name="two", status="skipped", reason="needs jax | flax"),
                CheckResult(name="three", status="skipped", reason="needs jax | flax"),
            ],
        ),
    ),
)


def test_the_summary_counts_what_ran_out_of_what_there_is():
    assert REPORT.summary == "ran 2 of 4 checks: 1 passed, 1 xfail, 2 skipped"
    assert REPORT.ok


def test_nothing_checked_is_not_ok():
    assert not Report(plugin="empty", subjects=()).ok


def test_the_json_holds_every_result():
    value = json.loads(REPORT.as_json())
    assert (value["schema"], value["ran"], value["total"]) == ("probe4d/conformance/1", 2, 4)
    assert value["subjects"][0] == {
        "category": "metrics",
        "name": "a",
        "results": [{"name": "one", "status": "passed", "reason": "", "seconds": 0.5}],
    }


def test_the_markdown_table_has_a_row_a_check_and_escapes_bars():
    rows = REPORT.as_markdown().splitlines()
    assert rows[0] == "**toy**: ran 2 of 4 checks: 1 passed, 1 xfail, 2 skipped"
    assert len(rows) == 2 + 2 + 4
    assert rows[-1] == "| metrics | b | three | skipped | needs jax \\| flax |"


def test_the_text_shows_every_skip_and_xfail_and_joins_those_of_one_reason():
    assert REPORT.as_text().splitlines() == [
        "metrics a: 1 of 1 passed",
        "metrics b: 0 of 3 passed",
        "  xfail   one: known",
        "  skipped 2 checks: needs jax | flax",
        "toy: ran 2 of 4 checks: 1 passed, 1 xfail, 2 skipped",
    ]
