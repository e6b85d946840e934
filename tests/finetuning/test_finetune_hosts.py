"""Finetuning across hosts: two processes on the loopback train what one trains, also when one of them is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from glob import glob
from pathlib import Path

import numpy as np
import pytest

from loopback import free_address
from toy_plans import playroom_suite

pytest.importorskip("jax", reason="needs jax: finetuning is done with it")
pytest.importorskip("orbax.checkpoint", reason="needs orbax-checkpoint")

SUITE = playroom_suite(
    """
name = "tiny"
backbones = [{name = "4ds-micro", label = "micro"}]
tasks = ["playroom-pose"]
protocols = ["finetune-quick"]
""",
    train=6,
    val=3,
    more="""
[overrides.finetune-quick]
steps = 6
warmup_steps = 1
batch_size = 2
eval_batch_size = 2
checkpoint_every = 1
select_on = "holdout"
holdout = 0.34
learning_rates = [1e-3]
readout = {width = 16, heads = 2}
""",
)


@pytest.fixture(scope="module")
def begin(tmp_path_factory):
    """Return `begin(folder, *arguments) -> Popen` of `probe4d run`; one cache of clips and programs for all."""
    cache, file = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("suite") / "tiny.toml"
    file.write_text(SUITE)

    started = []

    def run(folder: Path, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "probe4d", "run", str(file), "-o", str(folder / "run")]
        command += ["--store", str(folder / "store"), "--no-report", "--display", "plain", *arguments]
        process = subprocess.Popen(
            command,
            env={**os.environ, "PROBE4D_CACHE_DIR": str(cache), "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:  # of a test that failed
        process.kill()
        process.communicate()


def two(begin, folder: Path) -> list[subprocess.Popen]:
    at = free_address()
    return [begin(folder, "--distributed", f"{at},{i}/2") for i in range(2)]


def ended(processes: list[subprocess.Popen]) -> list[str]:
    """Return what each wrote to stderr; all must have succeeded."""
    texts = [process.communicate(timeout=500)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(text[-3000:] for text in texts)
    return texts


def members(folder: Path) -> dict[str, dict]:
    return {file.parent.name: json.loads(file.read_text()) for file in (folder / "run").rglob("member.json")}


def kill_worker_of(process: subprocess.Popen) -> None:
    """Kill the process that carries out units for this one."""
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def wait_for(pattern: str, folder: Path, processes: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + 300
    # pathlib raises where a folder is renamed under it, as checkpoints are; glob passes over it.
    while not glob(f"**/{pattern}", root_dir=folder, recursive=True):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), ended(processes)
        time.sleep(0.02)


@pytest.fixture(scope="module")
def alone(begin, tmp_path_factory) -> dict[str, dict]:
    """Return what one process leaves of each member."""
    folder = tmp_path_factory.mktemp("alone")
    process = begin(folder)
    _, error = process.communicate(timeout=500)
    assert process.returncode == 0, error
    return members(folder)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc: to find the process to kill")
def test_two_hosts_train_what_one_trains_though_one_of_them_is_killed(begin, alone, tmp_path):
    processes = two(begin, tmp_path)
    wait_for("checkpoints/*/2/*", tmp_path, processes)
    kill_worker_of(processes[1])
    told = ended(processes)
    assert "was parted from the others: its worker was killed by SIGKILL" in told[1]
    found = members(tmp_path)
    assert found.keys() == alone.keys()
    for name, one in alone.items():
        np.testing.assert_allclose(found[name]["losses"]["values"], one["losses"]["values"], rtol=1e-4)
        assert found[name]["clips"] == one["clips"]
    assert not list((tmp_path / "run").rglob("checkpoints"))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "success"
    assert list((tmp_path / "run").rglob("record.json"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc: to find the process to kill")
def test_two_hosts_killed_at_random_end_in_the_bits_of_two_that_were_not(begin, tmp_path):
    ended(two(begin, tmp_path / "whole"))
    chance, parted = random.Random(0), 0
    for number in range(6):
        folder = tmp_path / f"killed-{number}"
        processes = two(begin, folder)
        wait_for("checkpoints", folder, processes)
        time.sleep(chance.uniform(0.0, 12.0))
        kill_worker_of(processes[number % 2])
        parted += "was parted from the others" in ended(processes)[1]
        for name, one in members(tmp_path / "whole").items():
            assert members(folder)[name]["losses"] == one["losses"]
            assert members(folder)[name]["files"] == one["files"]
    assert parted >= 3  # a kill after the last member parts nobody


def test_a_host_whose_others_never_come_says_so(begin, tmp_path):
    lone = begin(tmp_path, "--distributed", f"{free_address()},1/2", "--runner-set", "wait=2")
    _, error = lone.communicate(timeout=120)
    assert lone.returncode == 1
    assert "expected all 2 processes at 127.0.0.1:" in error
    assert "within 2 s" in error


@pytest.mark.parametrize("said", ["head:1234", "head,0/2", "head:1234,2/2", "head:1234,0/0"])
def test_what_names_no_process_is_refused(begin, tmp_path, said):
    process = begin(tmp_path, "--distributed", said)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "expected HOST:PORT,I/N" in error


def test_another_runner_beside_the_hosts_is_refused(begin, tmp_path):
    process = begin(tmp_path, "--distributed", "head:1,0/2", "--runner", "dask")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "expected no --runner beside it, got dask" in error
