"""`--part i/n` and `status`: fixed parts of one plan, on one store and folder, give one result."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d.contracts import Unit
from probe4d.errors import UsageError
from probe4d.planning.parts import Part, owners
from probe4d.planning.units import EXTRACT, PROBE, SCORE


def units_of(shards: int, sweeps: int) -> list[Unit]:
    found = [Unit(id=f"extract-{n}", target=EXTRACT, arguments={}) for n in range(shards)]
    needs = tuple(unit.id for unit in found)
    for n in range(sweeps):
        found.append(Unit(id=f"probe-{n}", target=PROBE, arguments={}, needs=needs))
        found.append(Unit(id=f"score-{n}", target=SCORE, arguments={}, needs=(f"probe-{n}",)))
    return found


@given(st.integers(0, 40), st.integers(0, 9), st.integers(1, 12))
def test_parts_share_out_every_unit_once_and_evenly(shards, sweeps, of):
    units = units_of(shards, sweeps)
    found = owners(units, of)
    assert set(found) == {unit.id for unit in units}
    for word, number in (("extract", shards), ("probe", sweeps)):
        counts = [sum(found[f"{word}-{n}"] == part for n in range(number)) for part in range(1, of + 1)]
        assert sum(counts) == number
        assert max(counts) - min(counts) <= 1
    assert all(found[f"score-{n}"] == found[f"probe-{n}"] for n in range(sweeps))


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(UsageError, match="--part: expected"):
        Part.parse(text)


def test_parts_one_after_the_other_complete_the_run_and_say_what_is_left(toys, undisturbed, tmp_path):
    toy = toys.Toy(tmp_path)
    code, out, err = toy.run("--part", "1/2")
    assert code == 75, err
    assert "10 units of the plan are left to other parts" in out
    assert "2 units of this part wait for them" in out
    assert "Traceback" not in err
    status = json.loads(toy.probe4d("status", "run", "--json").stdout)
    assert status["units"] == {"total": 18, "done": 8, "running": 0, "failed": 0}
    assert status["bytes_left"] > 0
    assert [phase["done"] for phase in status["phases"]] == [8, 0, 0]
    # The second part finds all that its own needs; the sweep is the first part's.
    code, out, err = toy.run("--part", "2/2")
    assert code == 75, err
    assert "2 units of the plan are left to other parts" in out
    assert json.loads((toy.folder / "run/run.json").read_text())["status"] == "started"
    code, out, err = toy.run()  # the last plain run completes and collects
    assert code == 0, err
    assert "playroom-labels top1" in out
    assert json.loads((toy.folder / "run/run.json").read_text())["status"] == "success"
    assert toy.results() == undisturbed.results()
    shown = toy.probe4d("status", "run")
    assert "suite toy: 18 of 18 units done" in shown.stdout
    assert shown.returncode == 0


def test_parts_at_the_same_time_give_the_bits_of_one_worker(toys, undisturbed, tmp_path):
    toy = toys.Toy(tmp_path)
    parts = [toy.start("--part", f"{number}/5") for number in range(1, 6)]
    told = [part.communicate(timeout=toys.PATIENCE) for part in parts]
    assert {part.returncode for part in parts} <= {0, 75}, told
    code, _, err = toy.run()
    assert code == 0, err
    assert toy.results() == undisturbed.results()
    assert toy.orphans() == []


@pytest.mark.parametrize("workers", [2, 5])
def test_several_workers_give_the_bits_of_one(toys, undisturbed, tmp_path, workers):
    toy = toys.Toy(tmp_path)
    code, _, err = toy.run(workers=workers)
    assert code == 0, err
    assert toy.results() == undisturbed.results()


def test_a_run_that_was_killed_shows_as_lost_and_what_ran_as_running(toys, tmp_path):
    toy = toys.Toy(tmp_path)
    process = toy.start(TOY_SECONDS="60")
    try:
        while not (found := toy.probe4d("status", "run", "--json")).stdout or not json.loads(found.stdout)["sessions"]:
            assert process.poll() is None
        while json.loads(found.stdout)["units"]["running"] != 1:
            assert process.poll() is None
            found = toy.probe4d("status", "run", "--json")
        assert "at work: all on" in toy.probe4d("status", "run").stdout
    finally:
        children = toys.workers_of(process.pid)
        process.kill()
        process.communicate()
        for child in children:
            toys.tell(child)
    shown = toy.probe4d("status", "run").stdout
    assert "nothing is running" in shown
    assert f"lost: process {process.pid}" in shown


def test_status_of_what_is_no_run_says_so(toys, tmp_path):
    shown = toys.Toy(tmp_path).probe4d("status", ".")
    assert shown.returncode == 4
    assert "plan.json: expected a file of a run, got none" in shown.stderr


def test_watch_ends_when_all_is_done(undisturbed):
    shown = undisturbed.probe4d("status", "run", "--watch", "--json", "--every", "0.1")
    assert json.loads(shown.stdout)["units"]["done"] == 18
