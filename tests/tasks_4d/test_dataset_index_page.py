"""The overview of datasets states sizes of features that the plan computes, and names what there is."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from probe4d.builtin.tasks_4d import TASKS
from probe4d.planning import make_plan
from probe4d.records import RunFolder
from probe4d.registry import entries
from probe4d.suites import find_suite

COLUMNS = ("ssv2", "re10k", "movi_e", "perception_test", "scannet", "waymo")


@pytest.fixture(scope="module")
def page(repository) -> str:
    return (repository / "docs/datasets/index.md").read_text(encoding="utf-8")


def test_every_dataset_and_every_page_of_it_is_there(page, repository):
    for entry in entries("datasets"):
        if entry.plugin == "probe4d":
            assert f"`{entry.spec.name}`" in page
    for link in re.findall(r"\]\(([^)#]+\.md)\)", page):
        assert (repository / "docs/datasets" / link).exists(), link


def test_the_sizes_of_features_are_those_of_the_plan(page, tmp_path):
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d.]+) \| ((?:[\d.]+ \|\s){7})", page, re.MULTILINE)
    assert len(rows) >= 6
    plan = make_plan(find_suite("4d"), RunFolder(tmp_path), backbones=[name for name, *_ in rows], store=str(tmp_path))
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for one in plan.expected:
        sums[one.backbone, one.dataset.rpartition("/")[2]] += one.bytes
    clips = {one.backbone: one.bytes / one.clips for one in plan.expected}
    for name, megabytes, numbers in rows:
        assert float(megabytes) == pytest.approx(clips[name] / 1e6, abs=0.051)
        stated = [float(number) for number in numbers.split("|")[:7]]
        expected = [sums[name, column] / 1e9 for column in COLUMNS]
        assert stated == [pytest.approx(value, abs=0.051) for value in [*expected, sum(expected)]]


def test_every_task_is_on_the_page(page):
    for task in TASKS:
        assert f"\n| `{task.name}` |" in page
