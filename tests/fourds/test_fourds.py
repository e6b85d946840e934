"""4DS is the released model: sizes, layers, checkpoints and features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from click.testing import CliRunner

import probe4d
from probe4d.errors import DataError, UsageError
from probe4d.testing import Given, check_backbone
from probe4d_fourds import checkpoint
from probe4d_fourds.backbone import load
from probe4d_fourds.plugin import PROBE4D_CONFORMANCE, probe4d_backbones
from probe4d_fourds.sizes import PAPER, SIZES, Size, vit_config
from probe4d_runners.features import command
from probe4d_vit import model
from probe4d_vit.backbone import VitBackbone
from probe4d_vit.checkpoints import flatten
from probe4d_vit.config import VitConfig, blocks_to_run
from probe4d_vit.resample import resize_time
from probe4d_vit.table import count

GOLDENS = Path(__file__).parent / "goldens"
SPECS = {spec.name: spec for spec in probe4d_backbones()}
TINY = VitConfig(
    width=24, depth=5, heads=3, mlp=56, patch=(2, 16, 16), grid=(2, 2, 3), activation="gelu_tanh", final_norm=False,
    layer_rule="released",
)  # fmt: skip
RELEASED = {  # blocks run for 25, 50, 75, 85, 95 and 100 % of the depth, as the code of the weights counts
    "4ds-s": (1, 4, 7, 9, 10, 11),
    "4ds-b": (1, 4, 7, 9, 10, 11),
    "4ds-l": (4, 10, 16, 19, 21, 23),
    "4ds-h": (6, 14, 22, 26, 29, 31),
    "4ds-g": (10, 22, 34, 39, 44, 47),
    "4ds-e": (12, 26, 40, 46, 52, 55),
    "4ds-j": (14, 30, 46, 53, 59, 63),
}
SHARES = (0.25, 0.5, 0.75, 0.85, 0.95, 1.0)
EXACT = {
    "4ds-s": 22_485_888,
    "4ds-b": 87_439_104,
    "4ds-l": 305_488_896,
    "4ds-h": 633_652_480,
    "4ds-g": 1_846_529_664,
    "4ds-e": 3_809_464_064,
    "4ds-j": 21_493_977_088,
}


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDENS / "encoder_tiny_fp32.npz"))


@pytest.fixture(scope="module")
def released(golden, tmp_path_factory):
    """The golden's parameters as a checkpoint in the released layout."""
    path = tmp_path_factory.mktemp("4ds") / "tiny.npz"
    np.savez(path, **{key.removeprefix("param:"): value for key, value in golden.items() if key.startswith("param:")})
    return path


