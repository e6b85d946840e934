"""Perception Test: every expected value of the samples, y before x on the disk, visibility by frame_ids."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from numbered_videos import numbered_frames
from probe4d.errors import DataError, UsageError
from probe4d.specs import ClipSampling
from probe4d_datasets.clips import clip_indices, prepare
from probe4d_datasets.perception_test import PerceptionTest
from probe4d_datasets.video_write import write_video
from probe4d_metrics.tracks import tapvid_metrics
from published_fixtures import elsewhere, frame_codes, thumbs

DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
VIDEOS = EXPECTED["videos"]
EVALUATION = ClipSampling(frames=16, stride=4, start="first", size=(224, 224), fit="stretch")


def scale(sample) -> np.ndarray:
    return np.array([sample.video.shape[2], sample.video.shape[1]])


@pytest.mark.parametrize("name", sorted(VIDEOS))
def test_the_full_length_has_the_frames_and_the_tracks_expected(name, expected):
    want = VIDEOS[name]
    sample = PerceptionTest(DATA).load(name)
    assert sample.video.shape == (want["num_frames"], want["height"], want["width"], 3)
    every_fourth = list(range(0, want["num_frames"], 4))
    np.testing.assert_allclose(thumbs(sample.video[every_fourth]), expected[f"thumb_{name}"].astype(float), atol=1)
    assert frame_codes(sample.video) == [(want["code0"] + i) % 256 for i in range(want["num_frames"])]
    points = sample.targets["points"]
    assert points["tracks"].shape == (want["num_tracks"], want["num_frames"], 2)
    if want["num_tracks"]:
        np.testing.assert_allclose(points["tracks"] / scale(sample), expected[f"points_xy_{name}"], atol=1e-12)
        np.testing.assert_array_equal(points["visible"], expected[f"visible_{name}"])


@pytest.mark.parametrize("name", [name for name in sorted(VIDEOS) if "jaccard" in VIDEOS[name]])
def test_the_clip_of_the_paper_has_the_queries_and_the_jaccard_expected(name, expected):
    data = PerceptionTest(DATA)
    frames = clip_indices(data.num_frames(name), EVALUATION, seed=0)
    sample = data.load(name, frames)
    points = sample.targets["points"]
    rows = np.flatnonzero(points["visible"][:, 0])
    np.testing.assert_array_equal(rows, expected[f"eval_track_ids_{name}"])
    tracks, visible = points["tracks"][rows] / scale(sample), points["visible"][rows]
    np.testing.assert_allclose(tracks, expected[f"eval_points_xy_{name}"], atol=1e-12)
    np.testing.assert_array_equal(visible, expected[f"eval_visible_{name}"])
    queries = points["query_points"][rows]
    assert (queries[:, 0] == 0).all()
    np.testing.assert_allclose(queries[:, 1:], points["tracks"][rows, 0, ::-1])
    # Scored in the frame of the task, 224 x 224, as the official 256 raster of [0, 1] does.
    placed = prepare(sample, EVALUATION, seed=0).targets["points"]
    predictions = expected[f"pred_xy256_{name}"]
    scores = jaccards(
        placed["query_points"][rows], placed["visible"][rows], placed["tracks"][rows] * 256 / 224,
        expected[f"pred_occluded_{name}"], predictions,
    )  # fmt: skip
    np.testing.assert_allclose(scores, VIDEOS[name]["jaccard"], atol=1e-9)
    assert np.mean(scores) == pytest.approx(VIDEOS[name]["average_jaccard"], abs=1e-9)


def jaccards(queries, visible, tracks, pred_occluded, pred_tracks) -> list[float]:
    """Return the Jaccard at 1, 2, 4, 8, 16 px of one video."""
    found = tapvid_metrics(
        pred_tracks[None], ~pred_occluded[None], tracks[None], visible[None], queries[None], "first"
    )  # fmt: skip
    return [float(np.squeeze(found[f"jaccard_{threshold}"])) for threshold in (1, 2, 4, 8, 16)]


def test_the_order_is_that_of_the_file():
    assert list(PerceptionTest(DATA).sample_ids()) == EXPECTED["order"]


def test_points_hidden_at_the_start_are_asked_for_where_they_first_show():
    sample = PerceptionTest(DATA).load("video_767")
    points = sample.targets["points"]
    late = np.flatnonzero(~points["visible"][:, 0])
    assert len(late)
    for row in late:
        first = int(points["visible"][row].argmax())
        assert points["query_points"][row].tolist() == [first, *points["tracks"][row, first, ::-1]]


def test_a_hidden_point_has_no_place_and_a_gap_is_a_gap(expected):
    points = PerceptionTest(DATA).load("video_3968").targets["points"]
    assert (points["tracks"][~points["visible"]] == 0).all()
    gaps = [np.flatnonzero(np.diff(row.astype(int))) for row in points["visible"]]
    assert max(map(len, gaps)) >= 2  # hidden and back again


def test_zipped_and_loose_files_are_read_alike(tmp_path):
    for name in ("point_tracking_valid_annotations.zip", "point_tracking_valid_videos.zip"):
        shutil.copy(DATA / name, tmp_path)
    data, loose = PerceptionTest(tmp_path), PerceptionTest(DATA)
    assert data.sample_ids() == loose.sample_ids()
    assert data.coverage()["missing"] == {"no video": {"count": 2, "ids": ["video_8216", "video_8807"]}}
    for name in ("video_767", "video_3968"):
        one, other = data.load(name), loose.load(name)
        np.testing.assert_array_equal(one.video, other.video)
        for field, value in one.targets["points"].items():
            np.testing.assert_array_equal(value, other.targets["points"][field])
    with pytest.raises(DataError, match=r"video_8216: expected its data, got no video: videos/video_8216.mp4"):
        data.load("video_8216")


@pytest.mark.parametrize("place", ["memory", "zip", "tar", "tar.gz"])
def test_a_root_may_be_any_url(tmp_path, place):
    for name in ("point_tracking_valid.json", "point_tracking_valid_videos.zip"):
        (tmp_path / "root").mkdir(exist_ok=True)
        shutil.copy(DATA / name, tmp_path / "root")
    sample = PerceptionTest(elsewhere(tmp_path / "root", tmp_path)[place]).load("video_767", [0, 4])
    np.testing.assert_array_equal(sample.video, PerceptionTest(DATA).load("video_767", [0, 4]).video)


def make(root: Path, tracks: list[dict], frames: int = 5, size=(32, 64), **metadata) -> PerceptionTest:
    """Write one video of another size and length with these tracks."""
    (root / "videos").mkdir(parents=True, exist_ok=True)
    write_video(root / "videos/clip_1.mp4", numbered_frames(frames, *size), rate=10)
    document = {"clip_1": {"metadata": {"num_frames": frames, **metadata}, "point_tracking": tracks}}
    (root / "point_tracking_train.json").write_text(json.dumps(document))
    return PerceptionTest(root, "train")


def track(number: int = 0, frames=(0, 2), y=(0.5, 0.25), x=(0.125, 0.75)) -> dict:
    return {"id": number, "label": "p", "parent_objects": [], "frame_ids": list(frames), "points": [list(y), list(x)]}


def test_the_first_row_on_the_disk_is_y(tmp_path):
    points = make(tmp_path, [track(), track(1, (1, 4), (0, 1), (1, 0))]).load("clip_1").targets["points"]
    assert points["tracks"][0, 0].tolist() == [8.0, 16.0]
    assert points["tracks"][0, 2].tolist() == [48.0, 8.0]
    assert points["tracks"][1, [1, 4]].tolist() == [[64.0, 0.0], [0.0, 32.0]]
    assert points["visible"].tolist() == [[True, False, True, False, False], [False, True, False, False, True]]


def test_a_track_of_no_frame_and_a_video_of_no_track_are_kept(tmp_path):
    points = make(tmp_path, [track(0, (), (), ())]).load("clip_1", [0, 1]).targets["points"]
    assert points["tracks"].shape == (1, 2, 2)
    assert not points["visible"].any()
    assert make(tmp_path, []).load("clip_1").targets["points"]["tracks"].shape == (0, 5, 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"points": [[0.5, 0.5], [0.5]]}, "points"),
        ({"points": [[0.5, 0.5, 0.1], [0.5, 0.5, 0.1]]}, r"points: expected shape \(2, 2\), got shape \(2, 3\)"),
        ({"frame_ids": [0, 0]}, "distinct integers"),
        ({"frame_ids": [0, -1]}, "frame_ids"),
        ({"frame_ids": [0, 5]}, "num_frames: expected an integer of at least 6"),
        ({"frame_ids": [0, 10**30]}, "frame_ids"),
        ({"frame_ids": [0, 0.5]}, "frame_ids"),
        ({"points": [[0.5, float("nan")], [0.5, 0.5]]}, "expected finite points"),
        ({"points": [["a", "b"], [0.5, 0.5]]}, "points"),
        ({"id": 1}, r"expected the ids 0, 1, …, as in the list, got \[1\]"),
        ({"id": "0"}, "id: expected an integer"),
    ],
)
def test_a_wrong_track_costs_its_video_and_is_named(tmp_path, wrong, message):
    data = make(tmp_path, [{**track(), **wrong}])
    with pytest.raises(DataError, match=message) as error:
        data.load("clip_1")
    assert "clip_1" in str(error.value)


def test_four_points_in_the_order_of_the_readme_are_refused(tmp_path):
    data = make(tmp_path, [{**track(0, (0, 1, 2, 3)), "points": [[0.1, 0.2]] * 4}])
    with pytest.raises(DataError, match=r"expected shape \(2, 4\), got shape \(4, 2\). Points are two rows"):
        data.load("clip_1")


def test_a_video_of_another_length_than_stated_is_refused(tmp_path):
    data = make(tmp_path, [track()], num_frames=6)
    with pytest.raises(DataError, match="expected 6 frames, as the annotations say, got 5"):
        data.load("clip_1")
    for absurd in (1 << 62, "5", [5]):
        with pytest.raises(DataError, match=r"expected .* frames, as the annotations say"):
            make(tmp_path, [track()], num_frames=absurd).num_frames("clip_1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected an object {video: annotations}"),
        ('{"../x": {}}', "expected an object per video id"),
        ('{"clip_1": 5}', "expected an object per video id"),
        ("{" * 10, "expected JSON"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("{}", "expected samples"),
        ('{"clip_1": {}, "clip_1": {}}', "twice"),
    ],
)
def test_annotations_that_are_not_as_they_should_be_are_refused(tmp_path, text, message):
    make(tmp_path, [])
    (tmp_path / "point_tracking_train.json").write_text(text)
    with pytest.raises(DataError, match=message.replace("{", r"\{")):
        PerceptionTest(tmp_path, "train")


def test_a_video_without_a_list_of_points_says_so(tmp_path):
    make(tmp_path, [])
    (tmp_path / "point_tracking_train.json").write_text('{"clip_1": {"metadata": {}}}')
    with pytest.raises(DataError, match="expected a list point_tracking, got none"):
        PerceptionTest(tmp_path, "train").load("clip_1")
    (tmp_path / "point_tracking_train.json").write_text('{"clip_1": {"metadata": 3, "point_tracking": []}}')
    with pytest.raises(DataError, match="expected metadata to be an object"):
        PerceptionTest(tmp_path, "train").load("clip_1")


def test_annotations_that_unpack_to_more_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("probe4d_datasets.perception_test.dataset.MAX_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "point_tracking_valid_annotations.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("point_tracking_valid.json", " " * 50_000_000)
    with pytest.raises(DataError, match="expected at most 1,000 bytes"):
        PerceptionTest(tmp_path)


def test_members_that_lead_out_of_a_zip_are_refused(tmp_path):
    shutil.copy(DATA / "point_tracking_valid.json", tmp_path)
    with zipfile.ZipFile(tmp_path / "point_tracking_valid_videos.zip", "w") as archive:
        archive.writestr("../../video_767.mp4", b"x")
    with pytest.raises(DataError, match="expected paths inside the root"):
        PerceptionTest(tmp_path)


def test_what_is_not_there_is_said_with_the_names_expected(tmp_path):
    with pytest.raises(DataError, match=r"point_tracking_valid.json, or point_tracking_valid_annotations.zip"):
        PerceptionTest(tmp_path)
    shutil.copy(DATA / "point_tracking_valid.json", tmp_path)
    with pytest.raises(DataError, match=r"videos/<id>.mp4, or point_tracking_valid_videos.zip"):
        PerceptionTest(tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'valid'"):
        PerceptionTest(tmp_path, "val")
