"""TAP-Vid-Kinetics from the published csv and the user's own videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numbered_videos import number_of, numbered_frames
from probe4d.errors import DataError
from probe4d_datasets.tapvid.csv_tracks import read_csv_tracks
from probe4d_datasets.tapvid.dataset import TapVid
from probe4d_datasets.video_write import write_video

FRAMES = 10


def numbers(video: np.ndarray) -> list[int]:
    return [number_of(image) for image in video]


def row(name: str, points: np.ndarray, occluded: np.ndarray) -> str:
    values = [f"{x},{y},{int(hidden)}" for (x, y), hidden in zip(points, occluded, strict=True)]
    return ",".join([name, *values])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with a csv of three clips: one at 25 frames a second, one at 50, one without video."""
    random = np.random.default_rng(0)
    lines = []
    for name in ("one,10,20", "two,0,10", "lost,5,15"):
        lines += [row(name, random.random((FRAMES, 2)).round(4), random.random(FRAMES) < 0.3) for _ in range(2)]
    (tmp_path / "tapvid_kinetics.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "val/juggling").mkdir(parents=True)
    write_video(tmp_path / "val/juggling/one_000010_000020.mp4", numbered_frames(FRAMES), rate=25)
    write_video(tmp_path / "val/juggling/two_000000_000010.mp4", numbered_frames(2 * FRAMES), rate=50)
    return tmp_path


def test_tracks_of_the_csv_lie_on_25_frames_a_second(root: Path) -> None:
    dataset = TapVid(root, subset="kinetics")
    assert dataset.sample_ids() == ("one_000010_000020", "two_000000_000010", "lost_000005_000015")
    assert dataset.facts["options"]["layout"] == "csv"
    one, two = (dataset.load(name) for name in dataset.sample_ids()[:2])
    assert numbers(one.video) == list(range(FRAMES))
    assert numbers(two.video) == list(range(0, 2 * FRAMES, 2))
    stated = read_csv_tracks((root / "tapvid_kinetics.csv").read_text(), "x")["one_000010_000020"]
    height, width = one.video.shape[1:3]
    points = one.targets["points"]
    rows = one.provenance["rows"]
    # The script that makes the pickles moves positions by half a pixel.
    np.testing.assert_allclose(points["tracks"], stated.points[rows] * (width, height) - 0.5, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(points["visible"], stated.visible[rows])
    unmoved = TapVid(root, subset="kinetics", half_pixel=False).load("one_000010_000020", [2, 5])
    np.testing.assert_allclose(
        unmoved.targets["points"]["tracks"] - 0.5, points["tracks"][:, [2, 5]], rtol=1e-5, atol=1e-5
    )
    assert numbers(unmoved.video) == [2, 5]


def test_a_clip_without_its_video_costs_itself(root: Path) -> None:
    dataset = TapVid(root, subset="kinetics")
    assert dataset.coverage()["missing"] == {"no video": {"count": 1, "ids": ["lost_000005_000015"]}}
    assert dataset.missing()[0].expected == "lost_000005_000015.mp4"
    with pytest.raises(DataError, match="lost_000005_000015: expected its data, got no video"):
        dataset.load("lost_000005_000015")
    assert len(TapVid(root, subset="kinetics", missing="drop", max_missing=0.4).sample_ids()) == 2


def test_a_video_shorter_than_its_tracks_cuts_them(root: Path) -> None:
    write_video(root / "val/juggling/one_000010_000020.mp4", numbered_frames(7), rate=25)
    dataset = TapVid(root, subset="kinetics")
    assert dataset.num_frames("one_000010_000020") == 7
    assert dataset.load("one_000010_000020").targets["points"]["tracks"].shape[1] == 7


def test_rows_without_times_are_named_by_the_id_alone() -> None:
    found = read_csv_tracks("abc,0.5,0.25,0,0.5,0.5,1\n", "x")
    assert found["abc"].points.tolist() == [[[0.5, 0.25], [0.5, 0.5]]]
    assert found["abc"].visible.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,0,10,0.5,0.5,0,0.5,1", "got 8 columns"),
        ("a,0,10,0.5,0.5,0,0.5", "expected finite x and y, and 0 or 1"),  # an id, and no times
        ("a,0,10,0.5,0.5", "got 5 columns"),
        ("a,x,10,0.5,0.5,0", "expected id, times"),
        ("a,0,10,0.5,nan,0", "expected finite x and y"),
        ("a,0,10,0.5,0.5,2", "expected finite x and y, and 0 or 1"),
        ("a,0,10,0.5,0.5,0\na,0,10,0.5,0.5,0,0.5,0.5,0", "expected 1 frames as the clip's other tracks, got 2"),
        ("../a,0,10,0.5,0.5,0", "expected id, times"),
        ("a,0,10", "expected id, times"),
    ],
)
def test_a_row_that_cannot_be_read_is_the_reason_of_its_clip(line: str, message: str) -> None:
    found = read_csv_tracks(f"good,0,10,0.5,0.5,0\n{line}\n", "x.csv")
    assert not isinstance(found["good_000000_000010"], str)
    (reason,) = [value for value in found.values() if isinstance(value, str)]
    assert message in reason
    assert "x.csv, line" in reason


def test_a_field_without_end_is_refused() -> None:
    with pytest.raises(DataError, match=r"x\.csv: expected a csv file"):
        read_csv_tracks('a,"' + "9" * 200_000, "x.csv")
