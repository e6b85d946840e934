"""`video-folder`: labels by folder or by file, splits by folder, list, fraction and time."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from numbered_videos import number_of
from probe4d.contracts import Dataset
from probe4d.errors import DataError, UsageError
from probe4d_datasets.coverage import Coverage
from probe4d_datasets.own.video_folder import VideoFolder


def numbers(video: np.ndarray) -> list[int]:
    return [number_of(image) for image in video]


def test_classes_are_the_sorted_folders_of_all_splits(put: Callable[..., Path]) -> None:
    root = put("train/wave/1.mp4", "train/clap/a.MP4", "train/clap/deep/b.mp4", "val/jump/1.mp4", "val/clap/9.mp4")
    (root / "train/notes.txt").write_text("no video")
    train, val = VideoFolder(root, "train"), VideoFolder(root, "val")
    assert isinstance(train, Dataset)
    assert train.class_names == val.class_names == ("clap", "jump", "wave")
    assert train.sample_ids() == ("train/clap/a.MP4", "train/clap/deep/b.mp4", "train/wave/1.mp4")
    sample = val.load("val/jump/1.mp4")
    assert sample.targets["labels"]["label"].shape == ()
    assert int(sample.targets["labels"]["label"]) == 1
    assert sample.video.shape == (20, 48, 64, 3)
    assert sample.provenance["class"] == "jump"
    assert len(sample.provenance["sha256"]) == 64


def test_frames_come_in_the_order_asked_for(put: Callable[..., Path]) -> None:
    dataset = VideoFolder(put("train/a/x.mp4"), "train")
    assert numbers(dataset.load("train/a/x.mp4", [19, 3, 3]).video) == [19, 3, 3]
    assert numbers(dataset.load("train/a/x.mp4").video) == list(range(20))
    for wrong in ([20], [-1], []):
        with pytest.raises(DataError, match=r"x\.mp4: expected frames from 0 to 19, got"):
            dataset.load("train/a/x.mp4", wrong)


def test_each_video_a_class_and_the_splits_by_time(put: Callable[..., Path]) -> None:
    root = put("street.mp4", "city.mp4", frames=40)
    options = {"label": "file", "rule": {"by": "time", "spans": {"train": [0, 0.5], "val": [0.75, 1]}}}
    train = VideoFolder(root, "train", windows={"frames": 8, "every": 4}, **options)
    val = VideoFolder(root, "val", windows={"frames": 5}, **options)
    assert train.sample_ids() == tuple(f"{v}.mp4@{s}-{s + 8}" for v in ("city", "street") for s in (0, 4, 8, 12))
    assert val.sample_ids() == ("city.mp4@30-35", "city.mp4@35-40", "street.mp4@30-35", "street.mp4@35-40")
    assert val.class_names == ("city.mp4", "street.mp4")
    sample = val.load("street.mp4@35-40", [0, 4])
    assert numbers(sample.video) == [35, 39]
    assert int(sample.targets["labels"]["label"]) == 1
    assert val.num_frames("street.mp4@35-40") == 5
    whole = VideoFolder(root, "val", **options)
    assert whole.sample_ids() == ("city.mp4@30-40", "street.mp4@30-40")


def test_classes_may_be_stated_or_stand_in_a_file(put: Callable[..., Path]) -> None:
    root = put("train/b/1.mp4", "train/a/1.mp4")
    (root / "classes.txt").write_text("b\na\nc\n")
    for dataset in (VideoFolder(root, classes=["b", "a", "c"]), VideoFolder(root, classes_file="classes.txt")):
        assert dataset.class_names == ("b", "a", "c")
        assert int(dataset.load("train/b/1.mp4", [0]).targets["labels"]["label"]) == 0
    only = VideoFolder(root, classes=["a"])
    with pytest.raises(DataError, match=r"b/1\.mp4: expected a video in a folder of one of 1 classes, got 'b'"):
        only.load("train/b/1.mp4", [0])
    with pytest.raises(UsageError, match="got both"):
        VideoFolder(root, classes=["a"], classes_file="classes.txt")
    with pytest.raises(UsageError, match="each name once"):
        VideoFolder(root, classes=["a", "a"])


def test_the_same_samples_come_out_of_an_archive_and_memory(
    put: Callable[..., Path], elsewhere: Callable[[Path], dict[str, str]]
) -> None:
    root = put("train/a/x.mp4", "train/b/y.mp4")
    truth = VideoFolder(root).load("train/b/y.mp4", [4, 11])
    for url in elsewhere(root).values():
        dataset = pickle.loads(pickle.dumps(VideoFolder(url)))
        assert dataset.sample_ids() == ("train/a/x.mp4", "train/b/y.mp4")
        sample = dataset.load("train/b/y.mp4", [4, 11])
        np.testing.assert_array_equal(sample.video, truth.video)
        assert sample.targets == truth.targets


def test_a_broken_file_costs_itself_and_is_counted_and_named(put: Callable[..., Path]) -> None:
    root = put(*(f"train/a/{i}.mp4" for i in range(4)), frames=20)
    (root / "train/a/2.mp4").write_bytes((root / "train/a/2.mp4").read_bytes()[:1000])
    (root / "train/a/3.mp4").unlink()
    (root / "train/a/3.mp4").symlink_to("/etc/hostname")
    for windows in (None, {"frames": 20}):
        dataset = VideoFolder(root, "train", windows=windows)
        assert len(dataset.sample_ids()) == 4
        coverage = Coverage(total=4, max_broken=0.5)
        for sample_id in dataset.sample_ids():
            coverage, sample = coverage.load(dataset, sample_id, [0])
            assert (sample is None) == (sample_id[8] in "23")
        record = coverage.as_record()
        assert (record["used"], [broken["id"] for broken in record["left_out"]]) == (
            2,
            ["train/a/2.mp4", "train/a/3.mp4"],
        )
        assert "2.mp4: expected a whole video" in record["left_out"][0]["reason"]
        assert "leads out of it" in record["left_out"][1]["reason"]
        strict = Coverage(total=4, max_broken=0.25, left_out=(("x", "y."),))
        with pytest.raises(DataError, match="expected at most 25% of 4 to be broken, got 2"):
            strict.load(dataset, dataset.sample_ids()[2], [0])


def test_a_listed_file_that_is_missing_costs_itself(put: Callable[..., Path]) -> None:
    root = put("a/1.mp4")
    (root / "val.txt").write_text("a/1.mp4\na/2.mp4\n")
    dataset = VideoFolder(root, "val", rule={"by": "list", "files": {"val": "val.txt"}})
    assert dataset.load("a/1.mp4", [0]).id == "a/1.mp4"
    with pytest.raises(DataError, match=r"a/2\.mp4: expected a readable file"):
        dataset.load("a/2.mp4", [0])


def test_a_fraction_never_divides_the_windows_of_one_video(put: Callable[..., Path]) -> None:
    root = put(*(f"a/{i}.mp4" for i in range(12)), frames=20)
    rule = {"by": "fraction", "parts": {"train": 0.5, "val": 0.5}}
    found = [
        {name.partition("@")[0] for name in VideoFolder(root, split, rule=rule, windows={"frames": 5}).sample_ids()}
        for split in ("train", "val")
    ]
    assert len(found[0] | found[1]) == 12
    assert not found[0] & found[1]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"split": "test"}, DataError, "expected a folder 'test'"),
        ({"label": "name"}, UsageError, "label: expected folder, file, got 'name'"),
        ({"windows": {"frame": 3}}, UsageError, "windows: expected frames, every, got 'frame'. Did you mean 'frames'"),
        ({"windows": {"frames": 21}}, DataError, "expected samples in the split 'train', got none from 1 items"),
        ({"windows": 16}, UsageError, "windows: expected a table of options, got 16"),
        ({"root": None}, UsageError, "VideoFolder: expected a root"),
        ({"root": "/no/such/folder"}, DataError, "/no/such/folder: expected a folder"),
    ],
)
def test_options_that_are_not_right_say_what_is(
    options: dict, error: type[Exception], message: str, put: Callable[..., Path]
) -> None:
    import re

    with pytest.raises(error, match=re.escape(message)):
        VideoFolder(**({"root": put("train/a/x.mp4")} | options))


def test_an_unknown_sample_is_refused(put: Callable[..., Path]) -> None:
    dataset = VideoFolder(put("train/a/x.mp4", "val/a/y.mp4"))
    for ask in (dataset.load, dataset.num_frames):
        with pytest.raises(DataError, match=r"expected a sample of the split 'train', got 'val/a/y\.mp4'"):
            ask("val/a/y.mp4")
