"""`probe4d features` on weights from anywhere: what strangers run to check us against their own forward pass."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import probe4d
from baselines.conftest import GOLDENS, golden, worst
from probe4d.errors import DataError, UsageError
from probe4d_datasets.video_write import write_video
from probe4d_runners.features import command, parse_layers, parse_setting

CASES = [  # folder or file, family, input, settings
    ("hf_siglip_sharded", "siglip", "hf_siglip/io_42x56", ["rules=hub"]),
    ("orig_dinov2_swiglu/dinov2_pretrain.pth", "dinov2", "orig_dinov2_swiglu/io_56x84", ["heads=3"]),
    ("orig_vjepa1", "vjepa", "orig_vjepa1/io_T4_48x48", ["heads=4"]),
    ("hf_videomae_finetuned/pytorch_model.bin", "videomae", "hf_videomae_finetuned/io", []),
    ("hf_vjepa2", "vjepa2", "hf_vjepa2/io_T16", []),
]


def clip_of(case, folder):
    io = np.load(GOLDENS / f"{case}.npz")
    np.save(folder / "clip.npy", io["video_uint8"][0])
    return io


def run(*arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False, standalone_mode=False)


@pytest.mark.parametrize(("weights", "family", "case", "settings"), CASES)
def test_features_and_blocks_of_a_file_are_those_of_its_own_code(tmp_path, weights, family, case, settings):
    io = clip_of(case, tmp_path)
    given = [part for setting in settings for part in ("--set", setting)]
    run("--backbone", family, "--weights", GOLDENS / weights, "--video", tmp_path / "clip.npy", "-o",
        tmp_path / "out.npz", "--layers", "all", "--resize", "none", *given)  # fmt: skip
    out = np.load(tmp_path / "out.npz", allow_pickle=False)
    assert set(out.files) == {"features", "block_0", "block_1", "meta"}
    assert out["features"].shape == io["features_TKC"].shape[1:]  # (t', k, c)
    assert worst(out["features"], io["features_TKC"][0]) <= golden(weights.partition("/")[0]).tolerance
    meta = json.loads(str(out["meta"]))
    assert len(meta["backbone"]["weights_sha256"]) == 64
    assert meta["layers"] == [1.0, "block_0", "block_1"]
    options = dict(map(parse_setting, settings))
    backbone = probe4d.load_backbone(family, weights=GOLDENS / weights, **options)
    video = io["video_uint8"][:1].astype(np.float32) / np.float32(255)
    features, block = backbone.encode(video, layers=(1.0, "block_1"))
    np.testing.assert_array_equal(features[0], out["features"])
    np.testing.assert_array_equal(block[0], out["block_1"])


def test_the_program_itself_does_it_and_lists_ignored_keys_with_v(tmp_path):
    io = clip_of("orig_vjepa2/io_T8_32x64", tmp_path)
    line = [sys.executable, "-m", "probe4d", "features", "--backbone", "vjepa2", "--weights",
            str(GOLDENS / "orig_vjepa2" / "vit.pt"), "--set", "heads=3", "--set", "width=48", "--set", "depth=2",
            "--video", "clip.npy", "-o", "out.npz", "--resize", "none", "-v"]  # fmt: skip
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "1 keys ignored: encoder/module.backbone.pos_embed" in done.stderr
    out = np.load(tmp_path / "out.npz")
    assert out.files == ["features", "meta"]
    assert worst(out["features"], io["features_TKC"][0]) <= 5e-5


def test_another_clip_is_resized_to_the_native_input_unless_it_is_to_be_left(tmp_path):
    clip_of("hf_dinov2_mlp/io_56x84", tmp_path)
    line = ("--backbone", "dinov2", "--weights", GOLDENS / "hf_dinov2_mlp", "--video", tmp_path / "clip.npy", "-o")
    run(*line, tmp_path / "native.npz")
    assert np.load(tmp_path / "native.npz")["features"].shape == (2, 49, 48)
    run(*line, tmp_path / "as_is.npz", "--resize", "none")
    assert np.load(tmp_path / "as_is.npz")["features"].shape == (2, 24, 48)


def test_the_hubs_own_positions_are_named_when_others_are_used(tmp_path, caplog):
    clip_of("hf_dinov2_mlp/io_56x84", tmp_path)
    line = ("--backbone", "dinov2", "--weights", GOLDENS / "hf_dinov2_mlp", "--video", tmp_path / "clip.npy",
            "--resize", "none")  # fmt: skip
    run(*line, "-o", tmp_path / "a.npz")
    assert "the hub's port has others: --set rules=hub" in caplog.text
    caplog.clear()
    run(*line, "-o", tmp_path / "b.npz", "--set", "rules=hub")
    assert "rules=hub" not in caplog.text
    want = np.load(GOLDENS / "hf_dinov2_mlp" / "io_56x84.npz")["features_TKC"][0]
    assert worst(np.load(tmp_path / "b.npz")["features"], want) <= 5e-5
    assert worst(np.load(tmp_path / "a.npz")["features"], want) > 1e-3


def test_a_video_file_gives_the_frames_that_the_model_was_made_for(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (12, 48, 48, 3), dtype=np.uint8)
    write_video(tmp_path / "v.mp4", frames)
    run("--backbone", "videomae", "--weights", GOLDENS / "hf_videomae_pretrained", "--video", tmp_path / "v.mp4", "-o",
        tmp_path / "out.npz")  # fmt: skip
    assert np.load(tmp_path / "out.npz")["features"].shape == (4, 4, 48)


WRONG = {
    "heads=0": "heads: expected an integer of at least 1, got 0",
    "heads=x": "heads: expected an integer of at least 1, got 'x'",
    "width=x": "width: expected an integer of at least 1, got 'x'",
    "patch=0": r"patch: expected a side or \(t, h, w\) of at least 1, got 0",
    'patch=[2, "a", 16]': r"patch: expected a side or \(t, h, w\)",
    "frames=x": "frames: expected a number of at least 1, got 'x'",
    "mean=[1, 2]": r"mean: expected three numbers, one per channel, got \[1, 2\]",
    "std=[0, 1, 1]": "std: expected numbers above 0",
}


def test_layers_and_settings_are_read_strictly(tmp_path):
    assert parse_layers("all") == ("all",)
    assert parse_layers("1.0, block_3") == (1.0, "block_3")
    assert parse_setting("size=[32, 64]") == ("size", [32, 64])
    assert parse_setting("rules=hub") == ("rules", "hub")
    assert parse_setting("eps=1e-6") == ("eps", 1e-6)
    clip_of("hf_vjepa2/io_T4", tmp_path)
    line = ("--backbone", "vjepa2", "--weights", GOLDENS / "hf_vjepa2", "--video", tmp_path / "clip.npy", "-o",
            tmp_path / "o.npz", "--resize", "none")  # fmt: skip
    with pytest.raises(UsageError, match=r"expected a number, or block_0 to block_1, got 'block_2'"):
        run(*line, "--layers", "block_2")
    with pytest.raises(UsageError, match=r"got 'widht'\. Did you mean 'width'"):
        run(*line, "--set", "widht=3")
    for wrong, words in WRONG.items():
        with pytest.raises(UsageError, match=words):
            run(*line, "--set", wrong)
    with pytest.raises(DataError, match=r"expected at least 8 frames, got 4"):
        run(*line[:-2], "--resize", "bilinear")
