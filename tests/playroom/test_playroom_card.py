"""The card: its baselines against hand computation, and its page against the code."""

from __future__ import annotations

import re

import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d_datasets.playroom import Playroom
from probe4d_datasets.playroom.leakage import CEILING
from probe4d_runners.playroom_card.__main__ import _filled
from probe4d_runners.playroom_card.baselines import BASELINES, fit, relative_pose, score
from probe4d_runners.playroom_card.statistics import describe


@pytest.fixture(scope="module")
def clips():
    return Playroom(split="val", size=24, frames=4, length=12)


@pytest.fixture(scope="module")
def samples(clips):
    return [clips.load(clip) for clip in clips.sample_ids()]


@pytest.fixture(scope="module")
def fitted(clips):
    return fit(clips)


def test_constants_are_those_of_the_training_targets(fitted, samples):
    depth = np.concatenate([sample.targets["depth"]["depth"] for sample in samples])
    assert fitted.depth == pytest.approx(np.median(depth))
    np.testing.assert_allclose(fitted.depth_map, np.median(depth, axis=0))
    np.testing.assert_allclose(fitted.pose, np.mean([relative_pose(sample) for sample in samples], axis=0))
    assert fitted.label in range(12)


def test_baselines_score_what_a_hand_computation_gives(fitted, clips, samples):
    scores = {score.baseline: score for score in score(fitted, clips)}
    assert set(scores) == set(BASELINES)
    assert all(one.low <= one.value <= one.high for one in scores.values())
    assert scores["majority class"].value == pytest.approx(1 / 12)

    depth = np.stack([sample.targets["depth"]["depth"] for sample in samples]).astype(np.float64)
    off = np.abs(depth - fitted.depth) / (depth + 1e-6)
    assert scores["constant depth (train median)"].value == pytest.approx(off.mean(), rel=1e-5)

    corners = np.array([(x, y, z, 1) for x in (-5, 5) for y in (-5, 5) for z in (0, 10)], float)
    poses = [relative_pose(sample) for sample in samples]
    errors = [np.sqrt((((pose - np.eye(3, 4)) @ corners.T) ** 2).sum(0)).mean() for pose in poses]
    assert scores["identity pose"].value == pytest.approx(np.mean(errors))


def test_the_relative_pose_maps_points_of_the_first_camera_to_the_last(samples):
    first, last = samples[0].targets["pose"]["extrinsics"][[0, -1]]
    point = np.array([0.3, -0.2, 1.1])
    local = first[:, :3] @ point + first[:, 3]
    pose = relative_pose(samples[0])
    np.testing.assert_allclose(pose[:, :3] @ local + pose[:, 3], last[:, :3] @ point + last[:, 3], atol=1e-12)


def test_statistics_have_a_row_for_each_kind_of_target(clips):
    rows = dict(describe(clips))
    assert rows["clips"] == "12 of 4 frames, 24x24"
    assert rows["clips of a class"] == "1 to 1"
    assert {"points visible", "depth (m)", "camera's turn, first to last (degrees)"} <= set(rows)


def test_the_page_holds_all_baselines_and_the_ceilings_of_the_code(repository):
    page = (repository / "docs/playroom.md").read_text(encoding="utf-8")
    for name in BASELINES:
        assert f"| {name} |" in page
    stated = {
        name: float(value) / 100 for name, value in re.findall(r"^\| ([^|]+) \| ([\d.]+)% \|$", page, re.MULTILINE)
    }
    assert stated["mean within pairs"] == pytest.approx(CEILING.within_pairs, abs=0.005)
    assert stated["all twelve classes, told the pair"] == pytest.approx(CEILING.over_classes, abs=0.005)
    for image in re.findall(r"\((images/[^)]+)\)", page):
        assert 0 < (repository / "docs" / image).stat().st_size < 300_000


def test_tables_go_between_their_marks():
    page = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\n<!-- end -->\nc\n"
    filled = _filled(page, {"one": "| 1 |", "two": r"| \2 |"})
    assert filled == "a\n<!-- one -->\n| 1 |\n<!-- end -->\nb\n<!-- two -->\n| \\2 |\n<!-- end -->\nc\n"
    assert _filled(filled, {"one": "| 1 |"}) == filled
    with pytest.raises(UsageError, match="expected '<!-- three -->'"):
        _filled(page, {"three": ""})
