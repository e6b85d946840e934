"""`probe4d features` and `load_backbone`: from anybody's videos to arrays that say what made them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from probe4d.backbones import load_backbone, weights_file
from probe4d.errors import DataError, UnknownNameError, UsageError
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_write import write_video
from probe4d_runners.feature_files import array_name, labels
from probe4d_runners.features import command, extract, parse_layers, parse_setting


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def clip(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (10, 48, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "clip.npy", frames)
    return frames


def run(*arguments):
    """Run the command and let its errors out, as `probe4d` does."""
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False, standalone_mode=False)


def test_features_of_a_real_video_are_those_of_its_frames(tmp_path):
    ramp = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3)
    write_video(tmp_path / "v.mp4", np.stack([np.roll(ramp, shift, axis=1) for shift in range(12)]).astype(np.uint8))
    out = tmp_path / "f.npz"
    run(
        "-b",
        "pixels",
        "--video",
        tmp_path / "v.mp4",
        "-o",
        out,
        "--frames",
        4,
        "--stride",
        2,
        "--start",
        3,
        "--resize",
        "none",
    )
    stored = np.load(out, allow_pickle=False)
    meta = json.loads(str(stored["meta"]))
    frames = read_frames(tmp_path / "v.mp4", [3, 5, 7, 9]).astype(np.float32) / np.float32(255)
    want = load_backbone("pixels").encode(frames[None], (1.0,))[0][0]
    np.testing.assert_array_equal(stored["features"], want)
    assert stored["features"].shape == (4, 4, 64)
    assert meta["videos"][0]["frames"] == [3, 5, 7, 9]
    assert meta["videos"][0]["num_frames"] == 12
    assert meta["backbone"]["name"] == "fourds/pixels"
    assert len(meta["videos"][0]["sha256"]) == 64


def test_arrays_are_named_by_what_there_is_more_than_one_of(tmp_path, clip):
    np.save(tmp_path / "other.npy", clip[::-1])
    one, other = tmp_path / "clip.npy", tmp_path / "other.npy"
    taken = {"frames": 2, "resize": "none"}
    assert set(extract("pixels", [str(one)], layers=(1.0,), clip=taken)[0]) == {"features"}
    assert set(extract("pixels", [str(one)], layers=(0.5, 1), clip=taken)[0]) == {"0.5/features", "1/features"}
    both, meta = extract("pixels", [str(one), str(other)], layers=(1.0,), clip=taken)
    assert set(both) == {"clip/features", "other/features"}
    assert [video["name"] for video in meta["videos"]] == ["clip", "other"]
    assert array_name("a", 0.95, videos=2, layers=(0.5, 0.95)) == "a/0.95/features"


def test_videos_of_one_name_are_numbered():
    assert labels(["a/clip.mp4", "b/clip.mp4", "c/other.avi"]) == ["clip", "clip-2", "other"]
    with pytest.raises(UsageError, match="Rename one"):
        labels(["a/clip.mp4", "clip-2.mp4", "b/clip.mp4"])


def test_a_zarr_output_holds_the_same_as_an_npz(tmp_path, clip):
    import zarr

    arguments = (
        "-b",
        "pixels",
        "--video",
        tmp_path / "clip.npy",
        "-l",
        "0.5,1.0",
        "--frames",
        "3",
        "--dtype",
        "float16",
    )
    run(*arguments, "-o", tmp_path / "f.npz")
    run(*arguments, "-o", tmp_path / "f.zarr")
    stored, group = np.load(tmp_path / "f.npz"), zarr.open_group(tmp_path / "f.zarr", mode="r")
    assert set(stored.files) == {"0.5/features", "1.0/features", "meta"}
    for name in ("0.5/features", "1.0/features"):
        assert stored[name].dtype == np.float16
        assert stored[name].shape == (3, 196, 64)  # resized to the 224 x 224 of the backbone
        np.testing.assert_array_equal(group[name][...], stored[name])
    assert json.loads(str(stored["meta"])) == group.attrs["meta"]


def test_the_crop_keeps_shapes_and_the_whole_frame_does_not(tmp_path):
    half = np.zeros((1, 32, 64, 3), np.uint8)
    half[:, :, 16:48] = 255  # the central square
    np.save(tmp_path / "half.npy", half)
    crop = extract("pixels", [str(tmp_path / "half.npy")], layers=(1.0,), clip={"frames": 1, "resize": "crop"})[0]
    whole = extract("pixels", [str(tmp_path / "half.npy")], layers=(1.0,), clip={"frames": 1})[0]
    white = [(stored["features"][..., :48] == 1).mean() for stored in (crop, whole)]  # of the colours
    assert white[0] > 0.9
    assert white[1] == pytest.approx(0.5, abs=0.1)


def test_a_broken_video_costs_itself_and_is_named(tmp_path, clip):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    out = tmp_path / "f.npz"
    with pytest.raises(DataError, match=r"1 of 2 failed\. The others are in"):
        run("-b", "pixels", "--video", tmp_path / "broken.mp4", tmp_path / "clip.npy", "--frames", 2, "-o", out)
    meta = json.loads(str(np.load(out)["meta"]))
    assert [failure["video"] for failure in meta["failed"]] == [str(tmp_path / "broken.mp4")]
    with pytest.raises(DataError, match="at least one video that can be read"):
        extract("pixels", [str(tmp_path / "broken.mp4")])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 8, 8, 3), np.uint8), "expected at least 16 frames, got 4"),
        (np.zeros((20, 8, 8, 3), np.int32), "expected uint8, or floats in [0, 1], of shape"),
        (np.zeros((20, 8, 8), np.uint8), "expected uint8, or floats in [0, 1], of shape"),
        (np.full((20, 8, 8, 3), 255.0), "expected floats in [0, 1], got 255 to 255"),
        (np.full((20, 8, 8, 3), np.nan), "expected floats in [0, 1], got nan to nan"),
        (np.zeros((20, 8, 8, 3), np.float32), "resized from 8 x 8 to 224 x 224, got float32. Give --resize none"),
        (np.array([{}], dtype=object), "expected an .npy array"),
    ],
)
def test_an_array_that_is_no_clip_is_refused(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=re.escape(words)):
        extract("pixels", [str(tmp_path / "a.npy")])


def test_nothing_is_replaced_unasked_and_nothing_else_is_written(tmp_path, clip):
    (tmp_path / "f.npz").write_text("mine")
    arguments = ("-b", "pixels", "--video", tmp_path / "clip.npy", "--frames", 2, "-o")
    with pytest.raises(UsageError, match="Give --overwrite"):
        run(*arguments, tmp_path / "f.npz")
    assert (tmp_path / "f.npz").read_text() == "mine"
    run(*arguments, tmp_path / "f.npz", "--overwrite")
    assert "features" in np.load(tmp_path / "f.npz").files
    with pytest.raises(UsageError, match=r"ends in \.npz or \.zarr"):
        run(*arguments, tmp_path / "f.npy")


def test_layers_and_settings_are_read_strictly():
    assert parse_layers("0.5, 0.95,12") == (0.5, 0.95, 12)
    assert parse_setting("size=[32, 64]") == ("size", [32, 64])
    assert parse_setting("layer_rule=paper") == ("layer_rule", "paper")
    for wrong in ("", "0.5,,1", "last", "0.5,0.5"):
        with pytest.raises(UsageError, match="--layers: expected"):
            parse_layers(wrong)
    for wrong in ("size", "=3"):
        with pytest.raises(UsageError, match="--set: expected KEY=VALUE"):
            parse_setting(wrong)


def test_a_name_that_promises_trained_weights_is_never_random():
    with pytest.raises(UsageError, match="4ds-s-random is the same model with random weights"):
        load_backbone("4ds-s")
    with pytest.raises(UsageError, match=r"They are at https://.*scaling4d_e\.npz"):
        load_backbone("4ds-e")
    with pytest.raises(UsageError, match="nearest public ones are those of 4ds-e"):
        load_backbone("fourds/4ds-j")
    assert load_backbone("4ds_MICRO-random", seed=3).seed == 3


def test_options_are_those_of_the_backbone_and_not_those_that_its_name_fixes():
    assert load_backbone("4ds-micro-random", layer_rule="paper").config.layer_rule == "paper"
    with pytest.raises(UsageError, match=r"got 'layer_rul'\. Did you mean 'layer_rule'"):
        load_backbone("4ds-micro-random", layer_rul="paper")
    with pytest.raises(UsageError, match="got 'variant'"):
        load_backbone("4ds-micro-random", variant="4ds-s")
    with pytest.raises(UnknownNameError, match="Did you mean '4ds-micro-random'"):
        load_backbone("4ds-micr-random")


def test_weights_are_found_by_path_url_and_package(tmp_path):
    (tmp_path / "w.npz").write_bytes(b"weights")
    assert weights_file(tmp_path / "w.npz") == tmp_path / "w.npz"
    fetched = weights_file(f"file://{tmp_path}/w.npz")
    assert fetched.read_bytes() == b"weights"
    assert fetched.is_relative_to(tmp_path / "cache")
    assert weights_file("probe4d:errors.py").name == "errors.py"
    for missing in (str(tmp_path / "none.npz"), f"file://{tmp_path}/none.npz", "probe4d:none.npz", "no_such_pkg:w.npz"):
        with pytest.raises(DataError, match=r"weights: expected"):
            weights_file(missing)
