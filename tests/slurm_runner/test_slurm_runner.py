"""The Slurm runner by submitit's local executor: real jobs, killed and preempted. With Slurm: tests/machines."""

import functools
import os
import signal
import threading
from types import SimpleNamespace

import pytest

pytest.importorskip("submitit", reason="needs submitit: pip install 'probe4d[slurm]'")

from probe4d.errors import UsageError
from probe4d.testing import parametrize_with_checks
from probe4d_slurm import queue
from probe4d_slurm.job import Job, lines_of
from probe4d_slurm.runner import SlurmRunner
from runner_toys import gone_soon, pids, toy_unit


@pytest.fixture
def unit(tmp_path):
    """Return a function that makes a unit of the toy module."""
    return functools.partial(toy_unit, tmp_path)


@pytest.fixture
def run(repository, tmp_path, monkeypatch):
    """Return a function that runs units as jobs on this machine."""
    monkeypatch.setenv("PYTHONPATH", str(repository / "tests"))

    def run(units, **options):
        runner = SlurmRunner(**{"workers": 2, "cluster": "local", "folder": str(tmp_path / "jobs"), **options})
        return {outcome.unit: outcome for outcome in runner.run(units)}

    return run


@parametrize_with_checks({"slurm": "probe4d_slurm.plugin"})
def test_conformance(check):
    check()


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Return a function that runs units in jobs that are over before anybody asks for them.

    The first job is lost after as many units as it is told, for all that is noted in its ledger. What each job was
    given comes with the outcomes.
    """

    def quick(units, lost_after=None):
        sent = []

        class Done:
            job_id, state = "1", "FINISHED"

            def __init__(self, job):
                sent.append([one.id for one in job.units])
                Job(job.units[: lost_after if len(sent) == 1 else None], job.ledger, 0, None)()

            def done(self):
                return True

        executor = SimpleNamespace(submit_array=lambda jobs: [Done(job) for job in jobs])
        runner = SlurmRunner(workers=1, cluster="local", folder=str(tmp_path / "jobs"))
        monkeypatch.setattr(runner, "executor", lambda name: executor)
        return list(runner.run(units)), sent

    return quick


def test_a_job_that_was_quicker_than_the_runner_looked_is_not_carried_out_again(quick, unit):
    units = [unit("last", needs=("left", "right")), unit("left", needs=("first",)), unit("right", needs=("first",))]
    outcomes, sent = quick([*units, unit("first")])
    assert [outcome.unit for outcome in outcomes] == ["first", "left", "right", "last"]
    assert sent == [["first", "left", "right", "last"]]


def test_a_unit_that_is_freed_and_lost_at_one_look_goes_into_the_next_job_once(quick, unit):
    outcomes, sent = quick([unit("first"), unit("slow", needs=("first",))], lost_after=1)
    assert [(outcome.unit, outcome.status) for outcome in outcomes] == [("first", "ok"), ("slow", "ok")]
    assert sent == [["first", "slow"], ["slow"]]


def test_parts_of_a_plan_run_as_jobs_in_the_order_of_its_needs(run, unit, tmp_path):
    units = [
        unit("last", needs=("a", "b", "c")),
        *(unit(name) for name in "abc"),
        unit("bad", "raise"),
        unit("after", needs=("bad",)),
    ]
    outcomes = run(units)
    status = {name: outcome.status for name, outcome in outcomes.items()}
    assert status == {"a": "ok", "b": "ok", "c": "ok", "last": "ok", "bad": "failed", "after": "skipped"}
    assert outcomes["bad"].error.endswith("KeyError: 'bad'")
    assert not (tmp_path / "after.1").exists()
    assert len(list((tmp_path / "jobs").glob("*/array1-part*.jsonl"))) == 2


def test_a_job_that_is_preempted_goes_on_after_what_it_has_done(run, unit, tmp_path):
    units = [unit("first"), unit("slow", "hang once", needs=("first",)), unit("last", needs=("slow",))]
    preempt = threading.Thread(target=lambda: os.kill(pids(tmp_path / "slow.1")[1], signal.SIGUSR2))
    preempt.start()
    outcomes = run(units, workers=1)
    preempt.join()
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}
    assert [outcomes[name].value for name in ("first", "slow", "last")] == [1, 2, 1]
    assert gone_soon(pids(tmp_path / "slow.1")[0])


def test_a_job_that_is_killed_is_submitted_again_without_what_it_has_done(run, unit, tmp_path):
    outcomes = run([unit("first"), unit("bad", "kill the owner", needs=("first",))], workers=1, retries=1)
    assert (outcomes["first"].status, outcomes["first"].value) == ("ok", 1)
    assert outcomes["bad"].status == "failed"
    assert "tried 2 times" in outcomes["bad"].error


@pytest.fixture(params=["heard", "ignored"])
def interrupts(request):
    """Let SIGINT be heard by what is started, or ignored as by all that a script starts in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if request.param == "ignored" else signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_run_that_is_given_up_leaves_no_process(repository, unit, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(repository / "tests"))
    runner = SlurmRunner(workers=2, cluster="local", folder=str(tmp_path / "jobs"))
    outcomes = runner.run([unit("quick"), unit("slow", "leave a child")])
    assert next(outcomes).unit == "quick"
    left = [*pids(tmp_path / "child"), *pids(tmp_path / "slow.1")]
    outcomes.close()
    assert all(gone_soon(process) for process in left)