def of_formula(size: Size) -> int:
    d, m, patch = size.width, size.mlp, int(np.prod(size.patch)) * 3
    positions = (size.frames // size.patch[0]) * (size.resolution // size.patch[1]) ** 2
    return size.depth * (4 * d * d + 4 * d + 4 * d + 2 * d * m + m + d) + (patch * d + d) + d * positions


@pytest.mark.parametrize("name", SIZES)
def test_the_number_of_parameters_is_that_of_the_formula(name):
    assert count(vit_config(name)) == of_formula(SIZES[name])
    assert SPECS[name].params == SPECS[f"{name}-random"].params == of_formula(SIZES[name])


@pytest.mark.parametrize("name", PAPER)
def test_the_number_of_parameters_is_the_papers_as_far_as_it_prints_it(name):
    assert count(vit_config(name)) == EXACT[name]
    tolerance = {"4ds-s": 0.03, "4ds-b": 0.007}.get(name, 0.002)
    assert EXACT[name] / 1e6 == pytest.approx(PAPER[name].encoder_millions, rel=tolerance)


@pytest.mark.parametrize("name", PAPER)
def test_a_share_of_the_depth_runs_the_blocks_of_the_released_code(name):
    depth = PAPER[name].depth
    assert tuple(blocks_to_run(share, depth, "released") for share in SHARES) == RELEASED[name]
    assert vit_config(name).layer_rule == "released"


def test_the_papers_own_count_of_layers_is_an_option():
    assert blocks_to_run(0.75, 56, "paper") == 42  # "layer 42 out of 56" for e
    assert blocks_to_run(0.95, 64, "paper") == 60  # "layer 60" for j
    assert vit_config("4ds-e", "paper").layer_rule == "paper"
    assert load(variant="4ds-micro", layer_rule="paper").blocks((1.0,)) == (6,)


def test_features_are_those_of_the_released_code(golden, released):
    backbone = VitBackbone(TINY, checkpoint.reader(released, TINY, TINY.grid))
    every = backbone.encode(golden["video"], tuple(range(6)))
    for blocks, features in enumerate(every):
        want = golden["tokens"] if blocks == 0 else golden[f"block_out_{blocks - 1}"]
        np.testing.assert_allclose(features.reshape(want.shape), want, atol=2e-5)
    shares = [int(key.removeprefix("readout_feats_")) for key in golden if key.startswith("readout_feats_")]
    assert len(shares) == 6
    for share, features in zip(
        shares, backbone.encode(golden["video"], [share / 100 for share in shares]), strict=True
    ):
        np.testing.assert_allclose(resize_time(features, 4), golden[f"readout_feats_{share}"], atol=2e-5)


@pytest.mark.parametrize("prefix", checkpoint.PREFIXES)
def test_a_file_of_any_size_says_its_own(golden, released, tmp_path, prefix):
    checkpoint.write(tmp_path / "any.npz", checkpoint.read(released, TINY, 5), prefix)
    backbone = probe4d.load_backbone("4ds", weights=tmp_path / "any.npz")
    assert backbone.clip == (4, 32, 48)
    (features,) = backbone.encode(golden["video"], ("block_4",))
    np.testing.assert_allclose(features.reshape(2, 12, 24), golden["block_out_4"], atol=2e-5)


def test_the_program_gives_the_released_code_s_blocks_of_a_clip_of_floats(golden, released, tmp_path):
    np.save(tmp_path / "clip.npy", golden["video"][0])
    line = [
        "-b",
        "4ds",
        "--weights",
        str(released),
        "--video",
        str(tmp_path / "clip.npy"),
        "-o",
        str(tmp_path / "f.npz"),
    ]
    CliRunner().invoke(command, [*line, "--layers", "all", "--resize", "none"], catch_exceptions=False)
    with np.load(tmp_path / "f.npz") as out:
        for block in range(5):
            want = golden[f"block_out_{block}"][0]
            np.testing.assert_allclose(out[f"block_{block}"].reshape(want.shape), want, atol=2e-5)


def test_a_file_of_any_size_must_have_the_arrays_that_say_it(released, tmp_path):
    with pytest.raises(UsageError, match="backbone '4ds': expected a checkpoint"):
        load(variant=None)
    arrays = dict(np.load(released))
    del arrays["params/processor/layers_0/mlp/dense_in/kernel"]
    np.savez(tmp_path / "less.npz", **arrays)
    with pytest.raises(DataError, match=r"dense_in/kernel' with 2 axes, got None"):
        load(str(tmp_path / "less.npz"), variant=None)


def test_bfloat16_features_are_those_of_the_released_code_to_its_precision(golden, released):
    low = dict(np.load(GOLDENS / "encoder_tiny_bf16.npz"))
    backbone = VitBackbone(TINY, checkpoint.reader(released, TINY, TINY.grid), dtype="bfloat16")
    every = backbone.encode(golden["video"], (0, 1, 2, 3, 4))
    np.testing.assert_array_equal(every[0].reshape(2, 12, 24), low["aux_1"])
    for features, name in zip(every[1:], ("aux_2", "aux_3", "aux_4", "aux_5"), strict=True):
        want = low[name]
        spread = np.abs(want - golden[name]).max()  # what bfloat16 itself costs
        assert np.abs(features.reshape(want.shape) - want).max() <= 1.5 * spread


@pytest.mark.parametrize("prefix", checkpoint.PREFIXES)
def test_a_checkpoint_comes_back_as_it_was_written_under_both_prefixes(released, tmp_path, prefix):
    params = checkpoint.read(released, TINY, 5)
    checkpoint.write(tmp_path / "again.npz", params, prefix)
    arrays = dict(np.load(tmp_path / "again.npz"))
    assert {key.removeprefix(prefix) for key in arrays} == {key.removeprefix("params/") for key in np.load(released)}
    beside = {"params/latent_posenc/embeddings": np.zeros(3)}
    if prefix == "params/layers_0/":
        beside = {"params/layers_2/Dense_0/kernel": np.zeros(3)}
    np.savez(tmp_path / "beside.npz", **arrays, **beside)
    again = flatten(checkpoint.read(tmp_path / "beside.npz", TINY, 5))
    for path, array in flatten(params).items():
        np.testing.assert_array_equal(array, again[path], err_msg=path)


def test_blocks_above_the_layer_may_be_broken_in_the_file(released, tmp_path):
    arrays = dict(np.load(released))
    for key in arrays:
        if "/layers_3/" in key or "/layers_4/" in key:
            arrays[key] = np.array(["not a number"])
    np.savez(tmp_path / "broken.npz", **arrays)
    assert checkpoint.read(tmp_path / "broken.npz", TINY, 3)["blocks"]["q"]["kernel"].shape[0] == 3
    with pytest.raises(DataError, match="layers_3"):
        checkpoint.read(tmp_path / "broken.npz", TINY, 4)


def test_a_checkpoint_of_another_depth_or_model_is_refused(released, tmp_path):
    with pytest.raises(DataError, match=r"'params/processor/layers_4/.*another model or size"):
        checkpoint.read(released, evolve(TINY, depth=4), 2)
    with pytest.raises(DataError, match="layers_5"):
        checkpoint.read(released, evolve(TINY, depth=6), 6)
    np.savez(tmp_path / "other.npz", **{"params/w": np.zeros(3)})
    with pytest.raises(DataError, match="expected a 4DS checkpoint"):
        load(str(tmp_path / "other.npz"), variant="4ds-micro")


def test_another_input_resizes_the_position_table(golden, released):
    read = checkpoint.reader(released, TINY, (2, 4, 3))
    params = read(1)
    assert params["position"].shape == (2, 4, 3, 24)
    config = evolve(TINY, grid=(2, 4, 3))
    taller = np.repeat(golden["video"], 2, axis=2)
    assert model.apply(params, taller, (1,), config)[0].shape == (2, 2, 12, 24)


def test_the_door_refuses_what_is_no_backbone():
    with pytest.raises(UsageError, match=r"expected one of 4ds-s.*got '4ds-m'"):
        load(variant="4ds-m")
    with pytest.raises(UsageError, match="Load 4ds-micro with them"):
        load("weights.npz", variant="4ds-micro", random=True)
    with pytest.raises(UsageError, match=r"multiples of the patch \(2, 8, 8\), got \(16, 60, 64\)"):
        load(variant="4ds-micro", size=(60, 64))


def test_what_is_public_is_said_to_be_and_what_is_not_names_the_nearest():
    public = {name for name, spec in SPECS.items() if spec.weights is not None and spec.weights.public}
    assert public == {"4ds", "4ds-e", "4ds-b-dist-e", "4ds-mini", "4ds-micro"}
    for name in ("4ds-s", "4ds-l", "4ds-h", "4ds-g", "4ds-j"):
        assert SPECS[name].weights.nearest in public
    assert all(SPECS[f"{name}-random"].weights is None for name in SIZES)


@pytest.mark.parametrize("name", ["pixels", pytest.param("4ds-j", marks=pytest.mark.slow)])
def test_a_spec_keeps_the_contract_of_backbones(name):
    failed = PROBE4D_CONFORMANCE["expected_failed_checks"].get(f"backbones/{name}")
    given = Given(small=PROBE4D_CONFORMANCE["small"])
    results = check_backbone(SPECS[name], given=given, expected_failed_checks=failed)
    assert [(result.name, result.reason) for result in results if result.status == "failed"] == []
    assert sum(result.status == "passed" for result in results) > 10
