"""The local runner, with real processes: what dies costs itself, and nothing is left behind."""

import functools
import os
import signal
import subprocess
import sys
import time

import pytest

from probe4d.builtin.runners_specs import RUNNERS
from probe4d.contracts import Unit
from probe4d.errors import UsageError
from probe4d.testing import parametrize_with_checks
from probe4d_runners.local import LocalRunner
from runner_toys import alive, gone_soon, pids, toy_unit


@pytest.fixture
def unit(tmp_path):
    """Return a function that makes a unit of the toy module."""
    return functools.partial(toy_unit, tmp_path)


@parametrize_with_checks([spec for spec in RUNNERS if spec.name == "local"])
def test_conformance(check):
    check()


def run(units, **options):
    return {outcome.unit: outcome for outcome in LocalRunner(**{"workers": 2, **options}).run(units)}


def test_a_worker_killed_once_is_replaced_and_its_unit_tried_again(unit):
    outcomes = run([unit("a", "die once"), unit("b", needs=("a",))])
    assert (outcomes["a"].status, outcomes["a"].value, outcomes["a"].attempts) == ("ok", 2, 2)
    assert outcomes["b"].status == "ok"


def test_a_unit_that_kills_every_worker_fails_after_its_tries_and_names_the_signal(unit):
    outcome = run([unit("a", "die")], retries=2)["a"]
    assert (outcome.status, outcome.attempts) == ("failed", 3)
    assert outcome.error == "its worker was killed by SIGKILL (tried 3 times)"


def test_a_unit_that_raises_is_not_tried_again_and_shows_its_traceback(unit):
    outcome = run([unit("a", "raise")], retries=3)["a"]
    assert (outcome.status, outcome.attempts) == ("failed", 1)
    assert "runner_toys.py" in outcome.error
    assert outcome.error.endswith("KeyError: 'a'")


def test_a_unit_that_calls_sys_exit_fails_and_the_worker_goes_on(unit):
    outcomes = run([unit("a", "exit"), unit("b")], workers=1)
    assert outcomes["a"].error.endswith("SystemExit: 3")
    assert outcomes["b"].status == "ok"


def test_a_unit_that_takes_too_long_is_ended(unit):
    started = time.monotonic()
    outcomes = run([unit("a", "hang"), unit("b", "hang once"), unit("c")], timeout=4, retries=1)
    assert outcomes["a"].status == "failed"
    assert outcomes["a"].error == "it took longer than 4 s (tried 2 times)"
    assert (outcomes["b"].status, outcomes["b"].attempts) == ("ok", 2)
    assert outcomes["c"].status == "ok"
    assert time.monotonic() - started < 50


def test_a_value_that_is_not_json_is_a_failure(unit):
    outcome = run([unit("a", "no json")])["a"]
    assert outcome.status == "failed"
    assert "not JSON serializable" in outcome.error


def test_what_a_unit_prints_does_not_disturb_the_answer(unit):
    assert run([unit("a", "print")])["a"].value == 1


def test_a_target_that_is_not_there_fails_its_unit(unit):
    outcomes = run([Unit(id="a", target="no.such:thing"), unit("b")])
    assert outcomes["a"].status == "failed"
    assert outcomes["b"].status == "ok"


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ([Unit(id="a", target="m:f"), Unit(id="a", target="m:f")], "'a' twice"),
        ([Unit(id="first", target="m:f"), Unit(id="b", target="m:f", needs=("frst",))], "Did you mean 'first'"),
        ([Unit(id="a", target="m:f", needs=("b",)), Unit(id="b", target="m:f", needs=("a",))], "circle"),
        ([Unit(id="a", target="m:f", needs=("a",))], "circle"),
    ],
)
def test_units_that_no_order_satisfies_are_refused_before_anything_starts(units, words):
    with pytest.raises(UsageError, match=words):
        LocalRunner(workers=1).run(units)


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 1.5}, {"retries": -1}, {"timeout": 0}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(UsageError, match="LocalRunner"):
        LocalRunner(**options)


def test_a_unit_that_needs_two_failures_is_skipped_once(unit):
    units = [unit("a", "raise"), unit("b", "raise"), unit("c", needs=("a", "b")), unit("d", needs=("c",))]
    outcomes = list(LocalRunner(workers=2).run(units))
    assert sorted(outcome.unit for outcome in outcomes) == ["a", "b", "c", "d"]
    assert {outcome.unit: outcome.status for outcome in outcomes}["d"] == "skipped"


def test_a_run_that_is_given_up_leaves_no_process(unit, tmp_path):
    outcomes = LocalRunner(workers=2).run([unit("quick"), unit("slow", "leave a child")])
    assert next(outcomes).unit == "quick"
    (child,), (worker, _) = pids(tmp_path / "child"), pids(tmp_path / "slow.1")
    assert alive(worker)
    assert alive(child)
    outcomes.close()
    assert gone_soon(worker)
    assert gone_soon(child)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_the_end_of_the_caller_is_the_end_of_its_workers(sign, repository, tmp_path):
    # A script without `if __name__ == "__main__"`: a worker must not import it again.
    script = tmp_path / "script.py"
    arguments = {"folder": str(tmp_path), "name": "slow", "then": "hang"}
    script.write_text(
        "from probe4d.contracts import Unit\n"
        "from probe4d_runners.local import LocalRunner\n"
        f"units = [Unit(id='slow', target='runner_toys:count', arguments={arguments!r})]\n"
        "print(list(LocalRunner(workers=1).run(units)))\n"
    )
    caller = subprocess.Popen(
        [sys.executable, str(script)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(repository / "tests")},
    )
    worker, _ = pids(tmp_path / "slow.1")
    assert alive(worker)
    caller.send_signal(sign)
    assert caller.wait(20) != 0
    assert gone_soon(worker)
