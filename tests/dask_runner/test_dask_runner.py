"""The Dask runner on real clusters: processes that talk TCP, and are killed, stopped and told nonsense."""

import functools
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

pytest.importorskip("distributed", reason="needs distributed: pip install 'probe4d[dask]'")

from distributed import Client

from loopback_dask import started
from probe4d.contracts import Unit
from probe4d.errors import Probe4dError, UsageError
from probe4d.testing import parametrize_with_checks
from probe4d_dask.plugin import RUNNERS
from probe4d_dask.runner import DaskRunner
from runner_toys import PATIENCE, alive, gone_soon, pids, toy_unit


@pytest.fixture
def unit(tmp_path):
    """Return a function that makes a unit of the toy module."""
    return functools.partial(toy_unit, tmp_path)


@pytest.fixture(scope="module")
def cluster(repository, tmp_path_factory):
    """Return the address of a cluster of two workers that somebody else started, one of them with a GPU."""
    environment = {**os.environ, "PYTHONPATH": str(repository / "tests")}
    folder = tmp_path_factory.mktemp("cluster")
    with started(folder, workers=[["--resources", "GPU=1"], []], environment=environment) as found:
        yield found.address


def run(units, **options):
    return {outcome.unit: outcome for outcome in DaskRunner(**options).run(units)}


@parametrize_with_checks(RUNNERS)
def test_conformance(check):
    check()


def test_values_logs_and_places_come_back_from_a_cluster_that_was_there(cluster, unit):
    begun = []
    units = [unit("b", "print", needs=("a",)), unit("a"), unit("c", "raise"), unit("d", needs=("c",))]
    outcomes = {one.unit: one for one in DaskRunner(scheduler=cluster).run(units, on_start=begun.append)}
    assert [outcomes[name].status for name in "abcd"] == ["ok", "ok", "failed", "skipped"]
    assert outcomes["b"].log == "words that nobody asked for\nand a warning\n"
    assert outcomes["b"].worker.startswith(f"{socket.gethostname()} tcp://127.0.0.1:")
    assert outcomes["c"].error.endswith("KeyError: 'c'")
    assert outcomes["c"].attempts == 1
    assert sorted(begun) == ["a", "b", "c"]


def test_a_run_leaves_neither_process_nor_plugin_on_a_cluster_that_was_there(cluster, unit, tmp_path):
    assert run([unit("a"), unit("b"), unit("c")], scheduler=cluster)["a"].status == "ok"
    for name in "abc":
        seat, worker = pids(tmp_path / f"{name}.1")
        assert gone_soon(seat)
        assert alive(worker)


def test_a_process_and_what_it_has_loaded_serve_the_next_units_too(cluster, unit, tmp_path):
    run([unit(f"u{number}") for number in range(12)], scheduler=cluster)
    assert len({pids(tmp_path / f"u{number}.1")[0] for number in range(12)}) <= 2


def test_a_unit_whose_process_dies_is_tried_again_up_to_a_cap(cluster, unit):
    outcomes = run([unit("a", "die once"), unit("b", "die"), unit("c")], scheduler=cluster, retries=2)
    assert (outcomes["a"].status, outcomes["a"].value, outcomes["a"].attempts) == ("ok", 2, 2)
    assert outcomes["b"].error == "its worker was killed by SIGKILL (tried 3 times)"
    assert outcomes["c"].status == "ok"


def test_a_unit_that_takes_too_long_is_ended_and_tried_again(cluster, unit):
    units = [unit("a", "hang"), unit("b", "hang once"), unit("c")]
    # A try may have to start a process first, which takes some of these seconds on a busy machine.
    outcomes = run(units, scheduler=cluster, timeout=4, retries=1)
    assert outcomes["a"].error == "it took longer than 4 s (tried 2 times)"
    assert (outcomes["b"].status, outcomes["b"].attempts) == ("ok", 2)
    assert outcomes["c"].status == "ok"


@pytest.mark.parametrize(
    ("then", "words"), [("large", "expected a receipt of at most"), ("no json", "not JSON serializable")]
)
def test_what_is_no_receipt_does_not_come_back(then, words, cluster, unit):
    outcomes = run([unit("a", then), unit("b")], scheduler=cluster)
    assert outcomes["a"].status == "failed"
    assert words in outcomes["a"].error
    assert outcomes["b"].status == "ok"


def test_units_go_where_the_resources_are_that_they_ask_for(cluster, unit, tmp_path):
    units = [unit(f"extract-{number}") for number in range(6)]
    outcomes = run(units, scheduler=cluster, ask={"extract": {"GPU": 1}})
    assert len({outcome.worker for outcome in outcomes.values()}) == 1


def test_a_unit_that_no_worker_can_take_fails_after_the_patience_and_says_what_there_is(cluster, unit):
    units = [unit("a", resources={"GPU": 2}), unit("b"), unit("c", needs=("a",))]
    outcomes = run(units, scheduler=cluster, patience=1)
    assert outcomes["a"].status == "failed"
    assert "expected a Dask worker that offers GPU=2 within 1 s" in outcomes["a"].error
    assert "GPU=1" in outcomes["a"].error
    assert (outcomes["b"].status, outcomes["c"].status) == ("ok", "skipped")


def test_a_unit_that_kills_dask_workers_is_set_aside_while_the_rest_finishes(unit):
    units = [unit("bad", "kill the owner"), *(unit(f"good{number}") for number in range(8))]
    outcomes = run(units, workers=2, retries=1)
    assert outcomes["bad"].status == "failed"
    assert outcomes["bad"].error == "its Dask worker died (tried 2 times)"
    assert {outcome.status for name, outcome in outcomes.items() if name != "bad"} == {"ok"}


