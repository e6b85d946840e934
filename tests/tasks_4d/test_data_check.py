"""`probe4d data check`: what is there, what is missing, what is broken, by exit code, text, JSON and picture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from probe4d.commands import data
from probe4d.errors import UsageError


def check(*arguments):
    return CliRunner().invoke(data.command, ["check", *map(str, arguments)])


def facts(*arguments):
    done = check(*arguments, "--json", "--no-sheet")
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture
def ssv2(roots, tmp_path):
    """Return a copy of the fixture that may be damaged."""
    return Path(shutil.copytree(roots["ssv2"], tmp_path / "ssv2"))


def test_a_whole_dataset_is_good(roots, tmp_path):
    sheet = tmp_path / "sheet.png"
    done = check("ssv2", "--root", roots["ssv2"], "-o", sheet)
    assert done.exit_code == 0, done.output
    assert "samples: 4, 4 of them with their files; 4 opened, 4 good" in done.output
    assert "licence: Qualcomm research licence" in done.output
    with Image.open(sheet) as picture:
        assert np.asarray(picture).std() > 20


def test_a_missing_file_is_named_as_it_was_expected(roots):
    code, found = facts("ssv2", "--root", roots["ssv2"], "--split", "train", "--max-broken", 0.3)
    assert code == 1
    assert (found["samples"], found["absent"], found["opened"]) == (4, 1, 3)
    assert [part["id"] for part in found["missing"]] == [found["missing"][0]["expected"].removesuffix(".webm")]
    assert found["bad_share"] == 0.25


def test_more_than_the_stated_share_is_exit_code_4(roots):
    assert facts("ssv2", "--root", roots["ssv2"], "--split", "train")[0] == 4


def test_a_broken_video_is_named_with_its_reason(ssv2):
    video = ssv2 / "20bn-something-something-v2/14216.webm"
    video.write_bytes(video.read_bytes()[:2000])
    code, found = facts("ssv2", "--root", ssv2, "--max-broken", 0.5)
    assert code == 1
    assert [item["id"] for item in found["broken"]] == ["14216"]
    assert "14216.webm" in found["broken"][0]["reason"]


def test_nothing_that_can_be_read_is_exit_code_4(ssv2):
    for video in (ssv2 / "20bn-something-something-v2").iterdir():
        video.write_bytes(b"no video")
    code, found = facts("ssv2", "--root", ssv2, "--max-broken", 1)
    assert (code, found["shapes"]) == (4, [])


def test_samples_are_opened_as_many_as_asked_and_spread(roots):
    _, found = facts("ssv2", "--root", roots["ssv2"], "--limit", 2)
    assert found["opened"] == 2
    assert [shape["example"] for shape in found["shapes"]] == ["14216", "160115"]  # the first and the last
    assert facts("ssv2", "--root", roots["ssv2"], "--limit", 0)[1]["opened"] == 4


def test_a_shape_has_a_decoded_example(roots):
    _, found = facts("movi_e", "--root", roots["movi_e"])
    (shape,) = found["shapes"]
    assert (shape["size"], shape["frames"], shape["samples"]) == ([28, 28], [24, 24], 2)
    assert shape["targets"]["depth"]["depth"] == "float32 (16, 28, 28)"
    assert set(shape["targets"]) == {"points", "boxes", "depth", "pose"}


def test_it_reads_from_memory(roots):
    memory = fsspec.filesystem("memory")
    for file in Path(roots["scannet"]).rglob("*"):
        if file.is_file():
            memory.pipe_file(f"/checked/{file.relative_to(roots['scannet']).as_posix()}", file.read_bytes())
    code, found = facts("scannet", "--root", "memory://checked")
    assert (code, found["samples"], found["shapes"][0]["size"]) == (0, 1, [60, 80])


def test_a_dataset_that_needs_no_root_needs_none(tmp_path):
    small = ["--set", "size=24", "--set", "frames=4", "--set", "length=3", "--set", "cache=false"]
    code, found = facts("playroom", "--split", "val", *small, "--kind", "pose", "--dump", tmp_path / "T.npz")
    assert (code, found["absent"], found["dump"]["samples"]) == (0, None, 3)
    with np.load(tmp_path / "T.npz") as archive:
        meta = json.loads(str(archive["meta"]))
        assert archive["val-000000/pose"].shape == (3, 4)
    assert (meta["about"]["task"], meta["about"]["clip"]) == (None, "whole samples")


def test_the_task_of_a_dump_may_be_another_that_is_evaluated_on_it(tmp_path):
    small = ["--set", "size=24", "--set", "frames=16", "--set", "length=2", "--set", "cache=false"]
    _, found = facts("playroom", *small, "--task", "playroom-depth", "--dump", tmp_path / "T.npz")
    assert (found["split"], found["dump"]["kind"]) == ("val", "depth")
    with np.load(tmp_path / "T.npz") as archive:
        assert archive["val-000000/depth"].shape == (16, 128, 128)  # in the frame of the task


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ssv2", "--dump-frames"), "--dump-frames: expected --dump"),
        (("ssv2", "--task", "waymo"), "expected one that is evaluated on probe4d/ssv2"),
        (("converted", "--root", "."), "--split: expected one"),
        (("ssv2", "--split", "val", "--root", "."), "expected a split of train, validation, test"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments, message):
    done = check(*arguments)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_a_dump_of_several_kinds_wants_one_named(roots, tmp_path):
    done = check("movi_e", "--root", roots["movi_e"], "--no-sheet", "--dump", tmp_path / "T.npz")
    assert "--kind: expected one of points, boxes, depth, pose" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