def test_a_line_that_a_killed_job_began_is_no_outcome(tmp_path):
    ledger = tmp_path / "ledger"
    ledger.write_text('{"began": "a"}\n{"unit": "a", "sta\n{}\n{"began": "b"}\n{"unit"')
    assert lines_of(ledger) == [{"began": "a"}, {"began": "b"}]


@pytest.mark.parametrize("options", [{"workers": 0}, {"retries": -1}, {"timeout": 0}, {"cluster": "pbs"}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(UsageError, match="SlurmRunner"):
        SlurmRunner(**options)


def test_without_slurm_the_error_says_so(unit, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"runner slurm: .*Run it where `sbatch` works"):
        list(SlurmRunner(folder=str(tmp_path)).run([unit("a")]))


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Return a function that puts a program in the place of `squeue`, and asks for the states of jobs 7 and 8_1."""
    monkeypatch.setattr(queue, "ASK_SECONDS", 0.0)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    asked = queue.SlurmQueue()
    jobs = [SimpleNamespace(job_id=name, paths=SimpleNamespace(result_pickle=tmp_path / name)) for name in ("7", "8_1")]

    def ask(script):
        program = tmp_path / "squeue"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        asked.look(jobs)
        return [(asked.state(job), asked.over(job)) for job in jobs]

    return ask


def test_a_job_is_over_by_its_state_or_since_slurm_has_forgotten_it(squeue, tmp_path):
    assert squeue("echo '7|PENDING\n8_1|RUNNING'") == [("PENDING", False), ("RUNNING", False)]
    assert squeue("echo '7|COMPLETING'") == [("COMPLETING", False), ("GONE", True)]
    assert squeue("echo '7|NODE_FAIL\n8_1|TIMEOUT'") == [("NODE_FAIL", True), ("TIMEOUT", True)]
    (tmp_path / "7").touch()
    assert squeue("echo '7|RUNNING\n8_1|RUNNING'") == [("RUNNING", True), ("RUNNING", False)], "its result is there"
    assert squeue("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")[1] == ("GONE", True)


def test_while_slurm_does_not_answer_what_was_known_of_jobs_stays(squeue):
    assert squeue("exit 1") == [("UNKNOWN", False)] * 2
    assert squeue("echo '7|RUNNING\n8_1|PENDING'")[0] == ("RUNNING", False)
    assert squeue("echo 'Unable to contact slurm controller' >&2; exit 1") == [("RUNNING", False), ("PENDING", False)]
