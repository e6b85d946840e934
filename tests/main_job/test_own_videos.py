"""The main job on one's own videos: classes by video, training and evaluation from different times."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs jax: probes are trained with it")
pytest.importorskip("av", reason="needs av: it reads and writes the videos")

import probe4d
from probe4d import suites
from probe4d_datasets.video_write import write_video

PAGE = Path(__file__).parents[2] / "docs/compose-a-suite.md"


@pytest.fixture(scope="module")
def suite():
    """Return the suite of docs/compose-a-suite.md, made tiny: two videos, one backbone, a few steps."""
    (text,) = [block for block in re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "my-videos" in block]
    text = re.sub(r"backbones = .*", 'backbones = ["pixels"]', text).replace("[64, 64]", "[32, 32]")
    return suites.parse(text.replace("steps = 100", "steps = 30").replace("width = 64", "width = 16"), "page")


@pytest.fixture(scope="module")
def result(suite, tmp_path_factory):
    home = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(0)
    for name, colour in (("blue", (20, 30, 200)), ("red", (200, 30, 20))):
        frames = np.clip(np.array(colour) + random.normal(0, 10, (160, 32, 32, 3)), 0, 255).astype(np.uint8)
        (home / "videos").mkdir(exist_ok=True)
        write_video(home / f"videos/{name}.mp4", frames)
    roots = {"video-folder": str(home / "videos")}
    return probe4d.evaluate([], suite, home / "run", workers=1, roots=roots, store=str(home / "store"))


def test_videos_are_told_apart_at_times_that_were_not_trained_on(result):
    (record,) = result.records
    assert result.status == "success"
    assert record.primary == ("top1", 1.0)
    assert record.content["backbone"]["label"] == "pixels"


def test_no_frame_is_in_both_parts(result):
    times = {}
    for split in ("train", "evaluate"):
        (ids,) = {getattr(sweep, split).clips.ids for sweep in result.plan.sweeps}
        times[split] = [tuple(map(int, re.search(r"@(\d+)-(\d+)", name).groups())) for name in ids]
        assert {name.partition("@")[0] for name in ids} == {"blue.mp4", "red.mp4"}
    assert max(end for _, end in times["train"]) <= 96  # 0.6 of 160
    assert min(start for start, _ in times["evaluate"]) >= 112  # 0.7 of 160


def test_the_record_says_what_was_read(result):
    (record,) = result.records
    data = json.loads(json.dumps(record.content["data"]))["evaluate"]
    assert data["dataset"] == "probe4d/video-folder"
    assert data["options"]["rule"] == {"by": "time", "spans": {"train": [0, 0.6], "val": [0.7, 1]}}
