"""The main job as a user runs it: real processes, killed and resumed, compared to the last bit."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="needs jax: probes are trained with it")

from toy_plans import playroom_suite

SUITE = playroom_suite(
    """
name = "tiny"
backbones = ["pixels"]
tasks = ["playroom-labels", "playroom-pose"]
protocols = ["frozen-quick"]
aggregates = ["mean_rank"]
""",
    train=72,
    val=24,
    more="""
[overrides.frozen-quick]
steps = 6
warmup_steps = 1
batch_size = 4
eval_batch_size = 8
readout = {width = 16, heads = 2}
""",
)


class Job:
    """A folder with a suite, its store and its run."""

    def __init__(self, folder: Path, suite: str = SUITE) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tiny.toml").write_text(suite)

    def line(self, *options: str) -> list[str]:
        run = ["run", "tiny.toml", "-o", "run", "--store", "store", "--workers", "1", "--no-report", *options]
        return [sys.executable, "-m", "probe4d", *run]

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start the job in a session of its own."""
        return subprocess.Popen(
            self.line(*options), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the job to its end."""
        return subprocess.run(
            self.line(*options), cwd=self.folder, capture_output=True, text=True, check=False, timeout=300
        )

    def probe4d(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the folder."""
        line = [sys.executable, "-m", "probe4d", *arguments]
        return subprocess.run(line, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120)

    def results(self) -> dict[str, object]:
        """Return what must not depend on how the run went: values, and digests of predictions and features."""
        found: dict[str, object] = {}
        for file in sorted((self.folder / "run/cells").glob("*/record.json")):
            record = json.loads(file.read_text())
            found[file.parent.name] = [record["values"], record["ci95"], record["members"]]
        for pattern in ("run/cells/*/predictions.npz", "run/cells/*/samples.jsonl", "store/*/features.zarr/**/c/**/*"):
            for file in sorted(self.folder.glob(pattern)):
                if file.is_file():
                    name = str(file.relative_to(self.folder))
                    found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        return found

    def done(self) -> int:
        """Return how many units have left their result: shards, sweeps and records."""
        results = ("store/*/receipts/*.json", "run/sweeps/*/sweep.json", "run/cells/*/record.json")
        return sum(len(list(self.folder.glob(pattern))) for pattern in results)

    def units(self) -> dict[str, int]:
        """Return how many units the last run that ended had, found done, and carried out."""
        return json.loads((self.folder / "run/run.json").read_text())["units"]

    def sessions(self) -> dict[str, int]:
        """Return by session how many units it had before it."""
        found = (self.folder / "run/sessions").glob("*.json")
        return {file.name: json.loads(file.read_text())["units"] for file in found}

    def receipts(self) -> dict[str, float]:
        """Return when each shard was written."""
        return {str(file): file.stat().st_mtime for file in self.folder.glob("store/*/receipts/*.json")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Job:
    """Return a job that ran without anything happening to it."""
    job = Job(tmp_path_factory.mktemp("undisturbed"))
    done = job.run()
    assert done.returncode == 0, done.stderr
    return job


def test_a_run_ends_with_a_record_per_cell_and_a_table(undisturbed):
    done = undisturbed.run()
    assert "playroom-labels top1↑" in done.stdout
    assert "playroom-pose epe↓" in done.stdout
    records = [json.loads(file.read_text()) for file in undisturbed.folder.glob("run/cells/*/record.json")]
    assert {record["cell"]["task"] for record in records} == {"probe4d/playroom-labels", "probe4d/playroom-pose"}
    for record in records:
        assert record["schema"] == "probe4d/record/1"
        assert len(record["members"]) == 3
        assert record["select_on"] == "evaluate"
        assert record["backbone"]["name"] == "fourds/pixels"
        assert {plugin["name"] for plugin in record["plugins"] if plugin["used"]} >= {"probe4d", "fourds", "readouts"}
        assert record["samples"]["evaluated"] == 24
        best = max if record["primary"]["higher_is_better"] else min
        assert record["primary"]["value"] == best(member["chosen_by"] for member in record["members"])
    run = json.loads((undisturbed.folder / "run/run.json").read_text())
    assert run["status"] == "success"


def test_the_page_of_records_names_every_field_and_no_other(undisturbed):
    page = (Path(__file__).parents[2] / "docs/records.md").read_text()
    table = page.partition("`record.json` is an object")[2]
    named = {name for row in re.findall(r"^\| (`.+?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}
    for file in undisturbed.folder.glob("run/cells/*/record.json"):
        record = json.loads(file.read_text())
        assert named - {"logs"} == set(record) - {"logs"}
        assert set(record["files"]) == {"samples.jsonl", "predictions.npz", "training.json"}
        assert all(f"`{name}`" in page for name in record["backbone"] | record["timings"])


def test_the_same_command_again_computes_nothing(undisturbed):
    before = {file: file.stat().st_mtime_ns for file in undisturbed.folder.glob("run/cells/*/*")}
    receipts = undisturbed.receipts()
    started = time.monotonic()
    assert undisturbed.run().returncode == 0
    assert time.monotonic() - started < 60
    assert {file: file.stat().st_mtime_ns for file in undisturbed.folder.glob("run/cells/*/*")} == before
    assert undisturbed.receipts() == receipts
    total = undisturbed.done()
    assert undisturbed.units() == {"total": total, "done_before": total}


def test_predictions_can_be_scored_again_by_the_score_command(undisturbed):
    for file in undisturbed.folder.glob("run/cells/*/record.json"):
        record = json.loads(file.read_text())
        done = undisturbed.probe4d(
            "score", record["task"]["kind"], "--predictions", str(file.parent / record["predictions"]),
            "--targets", f"run/{record['targets']}", "--json",
        )  # fmt: skip
        assert json.loads(done.stdout)["values"] == record["values"]


def test_a_backbone_compared_with_itself_is_too_close_to_call(undisturbed):
    done = undisturbed.probe4d("compare", "run", "run", "--json")
    compared = json.loads(done.stdout)
    assert len(compared) == 2
    assert all(one["better"] is None for one in compared)
    assert all(set(one["difference"].values()) == {0.0} for one in compared)
    assert "too close to call" in undisturbed.probe4d("compare", "run", "run").stdout


def test_the_leaderboard_shows_every_backbone(undisturbed):
    rows = json.loads(undisturbed.probe4d("leaderboard", "run", "-a", "mean_rank", "--json").stdout)
    assert [row["backbone"] for row in rows] == ["pixels"]
    assert rows[0]["aggregates"] == {"mean_rank": 1.0}


def test_another_suite_does_not_go_into_the_same_folder(undisturbed):
    other = undisturbed.folder / "other.toml"
    other.write_text(SUITE.replace('"tiny"', '"other"'))
    done = undisturbed.probe4d("run", "other.toml", "-o", "run", "--store", "store")
    assert done.returncode == 2
    assert "expected a run of suite 'other', got one of 'tiny'" in done.stderr


def disturbed(folder: Path, times: int, seed: int) -> Job:
    """Return a job whose processes were killed at random moments, then run to its end."""
    job, chance = Job(folder), random.Random(seed)
    done_before: dict[str, int] = {}  # by session, what was done before it
    for _ in range(times):
        done = job.done()
        process = job.start("--display", "none")
        time.sleep(chance.uniform(0.5, 6.0))
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        process.kill()
        for child in children.stdout.split():
            if chance.random() < 0.5:
                os.kill(int(child), signal.SIGKILL)
        process.wait()
        process.communicate()
        done_before |= dict.fromkeys(job.sessions().keys() - done_before.keys(), done)
    last = job.run()
    assert last.returncode == 0, last.stderr
    # What had left its result is nobody's work again; a worker that outlived its parent may have done one more.
    total = job.units()["total"]
    assert total == job.done()
    assert all(job.sessions()[name] <= total - done for name, done in done_before.items())
    assert job.units()["done_before"] + job.units().get("ok", 0) == total
    return job


def test_a_killed_and_resumed_run_equals_the_undisturbed_one(undisturbed, tmp_path):
    assert disturbed(tmp_path / "killed", times=5, seed=1).results() == undisturbed.results()


@pytest.mark.slow
def test_fifty_times_killed_makes_no_difference(undisturbed, tmp_path):
    assert disturbed(tmp_path / "killed", times=50, seed=2).results() == undisturbed.results()


def test_an_interrupt_leaves_a_run_that_goes_on(undisturbed, tmp_path):
    job = Job(tmp_path / "interrupted")
    process = job.start("--display", "none")
    while not list(job.folder.glob("store/*/receipts/*.json")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in out
    done = job.folder / "run/run.json"
    assert json.loads(done.read_text())["status"] == "cancelled"
    receipts, before = job.receipts(), job.done()
    assert job.run().returncode == 0
    assert job.units() == {"total": job.done(), "done_before": before, "ok": job.done() - before}
    assert receipts.items() <= job.receipts().items()  # nothing that was done is done again
    assert job.results() == undisturbed.results()
