"""The Slurm runner by submitit's local executor: real jobs, killed and preempted; and by a Slurm where one is."""

import functools
import os
import shutil
import signal
import threading

import pytest

pytest.importorskip("submitit", reason="needs submitit: pip install 'probe4d[slurm]'")

from probe4d.errors import UsageError
from probe4d.testing import check_runner
from probe4d_slurm.job import lines_of
from probe4d_slurm.plugin import RUNNERS
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


@pytest.mark.slow  # on a machine at load 15 submitit's local executor once lost the job that it queued again
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


@pytest.mark.skipif(shutil.which("sbatch") is not None, reason="there is a Slurm here")
def test_without_slurm_the_error_says_so(unit, tmp_path):
    with pytest.raises(UsageError, match=r"runner slurm: .*Run it where `sbatch` works"):
        list(SlurmRunner(folder=str(tmp_path)).run([unit("a")]))


@pytest.mark.skipif(shutil.which("sbatch") is None, reason="needs a Slurm: there is no `sbatch` here")
def test_conformance_on_a_real_slurm():
    results = check_runner(RUNNERS[0])
    assert {result.status for result in results} == {"passed"}
