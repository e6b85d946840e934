"""RealEstate10K: every expected value of the samples, whatever way the frames are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from numbered_videos import number_of, numbered_frames
from probe4d.builtin.kinds.pose import relative
from probe4d.errors import DataError, UsageError
from probe4d_datasets.re10k import RealEstate10K
from probe4d_datasets.re10k.cameras import intrinsics_in_pixels, parse_cameras
from probe4d_datasets.re10k.frames import longest_run, nearest_frames
from probe4d_datasets.video_write import write_video
from published_fixtures import elsewhere, frame_codes, thumbs

DATA = Path(__file__).parent / "data"
DOCUMENT = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
CLIPS = DOCUMENT["clips"]
WITH_VIDEO = sorted(key for key, clip in CLIPS.items() if clip["kind"] != "dead")
WHOLE = sorted(key for key, clip in CLIPS.items() if clip["kind"] == "ok")


def opened(key: str, **options: object) -> RealEstate10K:
    return RealEstate10K(DATA, CLIPS[key]["split"], **options)


@pytest.mark.parametrize("key", sorted(CLIPS))
def test_a_camera_file_has_the_stamps_the_poses_and_the_intrinsics_expected(key, expected):
    cameras, want = opened(key).cameras(key), CLIPS[key]
    assert cameras.video_id == want["video_id"]
    assert cameras.stamps.tolist() == want["timestamps_us"]
    assert len(cameras) == want["num_frames"]
    np.testing.assert_allclose(cameras.intrinsics[0], want["intrinsics_normalized"])
    # Nine decimals are on the disk, more in what is expected.
    np.testing.assert_allclose(cameras.extrinsics, expected[f"w2c_{key}"], atol=1e-8)
    inverse = np.linalg.inv(np.concatenate([cameras.extrinsics, np.tile([[[0, 0, 0, 1.0]]], (len(cameras), 1, 1))], 1))
    np.testing.assert_allclose(inverse[:, :3], expected[f"c2w_{key}"], atol=1e-7)
    assert np.abs(cameras.extrinsics[0] - np.eye(3, 4)).max() > 1e-3  # the first camera is not the world


@pytest.mark.parametrize("key", WITH_VIDEO)
def test_a_timestamp_is_the_frame_with_the_nearest_time(key):
    match, want = opened(key).match(key), CLIPS[key]
    assert match.places.tolist() == want["matched_frame"]
    assert match.ok.tolist() == want["matched_ok"]


@pytest.mark.parametrize("key", WITH_VIDEO)
def test_the_frames_of_a_video_have_the_colours_and_the_codes_expected(key, expected):
    want = CLIPS[key]
    sample = opened(key, unmatched="trim").load(key)
    matched = [frame for frame, ok in zip(want["matched_frame"], want["matched_ok"], strict=True) if ok]
    assert sample.video.shape == (len(matched), want["height"], want["width"], 3)
    np.testing.assert_allclose(thumbs(sample.video), expected[f"thumb_{key}"].astype(float), atol=1)
    assert frame_codes(sample.video) == [(want["code0"] + frame) % 256 for frame in matched]
    np.testing.assert_allclose(sample.targets["pose"]["intrinsics"][0], expected[f"K_pixels_{key}"], atol=1e-6)


@pytest.mark.parametrize("key", sorted(CLIPS))
def test_the_relative_pose_is_that_of_the_last_camera_from_the_first(key, expected):
    first, last = CLIPS[key]["window"]
    cameras = opened(key).cameras(key).extrinsics
    np.testing.assert_allclose(
        relative(cameras[first], cameras[last]), expected[f"rel_last_from_first_{key}"][:3], atol=1e-7
    )
    np.testing.assert_allclose(
        relative(cameras[last], cameras[first]), expected[f"rel_first_from_last_{key}"][:3], atol=1e-7
    )


@pytest.mark.parametrize("key", WHOLE)
def test_scales_make_lengths_metres_and_the_error_the_one_expected(key, expected):
    first, last = CLIPS[key]["window"]
    sample = opened(key, scales="scales.json").load(key, range(first, last + 1))
    assert sample.provenance["metric"] is True
    assert sample.provenance["scale"] == json.loads((DATA / "scales.json").read_text())[key]
    pose = relative(sample.targets["pose"]["extrinsics"][0], sample.targets["pose"]["extrinsics"][-1])
    np.testing.assert_allclose(pose, expected[f"rel_metric_last_from_first_{key}"][:3], atol=1e-6)
    # The error was stated on a cube of its own, not that of the metric.
    moved = [expected["epe_cube"] @ one[:, :3].T + one[:, 3] for one in (expected[f"epe_pred_{key}"], pose)]
    assert np.linalg.norm(moved[0] - moved[1], axis=1).mean() == pytest.approx(CLIPS[key]["epe"], abs=1e-6)


def test_without_scales_nothing_claims_to_be_metres():
    data = RealEstate10K(DATA, "test")
    sample = data.load("83c659883d7614d0", [0, 5])
    assert data.facts["metric"] is False
    assert sample.provenance["metric"] is False
    assert RealEstate10K(DATA, "test", scales="scales.json").facts["metric"] is True


def test_a_clip_without_a_scale_costs_itself(tmp_path):
    shutil.copytree(DATA / "RealEstate10K", tmp_path / "RealEstate10K")
    shutil.copytree(DATA / "videos", tmp_path / "videos")
    (tmp_path / "scales.json").write_text('{"83c659883d7614d0": 2}')
    data = RealEstate10K(tmp_path, "test", scales="scales.json")
    assert data.load("83c659883d7614d0", [0]).provenance["scale"] == 2.0
    with pytest.raises(DataError, match="a601d2ca12e83cdd: expected its data, got no scale"):
        data.load("a601d2ca12e83cdd")


@pytest.mark.parametrize("scales", ['{"a": 0}', '{"a": -1}', '{"a": NaN}', '{"a": "1"}', '{"a": true}', "[]", "{"])
def test_scales_that_are_no_positive_numbers_are_refused(tmp_path, scales):
    shutil.copytree(DATA / "RealEstate10K", tmp_path / "RealEstate10K")
    shutil.copytree(DATA / "videos", tmp_path / "videos")
    (tmp_path / "scales.json").write_text(scales)
    with pytest.raises(DataError, match=r"scales.json.*expected"):
        RealEstate10K(tmp_path, "test", scales="scales.json")


def test_a_dead_video_costs_its_clips_and_a_cut_one_too():
    train, test = RealEstate10K(DATA, "train"), RealEstate10K(DATA, "test")
    assert train.coverage()["missing"] == {"no video": {"count": 1, "ids": ["0e286864b3874043"]}}
    with pytest.raises(DataError, match=r"got no video: dVX06SnkMik.mp4"):
        train.load("0e286864b3874043")
    with pytest.raises(DataError, match=r"within 8 ms of each of 42 timestamps, got 20: kXA-h2Fz-8C is cut"):
        test.num_frames("a601d2ca12e83cdd")
    trimmed = RealEstate10K(DATA, "test", unmatched="trim")
    assert trimmed.num_frames("a601d2ca12e83cdd") == 20
    assert trimmed.load("a601d2ca12e83cdd").provenance["trimmed"] == [0, 22]


def test_dead_videos_can_be_dropped_and_stay_counted():
    with pytest.raises(DataError, match=r"at most 10% of 4 clips to be missing, got 3 of 4 clips"):
        RealEstate10K(DATA, "train", missing="drop")
    data = RealEstate10K(DATA, "train", missing="drop", max_missing=0.9)
    assert len(data.sample_ids()) == 3
    assert data.facts["coverage"]["summary"] == "3 of 4 clips"


@pytest.mark.parametrize("folder", ["frames_jpg", "frames_png"])
def test_images_named_by_their_stamps_are_the_frames(folder, expected):
    key = "83c659883d7614d0"
    data = RealEstate10K(DATA, "test", frames="images", folder=folder, unmatched="trim")
    sample = data.load(key)
    count = len(list((DATA / folder / "test" / key).iterdir()))
    assert len(sample.video) == count
    assert sample.provenance["timestamps_us"] == CLIPS[key]["timestamps_us"][:count]
    tolerance = 1 if folder == "frames_png" else 12  # JPEG of so small an image
    np.testing.assert_allclose(thumbs(sample.video), expected[f"thumb_{key}"][:count].astype(float), atol=tolerance)
    assert data.coverage()["missing"] == {"no images": {"count": 1, "ids": ["a601d2ca12e83cdd"]}}


@pytest.mark.parametrize("naming", ["us", "ms", "us-cut", "auto"])
@pytest.mark.parametrize("written", ["us", "ms", "us-cut"])
def test_names_cut_to_milliseconds_are_found(tmp_path, naming, written):
    key = "83c659883d7614d0"
    shutil.copytree(DATA / "RealEstate10K", tmp_path / "RealEstate10K")
    (tmp_path / "test" / key).mkdir(parents=True)
    for number, stamp in enumerate(CLIPS[key]["timestamps_us"]):
        name = {"us": stamp, "ms": stamp // 1000, "us-cut": stamp // 1000 * 1000}[written]
        Image.fromarray(np.full((6, 8, 3), number, np.uint8)).save(tmp_path / f"test/{key}/{name}.png")
    data = RealEstate10K(tmp_path, "test", frames="images", naming=naming)
    if naming in (written, "auto"):
        assert data.load(key).video[:, 0, 0, 0].tolist() == list(range(33))
    else:
        with pytest.raises(DataError, match="expected a frame within"):
            data.load(key)


@pytest.mark.parametrize("split", ["train", "test"])
def test_chunks_are_read_without_torch(split, expected, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    data = RealEstate10K(DATA, split, frames="chunks")
    (key,) = data.sample_ids()
    sample, want = data.load(key), CLIPS[key]
    assert sample.provenance["timestamps_us"] == want["timestamps_us"]
    np.testing.assert_allclose(sample.targets["pose"]["extrinsics"], expected[f"w2c_{key}"], atol=1e-5)
    np.testing.assert_allclose(sample.targets["pose"]["intrinsics"][0], expected[f"K_pixels_{key}"], atol=1e-4)
    np.testing.assert_allclose(thumbs(sample.video), expected[f"thumb_{key}"].astype(float), atol=12)
    matched = [(want["code0"] + frame) % 256 for frame in want["matched_frame"]]
    assert frame_codes(sample.video) == matched


def test_a_chunk_alone_needs_no_camera_files(tmp_path):
    shutil.copytree(DATA / "re10k_pt", tmp_path / "re10k")
    data = RealEstate10K(tmp_path, "test")
    assert data.frames == "chunks"
    assert data.load("83c659883d7614d0", [32, 0]).video.shape == (2, 64, 112, 3)
    (tmp_path / "re10k/test/000000.torch").unlink()
    gone = RealEstate10K(tmp_path, "test")
    assert gone.coverage()["missing"] == {"no chunk": {"count": 1, "ids": ["83c659883d7614d0"]}}


def test_camera_files_come_out_of_the_archive_they_are_shipped_in(tmp_path):
    shutil.copy(DATA / "RealEstate10K.tar.gz", tmp_path)
    shutil.copytree(DATA / "videos", tmp_path / "videos")
    for split in ("train", "test"):
        data, loose = RealEstate10K(tmp_path, split), RealEstate10K(DATA, split)
        assert data.sample_ids() == loose.sample_ids()
        for key in data.sample_ids():
            np.testing.assert_array_equal(data.cameras(key).extrinsics, loose.cameras(key).extrinsics)


@pytest.mark.parametrize("place", ["memory", "zip", "tar", "tar.gz"])
@pytest.mark.parametrize("frames", ["videos", "images", "chunks"])
def test_a_root_may_be_any_url(tmp_path, place, frames):
    root = tmp_path / "root"
    for name in ("RealEstate10K/test", "videos", "frames_png/test", "re10k_pt/test"):
        shutil.copytree(DATA / name, root / name)
    options = {"frames": frames, "unmatched": "trim"}
    key = "83c659883d7614d0"
    found = RealEstate10K(elsewhere(root, tmp_path)[place], "test", **options).load(key, [3, 0])
    want = RealEstate10K(root, "test", **options).load(key, [3, 0])
    np.testing.assert_array_equal(found.video, want.video)
    np.testing.assert_array_equal(found.targets["pose"]["extrinsics"], want.targets["pose"]["extrinsics"])


def line(stamp: int, pose: np.ndarray | None = None, head: str = "0.5 0.9 0.5 0.5 0 0") -> str:
    numbers = (np.eye(3, 4) if pose is None else pose).ravel()
    return f"{stamp} {head} {' '.join(f'{number:.9f}' for number in numbers)}"


URL = "https://www.youtube.com/watch?v=abcdefghijk"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a YouTube URL in the first line"),
        (f"http://evil.example/watch?v=abcdefghijk\n{line(1)}", "a YouTube URL"),
        (f"https://www.youtube.com/watch?v=../../../x\n{line(1)}", "a YouTube URL"),
        (URL, "expected n > 0 timestamps"),
        (f"{URL}\n{line(1)} 5", "line 2: expected 19 columns, got 20"),
        (f"{URL}\n{line(1)[:-12]}", "line 2: expected 19 columns, got 18"),
        (f"{URL}\n{line(2)}\n{line(2)}", "timestamps that increase"),
        (f"{URL}\n{line(2)}\n{line(1)}", "timestamps that increase"),
        (f"{URL}\n{line(-1)}", "timestamps that increase from 0"),
        (f"{URL}\n{line(10**30)}", "expected a timestamp and 18 numbers"),
        (f"{URL}\n{line(1).replace('1.000000000', 'nan')}", "finite numbers"),
        (f"{URL}\n{line(1).replace('1.000000000', 'x')}", "expected a timestamp and 18 numbers"),
        (f"{URL}\n{line(1, np.eye(3, 4) * 2)}", "rotations in the poses"),
        (f"{URL}\n{line(1, np.diag([1.0, 1, -1])[:, [0, 1, 2, 2]] * [1, 1, 1, 0])}", "rotations in the poses"),
        (f"{URL}\n{line(1, head='0 0.9 0.5 0.5 0 0')}", "focal lengths above 0"),
    ],
)
def test_a_camera_file_that_is_not_as_it_should_be_is_refused(text, message):
    with pytest.raises(DataError, match=message) as error:
        parse_cameras(text, "x.txt")
    assert str(error.value).startswith("x.txt")


def test_a_broken_camera_file_costs_its_clip(tmp_path):
    shutil.copytree(DATA / "RealEstate10K", tmp_path / "RealEstate10K")
    shutil.copytree(DATA / "videos", tmp_path / "videos")
    (tmp_path / "RealEstate10K/test/a601d2ca12e83cdd.txt").write_text("nothing")
    data = RealEstate10K(tmp_path, "test")
    assert len(data.load("83c659883d7614d0").video) == 33
    with pytest.raises(DataError, match=r"a601d2ca12e83cdd.txt: expected a YouTube URL"):
        data.load("a601d2ca12e83cdd")


def test_frames_come_by_time_in_a_video_of_varying_rate(tmp_path):
    """Times in a video do not follow from its rate: frame 3 is late, frame 5 early."""
    from fractions import Fraction

    (tmp_path / "videos").mkdir()
    (tmp_path / "RealEstate10K/train").mkdir(parents=True)
    times = [0, 40, 80, 155, 160, 185, 240, 280]
    write_video(
        tmp_path / "videos/abcdefghijk.mkv", numbered_frames(8), pts=times, time_base=Fraction(1, 1000), rate=1000
    )
    stamps = [1_200, 156_000, 159_100, 240_900, 287_900]
    text = "\n".join([URL, *map(line, stamps)])
    (tmp_path / "RealEstate10K/train/0123456789abcdef.txt").write_text(text)
    sample = RealEstate10K(tmp_path, "train").load("0123456789abcdef")
    assert [number_of(image) for image in sample.video] == [0, 3, 4, 6, 7]
    strict = RealEstate10K(tmp_path, "train", tolerance_ms=5, unmatched="trim")
    assert strict.num_frames("0123456789abcdef") == 4


def test_a_video_without_times_is_refused():
    with pytest.raises(DataError, match="expected a time for every frame"):
        nearest_frames(np.array([0]), [0.0, None], 0.008, "x")


def test_ties_and_the_edge_of_the_tolerance():
    match = nearest_frames(np.array([20_000, 28_000, 28_001]), [0.0, 0.02, 0.036, 1.0], 0.008, "x")
    assert match.places.tolist() == [1, 1, 2]
    assert match.ok.tolist() == [True, True, True]
    assert not nearest_frames(np.array([44_100]), [0.0, 0.036], 0.008, "x").ok[0]


def test_the_longest_run():
    assert longest_run(np.array([1, 0, 1, 1, 0, 1, 1], bool)) == (2, 4)
    assert longest_run(np.zeros(3, bool)) == (0, 0)
    assert longest_run(np.ones(3, bool)) == (0, 3)


def test_intrinsics_follow_the_size_of_the_image():
    matrix = intrinsics_in_pixels(np.array([[0.5, 0.9, 0.5, 0.5]]), height=90, width=160)[0]
    assert matrix.tolist() == [[80, 0, 80], [0, 81, 45], [0, 0, 1]]


def test_an_index_that_leads_out_of_its_folder_is_refused(tmp_path):
    shutil.copytree(DATA / "re10k_pt", tmp_path / "re10k")
    for text in ('{"a": "../../x.torch"}', '{"a": ".torch"}', '{"a": 5}', "[]"):
        (tmp_path / "re10k/test/index.json").write_text(text)
        with pytest.raises(DataError, match=r"index.json: expected"):
            RealEstate10K(tmp_path, "test")


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="expected frames"):
        RealEstate10K(tmp_path, "train")
    shutil.copytree(DATA / "videos", tmp_path / "videos")
    with pytest.raises(DataError, match=r"expected RealEstate10K/train/<key>.txt or RealEstate10K.tar.gz"):
        RealEstate10K(tmp_path, "train")
    with pytest.raises(UsageError, match="re10k frames: expected auto, videos, images, chunks"):
        RealEstate10K(DATA, "train", frames="video")
    with pytest.raises(UsageError, match="tolerance_ms"):
        RealEstate10K(DATA, "train", tolerance_ms=0)
