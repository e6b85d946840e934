"""`mot-folder`: MOTChallenge sequences as images or video, whole or in windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from numbered_videos import number_of
from own_data.same_samples import check_elsewhere, check_selected_frames
from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.mot_folder import MotFolder, parse_mot


def test_boxes_are_normalised_clipped_and_counted_from_one(mot_sequence: Callable[..., Path]) -> None:
    sample = MotFolder(mot_sequence(), "train").load("train/walk")
    boxes, present = (sample.targets["boxes"][name] for name in ("boxes", "present"))
    assert sample.provenance["track_ids"] == [1, 7]
    assert [number_of(image) for image in sample.video] == list(range(12))
    # Frame 1 (first of the file): left 3, top 11, 16 x 24, the first pixel being 1.
    np.testing.assert_allclose(boxes[0, 0], [10 / 48, 2 / 64, 34 / 48, 18 / 64], rtol=1e-6)
    np.testing.assert_allclose(boxes[0, 11], [10 / 48, 24 / 64, 34 / 48, 40 / 64], rtol=1e-6)
    # The second leaves the frame at the left and at the bottom: x from -8 to 8, y from 40 to 64.
    np.testing.assert_allclose(boxes[1, 8], [40 / 48, 0, 1, 8 / 64], rtol=1e-6)
    assert present[0].all()
    assert present[1].tolist() == [False] * 8 + [True] * 4
    assert not boxes[1, :8].any()


def test_pixels_may_count_from_zero(mot_sequence: Callable[..., Path]) -> None:
    sample = MotFolder(mot_sequence(), "train", pixel_base=0).load("train/walk", [0])
    np.testing.assert_allclose(sample.targets["boxes"]["boxes"][0, 0], [11 / 48, 3 / 64, 35 / 48, 19 / 64], rtol=1e-6)
    with pytest.raises(UsageError, match="pixel_base: expected 0 or 1, got 2"):
        MotFolder(mot_sequence(), "train", pixel_base=2)


def test_windows_cut_a_long_sequence_and_number_its_tracks(mot_sequence: Callable[..., Path]) -> None:
    dataset = MotFolder(mot_sequence(), "train", windows={"frames": 5})
    assert dataset.sample_ids() == ("train/walk@0-5", "train/walk@5-10")
    first, second = (dataset.load(name) for name in dataset.sample_ids())
    assert (first.provenance["track_ids"], second.provenance["track_ids"]) == ([1], [1, 7])
    assert [number_of(image) for image in second.video] == [5, 6, 7, 8, 9]
    assert second.targets["boxes"]["present"][1].tolist() == [False, False, False, True, True]


def test_frames_select_without_changing_the_rows(mot_sequence: Callable[..., Path]) -> None:
    check_selected_frames(MotFolder(mot_sequence(), "train"), "train/walk", "boxes", ("boxes", "present"))


def test_a_video_stands_for_the_images(mot_sequence: Callable[..., Path]) -> None:
    sample = MotFolder(mot_sequence("train/filmed", video=True), "train").load("train/filmed", [11])
    assert number_of(sample.video[0]) == 11
    assert sample.targets["boxes"]["present"].tolist() == [[True], [True]]


def test_archives_and_memory_give_the_same(
    mot_sequence: Callable[..., Path], elsewhere: Callable[[Path], dict[str, str]]
) -> None:
    root = mot_sequence()
    check_elsewhere(lambda url: MotFolder(url, "train").load("train/walk", [3, 9]), root, elsewhere(root).values())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,1,2,3,4\n", r"gt\.txt, line 1: expected frame >= 1, id, left, top"),
        ("1,1,2,3,4,5\n1,1,x,3,4,5\n", r"gt\.txt, line 2: expected numbers between commas"),
        ("1 1 2 3 4 5\n", r"gt\.txt, line 1: expected numbers between commas"),
        ("0,1,2,3,4,5\n", "line 1: expected frame >= 1"),
        ("1,1,2,3,-4,5\n", "width > 0"),
        ("1,1,nan,3,4,5\n", "line 1: expected frame >= 1"),
        ("1,1,2,3,4,5\n1,1,2,3,4,5\n", r"line 2: expected id 1 once in frame 1, got it again"),
    ],
)
def test_a_broken_annotation_names_its_line(rows: str, message: str, mot_sequence: Callable[..., Path]) -> None:
    dataset = MotFolder(mot_sequence(rows=rows), "train")
    with pytest.raises(DataError, match=message):
        dataset.load("train/walk", [0])


def test_missing_broken_and_odd_images_cost_the_sequence(mot_sequence: Callable[..., Path]) -> None:
    from PIL import Image

    root = mot_sequence()
    images = root / "train/walk/img1"
    (images / "000003.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    Image.new("RGB", (10, 10)).save(images / "000004.png")
    (images / "000005.png").unlink()
    dataset = MotFolder(root, "train")
    assert dataset.load("train/walk", [0, 1]).video.shape == (2, 48, 64, 3)
    for frame, message in (
        (2, r"000003\.png: expected a whole image"),
        (3, r"000004\.png: expected \(48, 64\) \(h, w\) as .*000001\.png, got \(10, 10\)"),
        (4, "train/walk: expected an image of frame 5, got none"),
    ):
        with pytest.raises(DataError, match=message):
            dataset.load("train/walk", [0, frame])
    (images / "cover.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cover\.png: expected a frame number as its name"):
        MotFolder(root, "train").load("train/walk", [0])


def test_a_broken_seqinfo_and_a_sequence_without_pictures_are_named(mot_sequence: Callable[..., Path]) -> None:
    root = mot_sequence()
    for text, message in (("nonsense", r"expected a section \[Sequence\]"), ("[Sequence]\nseqLength=x", "seqLength")):
        (root / "train/walk/seqinfo.ini").write_text(text)
        with pytest.raises(DataError, match=message):
            MotFolder(root, "train").num_frames("train/walk")
    for file in (root / "train/walk/img1").iterdir():
        file.unlink()
    (root / "train/walk/seqinfo.ini").unlink()
    with pytest.raises(DataError, match=r"expected images in img1/, or one video, got neither"):
        MotFolder(root, "train").load("train/walk")


def test_old_rows_without_a_confidence_all_count() -> None:
    assert parse_mot("2,1,0,0,5,5\n\n1,1,0,0,5,5,0,3\n", "x")[:, 6].tolist() == [1.0, 0.0]


def test_a_real_annotation_reads_to_the_last_row(repository: Path) -> None:
    file = repository / "samples/motmetrics/TUD-Campus/gt.txt"
    if not file.exists():
        pytest.skip("no samples/motmetrics; `make samples` brings it")
    rows = parse_mot(file.read_text(), "gt.txt")
    assert rows.shape == (359, 7)
    assert (rows[:, 0].max(), len(np.unique(rows[:, 1]))) == (71, 8)
