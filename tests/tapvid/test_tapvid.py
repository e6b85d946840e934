"""TAP-Vid: every expected value of the fixture, made sets of other structures, and what is broken."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from probe4d.builtin.datasets.tapvid import DATASETS
from probe4d.errors import DataError, UsageError
from probe4d.testing import Given, check_dataset
from probe4d_datasets.tapvid.dataset import TapVid
from published_fixtures import elsewhere, frame_codes, thumbs

SPECS = {spec.name: spec for spec in DATASETS}
SAMPLES = {
    "goat": ("davis", "goat"),
    "bike-packing": ("davis", "bike-packing"),
    "stack0": ("rgb_stacking", "tapvid_rgb_stacking/0000"),
    "stack1": ("rgb_stacking", "tapvid_rgb_stacking/0001"),
    "kin0": ("kinetics", "0000_of_0010/0000"),
    "kin1": ("kinetics", "0000_of_0010/0001"),
}


def video(frames: int = 5, height: int = 12, width: int = 20, seed: int = 0) -> dict[str, Any]:
    """Return an entry as the pickles have it: three tracks, the last never seen."""
    random = np.random.default_rng(seed)
    occluded = np.zeros((3, frames), bool)
    occluded[1, :2] = True
    occluded[2] = True
    return {
        "video": random.integers(0, 256, (frames, height, width, 3), dtype=np.uint8),
        "points": random.random((3, frames, 2)).astype(np.float32),
        "occluded": occluded,
    }


def put(root: Path, content: Any, name: str = "tapvid_davis.pkl", protocol: int = 4) -> Path:
    root.mkdir(exist_ok=True)
    (root / name).write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return root


@pytest.mark.parametrize("name", SPECS)
def test_the_dataset_passes_every_check(name: str, data: Path) -> None:
    results = check_dataset(SPECS[name], given=Given(roots={name: str(data)}))
    assert {result.status for result in results} == {"passed"}, [r for r in results if r.status != "passed"]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_expected_value_comes_out(name: str, data: Path, expected: dict[str, np.ndarray]) -> None:
    subset, sample_id = SAMPLES[name]
    dataset = TapVid(data, subset=subset)
    sample = dataset.load(sample_id)
    points = sample.targets["points"]
    height, width = sample.video.shape[1:3]
    keep = expected[f"{name}/first_keep"]
    assert sample.provenance["rows"] == keep.tolist()
    np.testing.assert_array_equal(points["visible"], ~expected[f"{name}/occluded"][keep])
    np.testing.assert_allclose(points["tracks"] / (width, height), expected[f"{name}/points"][keep], atol=1e-6)
    raster = points["query_points"] * (1, 256 / height, 256 / width)
    np.testing.assert_allclose(raster, expected[f"{name}/first_queries_256"], atol=1e-4)
    assert np.abs(thumbs(sample.video) - expected[f"{name}/thumb"].astype(float)).max() <= 1
    assert dataset.num_frames(sample_id) == len(sample.video) == len(expected[f"{name}/thumb"])


def test_sizes_and_frame_codes_are_those_stated(data: Path) -> None:
    stated = json.loads((data / "expected.json").read_text())
    davis = TapVid(data, subset="davis")
    assert set(davis.sample_ids()) == set(stated)
    for name, facts in stated.items():
        clip = davis.load(name).video
        assert clip.shape == (facts["frames"], facts["h"], facts["w"], 3)
        assert frame_codes(clip) == [facts["code0"] + number for number in range(facts["frames"])]


@pytest.mark.parametrize("subset", ["davis", "rgb_stacking", "kinetics"])
def test_any_place_gives_the_same_and_frames_select(subset: str, data: Path, tmp_path: Path) -> None:
    truth = TapVid(data, subset=subset)
    name = truth.sample_ids()[0]
    whole = truth.load(name)
    roots = elsewhere(data, tmp_path)
    inside = f"tapvid_{subset}"
    for url in (roots["memory"], roots["zip"], roots["tar"], str(data / inside)):
        part = TapVid(url, subset=subset).load(name, [4, 1, 1])
        np.testing.assert_array_equal(part.video, whole.video[[4, 1, 1]])
        for field in ("tracks", "visible"):
            np.testing.assert_array_equal(
                part.targets["points"][field], whole.targets["points"][field][:, [4, 1, 1]], err_msg=url
            )


def test_queries_of_a_clip_stand_where_a_point_is_first_seen_in_it(tmp_path: Path) -> None:
    entry = video()
    dataset = TapVid(put(tmp_path / "d", {"clip": entry}))
    whole = dataset.load("clip").targets["points"]
    assert whole["tracks"].shape == (2, 5, 2)  # the third is never seen
    assert whole["query_points"][:, 0].tolist() == [0, 2]
    part = dataset.load("clip", [1, 3]).targets["points"]
    assert part["query_points"][:, 0].tolist() == [0, 1]
    np.testing.assert_allclose(part["query_points"][1, 1:], entry["points"][1, 3, ::-1] * (12, 20), rtol=1e-6)


def test_strided_queries_ask_again_on_every_fifth_frame(tmp_path: Path) -> None:
    entry = video(frames=12)
    sample = TapVid(put(tmp_path / "d", {"clip": entry}), query_mode="strided").load("clip")
    points = sample.targets["points"]
    # Frames 0, 5, 10; the second point is hidden on frame 0.
    asked = sorted(zip(sample.provenance["rows"], points["query_points"][:, 0].tolist(), strict=True))
    assert asked == [(0, 0), (0, 5), (0, 10), (1, 5), (1, 10)]
    for row, (t, y, x) in zip(sample.provenance["rows"], points["query_points"], strict=True):
        np.testing.assert_allclose((x, y), entry["points"][row, int(t)] * (20, 12), rtol=1e-6)
    every = TapVid(tmp_path / "d", query_mode="strided", query_stride=1).load("clip")
    assert len(every.provenance["rows"]) == (~entry["occluded"]).sum()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("frames", ["array", "list", "objects", "padded"])
def test_frames_are_arrays_or_jpegs_however_they_were_kept(frames: str, protocol: int, tmp_path: Path) -> None:
    entry = video()
    jpegs = []
    for image in entry["video"]:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG")
        jpegs.append(file.getvalue())
    want = entry["video"] if frames == "array" else np.stack([np.asarray(Image.open(io.BytesIO(j))) for j in jpegs])
    stored = {"array": entry["video"], "list": jpegs, "objects": np.array(jpegs, object), "padded": np.array(jpegs)}
    root = put(tmp_path / "d", [{**entry, "video": stored[frames]}], "0000_of_0001.pkl", protocol)
    sample = TapVid(root, subset="kinetics").load("0000_of_0001/0000", [3, 0])
    np.testing.assert_array_equal(sample.video, want[[3, 0]])


def test_only_the_frames_asked_for_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import probe4d_datasets.tapvid.pickles as module

    root = put(tmp_path / "d", {"a": video(40, 32, 32), "b": video(40, 32, 32, seed=1)})
    dataset = TapVid(root)
    rows: list[Any] = []
    real = module.read_array
    monkeypatch.setattr(module, "read_array", lambda f, a, w, r=None: rows.append(r) or real(f, a, w, r))
    dataset.load("b", [7, 9])
    assert rows == [[7, 9], None, None]  # frames; points and occluded whole


def test_a_pickle_that_calls_is_one_broken_sample_and_nothing_runs(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "hacked"), "w"))

    root = put(tmp_path / "d", {"clip": {**video(), "more": Runs()}})
    dataset = TapVid(root)
    assert dataset.sample_ids() == ("tapvid_davis.pkl",)
    with pytest.raises(DataError, match=r"tapvid_davis\.pkl, byte \d+: .* got the name \w+\.open\. It may run code"):
        dataset.load("tapvid_davis.pkl")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video": None}, "video: expected an array or a list of JPEGs, got NoneType"),
        ({"video": [b"a", 3]}, "video: expected an array or a list of JPEGs"),
        ({"video": np.zeros((5, 12, 20), np.uint8)}, r"video: expected uint8 \(t, h, w, 3\)"),
        ({"video": np.zeros((5, 12, 20, 3), np.float32)}, r"video: expected uint8 \(t, h, w, 3\)"),
        (
            {"points": np.zeros((3, 4, 2), np.float32)},
            r"points: expected \(n, 5, …\) as the video has, got \(3, 4, 2\)",
        ),
        ({"points": np.zeros((2, 5, 2), np.float32)}, r"expected points \(3, 5, 2\) as occluded has"),
        ({"points": np.full((3, 5, 2), np.nan, np.float32)}, "points: expected finite positions wherever visible"),
        ({"points": "none"}, r"points: expected \(n, 5"),
        ({"occluded": np.full((3, 5), 7, np.uint8)}, "occluded: expected true or false"),
        ({"occluded": np.zeros((3, 5), np.float32)}, r"occluded: expected \(n, 5"),
    ],
)
def test_a_broken_entry_costs_itself(change: dict, message: str, tmp_path: Path) -> None:
    dataset = TapVid(put(tmp_path / "d", {"good": video(), "bad": {**video(), **change}, "odd": 3}))
    assert dataset.sample_ids() == ("good", "bad", "odd")
    dataset.load("good")
    with pytest.raises(DataError, match=message):
        dataset.load("bad")
    with pytest.raises(DataError, match="odd: expected video, points and occluded, got int"):
        dataset.load("odd")


def test_hidden_positions_need_not_be_finite(tmp_path: Path) -> None:
    entry = video()
    entry["points"] = entry["points"].astype(np.float64)
    entry["points"][1, :2] = np.nan
    entry["points"][2] = 1e300
    points = TapVid(put(tmp_path / "d", {"clip": entry})).load("clip").targets["points"]
    assert np.isfinite(points["tracks"]).all()


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", pickle.dumps([]), pickle.dumps(3), b"no pickle"])
def test_what_is_no_set_of_videos_is_refused(content: bytes, tmp_path: Path) -> None:
    dataset = TapVid(put(tmp_path / "d", content))
    with pytest.raises(DataError, match=r"tapvid_davis\.pkl"):
        dataset.load(dataset.sample_ids()[0])


def test_parts_of_kinetics_that_are_not_there_are_told(data: Path) -> None:
    dataset = TapVid(data, subset="kinetics")
    assert [part.expected for part in dataset.missing()] == [f"{number:04d}_of_0010.pkl" for number in range(1, 10)]
    assert dataset.facts["options"]["parts_missing"] == 9


def test_nothing_at_the_root_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(DataError, match=r"expected tapvid_davis\.pkl, got readme\.txt"):
        TapVid(tmp_path)
    with pytest.raises(DataError, match=r"expected 0000_of_0010\.pkl … or one csv"):
        TapVid(tmp_path, subset="kinetics")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subset": "robotap"}, "subset: expected davis, rgb_stacking, kinetics"),
        ({"query_mode": "last"}, "query_mode: expected first, strided"),
        ({"query_stride": 0}, "query_stride: expected"),
        ({"split": "train"}, "split: expected test"),
    ],
)
def test_options_are_checked(options: dict, message: str, data: Path) -> None:
    with pytest.raises(UsageError, match=message):
        TapVid(data, **options)
