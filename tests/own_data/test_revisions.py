"""The revision of a split changes with its files, and with nothing else: cached features rest on it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

from probe4d_datasets.own.mot_folder import MotFolder
from probe4d_datasets.own.video_folder import VideoFolder


def test_a_changed_added_or_removed_file_is_another_revision(put: Callable[..., Path]) -> None:
    root = put("train/a/x.mp4", "train/b/y.mp4", "val/a/z.mp4")
    first = VideoFolder(root).revision
    assert pickle.loads(pickle.dumps(VideoFolder(root))).revision == first
    os.utime(root / "train/a/x.mp4", ns=(1, 1))
    second = VideoFolder(root).revision
    put("train/b/w.mp4")
    third = VideoFolder(root).revision
    assert len({first, second, third}) == 3
    (root / "train/b/w.mp4").unlink()
    assert VideoFolder(root).revision == second


def test_other_splits_and_other_files_change_nothing_unless_classes_move(put: Callable[..., Path]) -> None:
    root = put("train/a/x.mp4", "train/b/y.mp4")
    first = VideoFolder(root).revision
    put("val/b/z.mp4")
    (root / "notes.txt").write_text("mine")
    assert VideoFolder(root).revision == first
    put("val/aa/z.mp4")  # its class pushes `b` to another number
    assert VideoFolder(root).revision != first


def test_annotations_belong_to_the_revision(mot_sequence: Callable[..., Path]) -> None:
    root = mot_sequence()
    mot_sequence("val/run")
    first = MotFolder(root).revision
    with (root / "val/run/gt/gt.txt").open("a") as file:
        file.write("1,50,1,1,5,5\n")
    assert MotFolder(root).revision == first
    with (root / "train/walk/gt/gt.txt").open("a") as file:
        file.write("1,50,1,1,5,5\n")
    assert MotFolder(root).revision != first


def test_archives_and_memory_have_revisions_too(
    put: Callable[..., Path], elsewhere: Callable[[Path], dict[str, str]]
) -> None:
    root = put("train/a/x.mp4", "train/b/y.mp4")
    before = {name: VideoFolder(url).revision for name, url in elsewhere(root).items()}
    assert VideoFolder(elsewhere(root)["zip"]).revision == before["zip"]
    put("train/a/x.mp4", frames=12)
    after = {name: VideoFolder(url).revision for name, url in elsewhere(root).items()}
    assert all(before[name] != after[name] for name in before)
