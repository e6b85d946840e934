"""Workers and runs that are killed, stopped or late, disks and clocks that are wrong: one result, nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

YEARS = 10 * 365 * 86400
TIMEOUT = 3.0  # seconds after which a runner gives a worker up


class Disturber:
    """Kills, stops and continues the workers of runs, and kills a run once, at random moments."""

    def __init__(self, toys: Any, runs: list[subprocess.Popen[str]], chance: random.Random) -> None:
        self.toys, self.runs, self.chance = toys, runs, chance
        self.stopped: dict[int, float] = {}
        self.deeds = 0

    def disturb(self, seconds: float) -> None:
        """Do so for a while from the first worker on, then let what is stopped go on."""
        while not self._workers() and any(run.poll() is None for run in self.runs):
            time.sleep(0.02)
        until = time.monotonic() + seconds
        doomed = time.monotonic() + self.chance.uniform(0.5, seconds)
        while time.monotonic() < until and any(run.poll() is None for run in self.runs):
            time.sleep(self.chance.uniform(0.1, 0.6))
            self._wake(late=False)
            if workers := self._workers():
                self._hit(self.chance.choice(workers))
            if time.monotonic() > doomed:
                self.runs[0].kill()
        self._wake(late=True)

    def _workers(self) -> list[int]:
        return [child for run in self.runs for child in self.toys.workers_of(run.pid)]

    def _hit(self, worker: int) -> None:
        self.deeds += 1
        if self.chance.random() < 0.6:
            self.toys.tell(worker)
        else:
            self.toys.tell(worker, signal.SIGSTOP)
            self.stopped[worker] = time.monotonic() + self.chance.uniform(0.2, 2 * TIMEOUT)

    def _wake(self, *, late: bool) -> None:
        for worker, when in list(self.stopped.items()):
            if late or time.monotonic() > when:
                self.toys.tell(worker, signal.SIGCONT)
                del self.stopped[worker]


def disturbed(toys: Any, folder: Path, seed: int) -> Any:
    """Return a toy whose run was disturbed and then completed, by parts or by several workers."""
    toy, chance = toys.Toy(folder), random.Random(seed)
    how = {"TOY_SECONDS": "0.05", "TOY_TIMEOUT": str(TIMEOUT), "TOY_RETRIES": "1"}
    if seed % 2:
        runs = [toy.start("--part", f"{number}/2", **how) for number in (1, 2)]
    else:
        runs = [toy.start(workers=2, **how, TOY_CLOCK=str(chance.choice([-YEARS, 0, YEARS])))]
    disturber = Disturber(toys, runs, chance)
    disturber.disturb(seconds=4.0)
    for run in runs:
        run.kill()
        run.communicate()
    assert disturber.deeds
    code, out, err = toy.run(workers=2)
    assert code == 0, out + err
    return toy


def check(toy: Any, undisturbed: Any) -> None:
    """Compare with the undisturbed run, and prove that nothing is lost, double or left over."""
    assert toy.results() == undisturbed.results()
    assert toy.orphans() == []
    pruned = toy.probe4d("cache", "prune", "--incomplete", "--older-than", "0s", "--dry-run", "--store", toy.store)
    assert "would free 0 bytes" in pruned.stdout


@pytest.mark.parametrize("seed", range(5))
def test_a_disturbed_run_ends_with_the_undisturbed_result(toys, undisturbed, tmp_path, seed):
    check(disturbed(toys, tmp_path, seed), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 200))
def test_a_hundred_disturbed_runs_end_with_the_undisturbed_result(toys, undisturbed, tmp_path, seed):
    check(disturbed(toys, tmp_path, seed), undisturbed)


def test_one_hostile_unit_costs_itself_and_the_list_of_what_is_missing_is_complete(toys, undisturbed, tmp_path):
    toy = toys.Toy(tmp_path)
    code, _, err = toy.run(workers=2, TOY_HOSTILE="3", TOY_RETRIES="1")
    assert code == 1, err
    run = json.loads((toy.folder / "run/run.json").read_text())
    told = {failure["unit"].partition("-")[0]: failure for failure in run["failures"]}
    assert set(told) == {"extract", "probe", "score"}
    assert "its worker was killed by SIGKILL (tried 2 times)" in told["extract"]["error"]
    assert told["probe"]["status"] == told["score"]["status"] == "skipped"
    status = json.loads(toy.probe4d("status", "run", "--json").stdout)
    assert status["units"]["done"] + len(run["failures"]) == status["units"]["total"]
    assert {one["unit"] for one in status["failures"]} == {one["unit"] for one in run["failures"]}
    assert status["phases"][0]["done"] >= 12, "the others are done all the same"
    assert "its worker was killed" in toy.probe4d("status", "run").stdout
    code, _, err = toy.run()
    assert code == 0, err
    check(toy, undisturbed)
    assert json.loads(toy.probe4d("status", "run", "--json").stdout)["failures"] == []


def test_a_hostile_unit_of_a_part_leaves_the_other_parts_alone(toys, undisturbed, tmp_path):
    toy = toys.Toy(tmp_path)
    codes = [toy.run("--part", f"{number}/2", TOY_HOSTILE="3", TOY_RETRIES="0")[0] for number in (2, 1)]
    assert sorted(set(codes)) in ([1], [1, 75])
    assert toy.run()[0] == 0
    check(toy, undisturbed)


@pytest.mark.parametrize("shift", [-YEARS, YEARS])
def test_a_part_whose_clock_is_wrong_makes_no_difference(toys, undisturbed, tmp_path, shift):
    toy = toys.Toy(tmp_path)
    assert toy.run("--part", "1/2", TOY_CLOCK=str(shift))[0] == 75
    status = json.loads(toy.probe4d("status", "run", "--json", TOY_CLOCK=str(-shift)).stdout)
    assert status["units"]["done"] == 8
    assert toy.run()[0] == 0
    check(toy, undisturbed)


def test_a_stopped_worker_that_outlives_its_scheduler_comes_back_too_late_to_harm(toys, undisturbed, tmp_path):
    toy = toys.Toy(tmp_path)
    run = toy.start(TOY_SECONDS="1")  # long enough for the worker to be at work still when it is stopped
    while not list(toy.folder.glob("store/*/receipts/*.json")):
        assert run.poll() is None
        time.sleep(0.02)
    (worker,) = toys.workers_of(run.pid)
    os.kill(worker, signal.SIGSTOP)
    assert Path(f"/proc/{worker}/stat").read_text().split(")")[1].split()[0] in "TRSD", "it had ended"
    run.kill()
    run.wait()  # not `communicate`: the stopped worker holds the pipes open
    assert toy.run(workers=2)[0] == 0
    before = toy.results()
    os.kill(worker, signal.SIGCONT)
    for _ in range(200):
        if not Path(f"/proc/{worker}").exists() or "Z" in Path(f"/proc/{worker}/stat").read_text().split(")")[1][:3]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the late worker lives on")
    run.communicate()
    assert toy.run()[0] == 0  # sweeps what the late one may have left half-written
    assert toy.results() == before
    left = [item for item in toy.orphans() if "being written" not in item]
    assert left == []
    assert toy.results() == undisturbed.results()


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Yield a file system of its own in memory, of so many bytes."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="mounts a small file system")
def test_a_full_disk_ends_in_a_list_of_what_is_missing_and_a_larger_one_in_the_result(toys, undisturbed, tmp_path):
    with small_disk(tmp_path / "disk", "200k") as disk:
        toy = toys.Toy(tmp_path / "toy", store=str(disk / "store"))
        (tmp_path / "disk/filler").write_bytes(bytes(60_000))
        code, _, err = toy.run(workers=2)
        assert code == 1, err
        run = json.loads((toy.folder / "run/run.json").read_text())
        reasons = [failure["error"] for failure in run["failures"] if failure["status"] == "failed"]
        assert reasons
        assert all("No space left on device. Free space (probe4d cache prune)" in reason for reason in reasons)
        remount(disk, "size=8m")
        assert toy.run(workers=2)[0] == 0
        check(toy, undisturbed)


@pytest.mark.skipif(shutil.which("mount") is None, reason="mounts a small file system")
def test_a_store_that_becomes_read_only_is_read_and_named(toys, undisturbed, tmp_path):
    with small_disk(tmp_path / "disk", "8m") as disk:
        toy = toys.Toy(tmp_path / "toy", store=str(disk / "store"))
        assert toy.run("--part", "1/2")[0] == 75
        remount(disk, "ro")
        code, _, err = toy.run()
        assert code == 1, err
        run = json.loads((toy.folder / "run/run.json").read_text())
        assert len(run["failures"]) == 10, "the other part's shards and the sweep"
        assert "Read-only file system" in run["failures"][0]["error"]
        remount(disk, "rw")
        assert toy.run("--part", "2/2")[0] == 75
        remount(disk, "ro")  # training and scoring only read it
        code, _, err = toy.run()
        assert code == 0, err
        assert toy.results() == undisturbed.results()
        remount(disk, "rw")
        check(toy, undisturbed)
