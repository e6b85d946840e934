"""The suite `4d` as a user runs it: own roots, one of them in a zip, through cache, probe, score and report."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import attrs
import pytest

from probe4d.builtin.tasks_4d import TASKS
from probe4d.planning import make_plan
from probe4d.records import RunFolder
from probe4d.registry import find
from probe4d.sampling import clip_places
from probe4d.suites import find_suite

FEW = [
    *("frozen.steps=2", "frozen.warmup_steps=1", "frozen.batch_size=2", "frozen.eval_batch_size=2"),
    *("frozen.readout={width=16,heads=2}", "frozen.learning_rates=[1e-3]", "frozen.tracks=4", "frozen.eval_tracks=16"),
    *("frozen.max_broken=0.6", "frozen.extract_batch_size=2"),
    *("waymo.train_clip.clips=1", "waymo.evaluate_clip.total=2", "scannet.train_clip.clips=1"),
    *("scannet.evaluate_clip.clips=1", "perception_test.train_clip.clips=1", "re10k.evaluate_clip.clips=2"),
]


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "probe4d", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=1800)


@pytest.fixture(scope="module")
def run(roots, tmp_path_factory):
    """Return the folder in which the suite was run."""
    pytest.importorskip("jax", reason="needs jax: probes are trained with it")
    folder = tmp_path_factory.mktemp("run")
    with zipfile.ZipFile(folder / "pt.zip", "w") as archive:
        for file in Path(roots["perception_test"]).rglob("*"):
            if file.is_file() and not file.name.endswith(".zip"):
                archive.write(file, file.relative_to(roots["perception_test"]).as_posix())
    places = {**roots, "perception_test": f"zip://::file://{folder}/pt.zip"}
    options = [f"--data-root={name}={url}" for name, url in places.items()]
    options += [part for one in FEW for part in ("--set", one)]
    done = command(
        *(
            "run",
            "4d",
            "-b",
            "4ds-micro-random",
            "-o",
            "out",
            "--store",
            "store",
            "--workers",
            "1",
            "--display",
            "plain",
        ),
        *options,
        folder=folder,
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout
    assert "licence of probe4d/scannet: ScanNet Terms of Use" in done.stderr
    return folder


def records(folder: Path) -> dict[str, dict]:
    found = [json.loads(file.read_text()) for file in (folder / "out/cells").glob("*/record.json")]
    return {record["task"]["name"].rpartition("/")[2]: record for record in found}


def test_every_task_has_its_number(run):
    found = records(run)
    assert {name: record["primary"]["name"] for name, record in found.items()} == {
        "ssv2": "top1",
        "re10k": "epe_unscaled",  # no file of scales was given
        "perception_test": "average_jaccard",
        "scannet": "abs_rel",
        "waymo": "mean_iou",
    }
    assert found["ssv2"]["cell"]["layer"] == 0.75
    assert found["scannet"]["cell"]["layer"] == 0.95


def test_records_say_what_was_read_and_what_was_not(run):
    found = records(run)
    assert found["ssv2"]["data"]["train"]["facts"]["coverage"]["summary"] == "3 of 4 videos"
    assert found["re10k"]["data"]["evaluate"]["facts"]["metric"] is False
    lost = found["re10k"]["samples"]["left_out"]
    assert [item["id"] for item in lost] == ["a601d2ca12e83cdd#0", "a601d2ca12e83cdd#1"]
    assert "8 ms" in lost[0]["reason"]
    assert (found["waymo"]["data"]["evaluate"]["samples"], found["waymo"]["data"]["evaluate"]["clips"]) == (1, 2)
    assert found["perception_test"]["data"]["train"]["dataset"] == "probe4d/movi_e"
    assert [item["id"] for item in found["perception_test"]["samples"]["left_out"]] == ["video_8807"]


def test_the_report_shows_all_five(run):
    page = (run / "out/report.html").read_text()
    for name in ("ssv2", "re10k", "perception_test", "scannet", "waymo"):
        assert name in page


def test_predictions_of_a_run_score_the_same_against_the_dataset_itself(run, roots):
    record = records(run)["waymo"]
    cell = next(f.parent for f in (run / "out/cells").glob("*/record.json") if json.loads(f.read_text()) == record)
    predictions = ["--predictions", str(cell / "predictions.npz"), "--data-root", roots["waymo"]]
    # The run had two of the clips that the task has of this segment.
    options = ["--missing", "skip", "--match", "rows", "--json", "--resamples", "0"]
    done = command("score", "waymo", *predictions, *options, folder=run)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["samples"] == 2
    assert answer["values"]["mean_iou"] == pytest.approx(record["primary"]["value"], abs=1e-12)


def test_a_plan_counts_published_sizes_before_the_data_are_there(tmp_path):
    plan = make_plan(find_suite("4d"), RunFolder(tmp_path), backbones=["4ds-l", "pixels"], store=str(tmp_path))
    large = [one for one in plan.expected if one.backbone == "4ds-l"]
    found = {(one.dataset.rpartition("/")[2], one.split): one for one in large}
    clip = 8 * 196 * 1024 * 2  # a clip of ViT-L in float16: 3.2 MB
    assert found["ssv2", "train"].bytes == 168_913 * clip
    assert found["waymo", "validation"].bytes == 4096 * clip
    assert found["scannet", "train"].clips == 32 * 1201
    assert found["perception_test", "valid"].bytes == 73 * clip
    assert 1.0e12 < sum(one.bytes for one in large) < 1.5e12
    assert {problem.exit_code for problem in plan.problems} == {4}
    assert any("--data-root waymo=" in problem.reason for problem in plan.problems)


def test_a_root_of_a_dataset_that_does_not_exist_is_refused(tmp_path):
    done = command("plan", "4d", "-b", "pixels", "--data-root", "scanet=/x", folder=tmp_path)
    assert done.returncode == 2
    assert "scannet" in done.stderr


def test_the_tasks_are_sampled_as_the_paper_says():
    clips = {task.name: (task.train_clip, task.evaluate_clip) for task in TASKS}
    strides = {name: (train.stride, evaluate.stride) for name, (train, evaluate) in clips.items()}
    assert strides == {"ssv2": (2, 2), "re10k": (1, 1), "perception_test": (1, 4), "scannet": (2, 2), "waymo": (2, 2)}
    assert clips["ssv2"][0].augment == ("random-crop", "colour-jitter", "grayscale")
    assert clips["scannet"][0].augment == ("random-crop", "flip")
    assert clips["perception_test"][0].augment == ("area-crop",)
    assert clips["waymo"][1].size == (256, 256)
    assert {clip.frames for pair in clips.values() for clip in pair} == {16}
    readouts = {task.name: dict(task.readout_options) for task in TASKS}
    assert readouts["ssv2"] == {"classes": 174}
    for task in TASKS:
        assert find("datasets", task.evaluate.dataset).spec.published[task.evaluate.split] > 0


def test_4096_clips_of_waymo_are_spread_over_its_202_segments():
    sampling = TASKS[-1].evaluate_clip
    segments = [f"s{number}" for number in range(202)]
    places = clip_places(segments, sampling)
    counts = {segment: sum(own == segment for own, _ in places.values()) for segment in segments}
    assert len(places) == 4096
    assert set(counts.values()) == {20, 21}
    assert list(clip_places(["a", "b"], attrs.evolve(sampling, clips=2, total=3))) == ["a#0", "a#1", "b#0"]