def test_a_result_that_its_worker_took_along_is_made_again_and_costs_no_try(cluster, unit, monkeypatch):
    gather, calls = Client.gather, []

    def lossy(client, futures, **options):
        calls.append(futures)
        answers = gather(client, futures, **options)
        return dict.fromkeys(answers) if len(calls) == 1 else answers  # None: as `errors="skip"` gives it

    monkeypatch.setattr(Client, "gather", lossy)
    outcome = run([unit("a")], scheduler=cluster, retries=0)["a"]
    assert (outcome.status, outcome.value, outcome.attempts) == ("ok", 2, 1)


def test_a_worker_stopped_for_longer_than_the_limit_is_replaced(unit, tmp_path):
    units = [unit("a", "stop the owner once"), unit("b"), unit("c", needs=("a",))]
    outcomes = run(units, workers=2, lost_after=2)
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}
    assert outcomes["a"].attempts == 2
    for process in pids(tmp_path / "a.1"):
        assert gone_soon(process)


@pytest.mark.slow
def test_a_worker_that_hangs_on_a_cluster_without_such_a_limit_is_restarted(cluster, unit, monkeypatch):
    monkeypatch.setattr("probe4d_dask.carrying.GRACE_SECONDS", 2.0)
    outcomes = run([unit("a", "stop the owner once"), unit("b")], scheduler=cluster, timeout=4, retries=1)
    assert (outcomes["a"].status, outcomes["a"].attempts) == ("ok", 2)
    assert outcomes["b"].status == "ok"


def test_killing_random_workers_changes_no_result(unit, tmp_path):
    units = [unit(f"u{number}") for number in range(60)] + [unit("last", needs=tuple(f"u{n}" for n in range(60)))]
    over = threading.Event()

    def kill():
        for number in range(2):
            owner = pids(tmp_path / f"u{number}.1")[1]
            if not over.wait(1.0) and alive(owner):  # one worker may have had both units: then it is gone
                os.kill(owner, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = run(units, workers=2)
    over.set()
    killer.join()
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}
    assert len(outcomes) == 61


def test_a_run_that_is_given_up_leaves_no_process(unit, tmp_path):
    outcomes = DaskRunner(workers=2).run([unit("quick"), unit("slow", "leave a child")])
    assert next(outcomes).unit == "quick"
    left = [*pids(tmp_path / "child"), *pids(tmp_path / "slow.1")]
    assert all(alive(process) for process in left)
    outcomes.close()
    assert all(gone_soon(process) for process in left)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_the_end_of_the_caller_is_the_end_of_its_cluster(sign, repository, tmp_path):
    script = tmp_path / "script.py"
    arguments = {"folder": str(tmp_path), "name": "slow", "then": "leave a child"}
    script.write_text(
        "from probe4d.contracts import Unit\n"
        "from probe4d_dask.runner import DaskRunner\n"
        "if __name__ == '__main__':\n"
        f"    units = [Unit(id='slow', target='runner_toys:count', arguments={arguments!r})]\n"
        "    print(list(DaskRunner(workers=1).run(units)))\n"
    )
    caller = subprocess.Popen(
        [sys.executable, str(script)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(repository / "tests")},
        start_new_session=True,
    )
    left = [*pids(tmp_path / "child"), *pids(tmp_path / "slow.1")]
    if sign == signal.SIGINT:
        os.killpg(caller.pid, sign)  # as a terminal does it: to the workers too
    else:
        caller.send_signal(sign)
    assert caller.wait(PATIENCE) != 0
    assert all(gone_soon(process) for process in left)


def test_a_scheduler_that_goes_away_leaves_a_complete_list_of_what_is_missing(unit, tmp_path, repository):
    environment = {**os.environ, "PYTHONPATH": str(repository / "tests")}
    with started(tmp_path, workers=[[]], environment=environment) as cluster:
        outcomes = DaskRunner(scheduler=cluster.address).run(
            [unit("quick"), unit("slow", "hang", needs=("quick",)), unit("after", needs=("slow",))]
        )
        assert next(outcomes).status == "ok"
        killer = threading.Thread(target=lambda: (pids(tmp_path / "slow.1"), cluster.scheduler.kill()))
        killer.start()
        rest = {outcome.unit: outcome for outcome in outcomes}
        killer.join()
    assert {name: outcome.status for name, outcome in rest.items()} == {"slow": "failed", "after": "skipped"}
    assert "the scheduler went away" in rest["slow"].error


def test_an_address_where_nobody_listens_is_an_error_that_says_so(monkeypatch, unit):
    monkeypatch.setattr("probe4d_dask.cluster.CONNECT_SECONDS", 1.0)
    with pytest.raises(Probe4dError, match=r"tcp://127.0.0.1:9: expected a Dask scheduler to answer"):
        run([unit("a")], scheduler="tcp://127.0.0.1:9")


def test_a_circle_of_needs_is_refused_before_anything_starts():
    circle = [Unit(id="a", target="m:f", needs=("b",)), Unit(id="b", target="m:f", needs=("a",))]
    with pytest.raises(UsageError, match="circle"):
        DaskRunner().run(circle)


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"retries": -1},
        {"timeout": 0},
        {"scheduler": "host:8786"},
        {"scheduler": "tcp://host:8786", "workers": 2},
        {"ask": {"extract": 1}},
        {"ask": {"extract": {"GPU": 0}}},
        {"resources": {"GPU": "one"}},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(UsageError, match="DaskRunner"):
        DaskRunner(**options)
