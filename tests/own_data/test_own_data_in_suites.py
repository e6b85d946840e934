"""A suite file states root, rule and windows of one's own data, and a unit opens just that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from probe4d.errors import UsageError
from probe4d.opening import open_dataset
from probe4d.planning.clips import Clips, clips_of
from probe4d.registry import Registry
from probe4d.specs import ClipSampling, DataRef
from probe4d.suites import parse
from probe4d.testing import hermetic_registry

SUITE = """
name = "mine"

[data.video-folder]
label = "file"
rule = {by = "time", spans = {train = [0, 0.5], val = [0.75, 1]}}
windows = {frames = 5}

[data.video-folder.train]
windows = {frames = 10}
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Return the built-ins alone."""
    return hermetic_registry()


def clips(registry: Registry, root: Path, split: str, suite: str = SUITE) -> Clips:
    return clips_of(
        DataRef(dataset="video-folder", split=split),
        ClipSampling(frames=4),
        (0,),
        suite=parse(suite, "mine.toml"),
        registry=registry,
        roots={"video-folder": str(root)},
    )


def test_rules_and_windows_of_a_suite_reach_the_dataset(registry: Registry, put: Callable[..., Path]) -> None:
    root = put("a.mp4", "b.mp4", frames=40)
    train, val = clips(registry, root, "train"), clips(registry, root, "val")
    assert train.ids == ("a.mp4@0-10", "a.mp4@10-20", "b.mp4@0-10", "b.mp4@10-20")
    assert val.ids == ("a.mp4@30-35", "a.mp4@35-40", "b.mp4@30-35", "b.mp4@35-40")
    assert hash(train) != hash(val)


def test_what_a_unit_gets_opens_the_same_samples(registry: Registry, put: Callable[..., Path]) -> None:
    val = clips(registry, put("a.mp4", "b.mp4", frames=40), "val")
    data = json.loads(json.dumps(val.arguments()))["data"]
    opened = open_dataset(registry.find("datasets", data["dataset"]), data["split"], data["options"])
    assert tuple(opened.sample_ids()) == val.ids
    assert opened.load(val.ids[0], [0]).video.shape == (1, 48, 64, 3)


def test_a_table_that_is_neither_an_option_nor_used_changes_nothing(
    registry: Registry, put: Callable[..., Path]
) -> None:
    root = put("a.mp4", "b.mp4", frames=40)
    other = SUITE + '\n[data.video-folder.test]\nlabel = "folder"\n'
    assert clips(registry, root, "val", other) == clips(registry, root, "val")


def test_a_misspelt_option_is_an_error(registry: Registry, put: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="lable"):
        clips(registry, put("a.mp4", frames=40), "val", SUITE.replace("label", "lable"))
