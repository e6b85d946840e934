"""Each kind of one's own files has a task: its clips are cut, and their targets stacked, as a run does both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from probe4d.builtin.own_data_specs import DATASETS
from probe4d.builtin.own_data_tasks import TASKS
from probe4d_runners.clip_source import ClipSource
from probe4d_runners.protocols import FrozenProtocol
from probe4d_runners.targets import stack_targets, target_shapes

OPTIONS = {"rgbd-folder": {"intrinsics": [50.0, 50.0, 31.5, 23.5]}}


@pytest.fixture
def root_of(
    put: Callable[..., Path],
    mot_sequence: Callable[..., Path],
    rgbd_sequence: Callable[..., Path],
    track_file: Callable[..., Path],
) -> Callable[[str], Path]:
    """Return a function that makes a sample of both splits for a dataset."""

    def make(dataset: str) -> Path:
        if dataset == "video-folder":
            return put("train/a/x.mp4", "val/a/y.mp4")
        sample = {"mot-folder": mot_sequence, "rgbd-folder": rgbd_sequence, "points-npz": track_file}[dataset]
        sample("train/one")
        return sample("val/two")

    return make


def test_every_kind_of_every_dataset_has_a_task() -> None:
    kinds = {(f"probe4d/{spec.name}", kind) for spec in DATASETS for kind in spec.kinds}
    assert kinds == {(task.train.dataset, task.kind) for task in TASKS}
    assert all(task.evaluate.dataset == task.train.dataset for task in TASKS)


@pytest.mark.parametrize("split", ["train", "evaluate"])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_clips_of_a_task_have_targets_of_the_shapes_that_are_planned(task, split, root_of) -> None:
    data, sampling = getattr(task, split), getattr(task, f"{split}_clip")
    sampling = attrs.evolve(sampling, frames=5, size=(32, 32))
    name = data.dataset.partition("/")[2]
    opened = {"dataset": data.dataset, "split": data.split}
    opened["options"] = {"root": str(root_of(name)), **OPTIONS.get(name, {})}
    source = ClipSource.open(opened, attrs.asdict(sampling), (0,), samples=9)
    assert len(source.places) == sampling.clips
    settings = FrozenProtocol(tracks=4).target_settings(split).get(task.kind, {})
    planned = target_shapes(task.kind, sampling, settings)
    for clip_id in source.places:
        (clip,) = source.of(clip_id)
        assert clip.video.shape == (5, 32, 32, 3)
        stacked = stack_targets(task.kind, [clip], settings)
        assert {field: (value.shape[1:], value.dtype.name) for field, value in stacked.items()} == planned
