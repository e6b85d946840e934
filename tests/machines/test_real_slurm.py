"""The Slurm runner on a real Slurm, started on the loopback: its queue, its preemption, its requeues, its kills."""

from __future__ import annotations

import functools
import tempfile
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="needs submitit: pip install 'probe4d[slurm]'")

from loopback_slurm import NoSlurm, started
from probe4d.testing import check_runner
from probe4d_slurm import queue
from probe4d_slurm.plugin import RUNNERS
from probe4d_slurm.runner import SlurmRunner
from runner_toys import gone_soon, pids, toy_unit


@pytest.fixture(scope="module")
def cluster():
    """Return a Slurm that runs, or say why there is none."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        try:
            with started(Path(folder)) as slurm:
                yield slurm
        except NoSlurm as error:
            pytest.skip(str(error))


@pytest.fixture
def slurm(cluster, repository, monkeypatch):
    """Return the Slurm, as that of this process and of its jobs."""
    for name, value in {**cluster.environment, "PYTHONPATH": str(repository / "tests")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(queue, "ASK_SECONDS", 0.5)
    yield cluster
    ends = time.monotonic() + 30
    while left := cluster.jobs():  # what was cancelled takes a moment to end
        assert time.monotonic() < ends, f"jobs are left: {left}"
        time.sleep(0.1)


@pytest.fixture
def run(slurm, tmp_path):
    """Return a function that runs units as jobs, doing something meanwhile."""

    def run(units, meanwhile=lambda: None, **options):
        other = threading.Thread(target=meanwhile)
        other.start()
        runner = SlurmRunner(**{"workers": 2, "folder": str(tmp_path / "jobs"), **options})
        outcomes = {outcome.unit: outcome for outcome in runner.run(units)}
        other.join()
        return outcomes

    return run


@pytest.fixture
def unit(tmp_path):
    """Return a function that makes a unit of the toy module."""
    return functools.partial(toy_unit, tmp_path)


@pytest.mark.slow
def test_conformance(slurm):
    results = check_runner(RUNNERS[0])
    assert [(result.name, result.reason) for result in results if result.status != "passed"] == []
    assert len(results) == 10


@pytest.mark.slow
def test_a_job_that_a_more_urgent_one_preempts_goes_on_after_what_it_has_done(run, unit, slurm, tmp_path):
    def preempt():
        pids(tmp_path / "slow.1")
        (job,) = slurm.jobs("RUNNING")
        slurm.tell("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        slurm.hurry(job)

    units = [unit("first"), unit("slow", "hang once", needs=("first",)), unit("last", needs=("slow",))]
    outcomes = run(units, preempt, workers=1, retries=0)
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}
    assert [outcomes[name].value for name in ("first", "slow", "last")] == [1, 2, 1]
    assert gone_soon(pids(tmp_path / "slow.1")[0])
    ledger = next((tmp_path / "jobs").glob("*/*.jsonl")).read_text()
    assert ledger.count('{"began": "slow"}') == 2, "the same job, queued again"
    assert len(list((tmp_path / "jobs").glob("*/*.jsonl"))) == 1


def test_a_job_near_its_time_limit_queues_itself_again(run, unit, slurm, tmp_path):
    def signal_the_limit():
        pids(tmp_path / "slow.1")
        (job,) = slurm.jobs("RUNNING")
        slurm.tell("scancel", "--signal=USR2", job)  # as Slurm does it some seconds before the limit
        slurm.hurry(job)

    outcomes = run([unit("first"), unit("slow", "hang once", needs=("first",))], signal_the_limit, workers=1, retries=0)
    assert [outcomes[name].value for name in ("first", "slow")] == [1, 2], outcomes["slow"].error


def test_what_a_cancelled_job_left_goes_into_another_one(run, unit, slurm, tmp_path):
    cancelled = []

    def cancel():
        pids(tmp_path / "slow.1")
        (job,) = slurm.jobs("RUNNING")
        cancelled.append(slurm.job(job)["JobId"])
        slurm.tell("scancel", job)

    outcomes = run([unit("first"), unit("slow", "hang once", needs=("first",))], cancel, workers=1)
    assert [outcomes[name].value for name in ("first", "slow")] == [1, 2]
    jobs = [outcomes[name].worker.split()[-1] for name in ("first", "slow")]
    assert jobs[0] == cancelled[0] != jobs[1], "the second try of `slow` was in another job"
    began = [ledger.read_text().count('{"began": "slow"}') for ledger in (tmp_path / "jobs").glob("*/*.jsonl")]
    assert began == [1, 1], "a ledger is a job's: one try in each"


def test_a_unit_whose_jobs_are_cancelled_fails_with_the_state_of_the_last_one(run, unit, slurm, tmp_path):
    def cancel():
        for number in (1, 2):
            pids(tmp_path / f"slow.{number}")
            slurm.tell("scancel", *slurm.jobs("RUNNING"))

    outcomes = run([unit("slow", "hang"), unit("after", needs=("slow",))], cancel, workers=1, retries=1)
    assert outcomes["slow"].status == "failed"
    assert "ended (CANCELLED); tried 2 times" in outcomes["slow"].error
    assert outcomes["after"].status == "skipped"


def test_a_run_that_is_given_up_cancels_its_jobs(slurm, unit, tmp_path):
    outcomes = SlurmRunner(workers=2, folder=str(tmp_path / "jobs")).run([unit("quick"), unit("slow", "hang")])
    assert next(outcomes).unit == "quick"
    left = pids(tmp_path / "slow.1")
    outcomes.close()
    assert all(gone_soon(process) for process in left)


def test_a_suite_whose_jobs_are_requeued_has_the_result_of_an_undisturbed_run(slurm, toys, undisturbed, tmp_path):
    toy = toys.Toy(tmp_path)
    process = toy.start("--runner", "slurm", workers=2, TOY_SECONDS="0.3")
    requeued: set[str] = set()
    while process.poll() is None and len(requeued) < 2:
        for job in slurm.jobs("RUNNING"):
            if job not in requeued and list(tmp_path.glob("store/*/receipts/*.json")):
                requeued.add(job)
                slurm.tell("scontrol", "requeue", job)
                slurm.hurry(job)
        time.sleep(0.1)
    out, err = process.communicate(timeout=toys.PATIENCE)
    assert process.returncode == 0, out + err
    assert len(requeued) == 2
    assert {slurm.job(job)["Restarts"] for job in requeued} == {"1"}
    assert toy.results() == undisturbed.results()
    assert toy.orphans() == []
