"""A suite by each engine, by the plain run command: the result of one worker to the last bit, whatever happens."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import subprocess
import threading
import time

import pytest

pytest.importorskip("distributed", reason="needs distributed: pip install 'probe4d[dask]'")
pytest.importorskip("submitit", reason="needs submitit: pip install 'probe4d[slurm]'")

from loopback_dask import started

LOST_AFTER = 6.0  # seconds without a sign of life after which a Dask worker is replaced


def same(toy, undisturbed):
    """Compare with the undisturbed run: nothing lost, double or left over."""
    assert toy.results() == undisturbed.results()
    assert toy.orphans() == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_of_dask_give_the_bits_of_one(toys, undisturbed, tmp_path, workers):
    toy = toys.Toy(tmp_path)
    code, out, err = toy.run("--runner", "dask", workers=workers)
    assert code == 0, out + err
    assert toy.results() == undisturbed.results()
    assert toy.orphans() == []


@pytest.mark.parametrize("engine", [("dask",), ("slurm", "--runner-set", "cluster=local")], ids=["dask", "slurm"])
def test_the_result_is_that_of_one_worker_and_its_record_names_the_logs_of_all_units(
    toys, undisturbed, tmp_path, engine
):
    toy = toys.Toy(tmp_path)
    code, out, err = toy.run("--runner", *engine, workers=2, TOY_SAYS="a word from afar")
    assert code == 0, out + err
    assert "a word from afar" not in err, "it is in the logs"
    (record,) = toy.records()
    shards = len(undisturbed.stored())  # of features and as many of targets, which have nothing to say
    assert len(record["logs"]) == shards / 2
    for log in record["logs"]:
        assert set((tmp_path / "run" / log).read_text().splitlines()) == {"a word from afar"}
    assert toy.results() == undisturbed.results()


def children_of(process: int) -> list[int]:
    """Return a process's children and theirs."""
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False).stdout.split()
    return [one for child in map(int, found) for one in (child, *children_of(child))]


def disturb(toys, run, begun, chance: random.Random, seconds: float) -> int:
    """Kill Dask workers and the processes of units, stop workers until the engine has replaced them; return how often.

    It waits until the work has `begun`: a cluster whose workers die as they start does not come to be.

    What carries out a unit is not stopped: without a limit to a unit's time that would wait for it for ever.
    """
    deeds, until = 0, None
    while run.poll() is None and (until is None or time.monotonic() < until):
        time.sleep(chance.uniform(0.3, 1.0))
        everyone = [child for child in children_of(run.pid) if b"resource_tracker" not in _line(child)]
        if not everyone or not begun():
            continue
        until = until or time.monotonic() + seconds
        victim = chance.choice(everyone)
        if chance.random() < 0.3 and b"spawn_main" in _line(victim):
            toys.tell(victim, signal.SIGSTOP)
            threading.Timer(1.5 * LOST_AFTER, toys.tell, (victim, signal.SIGCONT)).start()
        else:
            toys.tell(victim)
        deeds += 1
    return deeds


def _line(process: int) -> bytes:
    with contextlib.suppress(OSError), open(f"/proc/{process}/cmdline", "rb") as file:
        return file.read()
    return b""


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_a_run_by_dask_whose_workers_are_killed_and_stopped_has_the_undisturbed_result(
    toys, undisturbed, tmp_path, seed
):
    toy = toys.Toy(tmp_path)
    options = ["--runner", "dask", "--runner-set", f"lost_after={LOST_AFTER:g}", "--runner-set", "retries=50"]
    run = toy.start(*options, workers=2, TOY_SECONDS="0.2")
    assert disturb(toys, run, lambda: list(tmp_path.glob("store/*/receipts/*.json")), random.Random(seed), seconds=4.0)
    out, err = run.communicate(timeout=toys.PATIENCE)
    assert run.returncode == 0, out + err
    same(toy, undisturbed)


def test_one_hostile_unit_on_dask_costs_itself_and_the_list_of_what_is_missing_is_complete(toys, undisturbed, tmp_path):
    toy = toys.Toy(tmp_path)
    code, _, err = toy.run("--runner", "dask", "--runner-set", "retries=1", workers=2, TOY_HOSTILE="3")
    assert code == 1, err
    run = json.loads((tmp_path / "run/run.json").read_text())
    told = {failure["unit"].partition("-")[0]: failure for failure in run["failures"]}
    assert set(told) == {"extract", "probe", "score"}
    assert told["extract"]["error"] == "its worker was killed by SIGKILL (tried 2 times)"
    assert re.match(r"\S+ tcp://127.0.0.1:\d+", told["extract"]["worker"])
    status = json.loads(toy.probe4d("status", "run", "--json").stdout)
    assert status["units"]["done"] + len(run["failures"]) == status["units"]["total"]
    code, _, err = toy.run()
    assert code == 0, err
    same(toy, undisturbed)


def test_a_killed_scheduler_ends_a_run_with_all_that_is_missing_and_another_completes_it(toys, undisturbed, tmp_path):
    toy = toys.Toy(tmp_path)
    with started(tmp_path, environment=toy.environment()) as cluster:
        run = toy.start("--runner", "dask", "--scheduler", cluster.address, workers=None, TOY_SECONDS="0.1")
        while not list(tmp_path.glob("store/*/receipts/*.json")):
            assert run.poll() is None
            time.sleep(0.05)
        cluster.scheduler.kill()
        out, err = run.communicate(timeout=toys.PATIENCE)
    assert run.returncode == 1, out + err
    told = json.loads((tmp_path / "run/run.json").read_text())
    units = told["units"]
    assert told["failures"], err
    assert "the scheduler went away" in told["failures"][0]["error"]
    assert units["done_before"] + units.get("ok", 0) + len(told["failures"]) == units["total"]
    with started(tmp_path, environment=toy.environment()) as cluster:
        code, out, err = toy.run("--runner", "dask", "--scheduler", cluster.address, workers=None)
    assert code == 0, out + err
    same(toy, undisturbed)
