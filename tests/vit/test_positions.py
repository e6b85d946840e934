"""Position tables are computed and resized exactly as the families' own code does."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d_vit import positions, resample
from probe4d_vit.config import RESAMPLE, VitConfig

GOLDENS = np.load(Path(__file__).parent / "goldens" / "positions.npz")


def grid_of(name):
    sizes = tuple(map(int, name.rpartition("/")[2].split("x")))
    return sizes if len(sizes) == 3 else (1, *sizes)


def test_the_computed_table_of_vjepa1_is_the_stored_one():
    np.testing.assert_allclose(
        positions.sincos((4, 3, 3), 64, uniform_power=True), GOLDENS["vjepa1/T8_48x48"], atol=1e-6
    )


def test_a_table_of_half_its_channels_for_time_has_that_share():
    table = positions.sincos((3, 2, 2), 16, uniform_power=False)
    assert table.shape == (3, 2, 2, 16)
    assert (table[:, 0, 0, :8] != table[0, 0, 0, :8]).any(axis=1).tolist() == [False, True, True]
    assert (table[:, 0, 0, 8:] == table[0, 0, 0, 8:]).all()


@pytest.mark.parametrize("name", [name for name in GOLDENS.files if name.startswith("vjepa1/")])
def test_vjepa1_tables_are_resized_trilinearly(name):
    table = GOLDENS["vjepa1/T8_48x48"]
    np.testing.assert_allclose(
        resample.resample_table(table, GOLDENS[name].shape[:3], "linear_torch"), GOLDENS[name], atol=1e-6
    )


def test_big_vision_tables_keep_their_corners():
    out = resample.resample_table(GOLDENS["bigvision/4x4"], (1, 6, 6), "linear_corners")
    np.testing.assert_allclose(out, GOLDENS["bigvision/6x6"], atol=1e-6)
    np.testing.assert_array_equal(out[0, ::5, ::5], GOLDENS["bigvision/4x4"][0, ::3, ::3])


@pytest.mark.parametrize("name", [name for name in GOLDENS.files if name.count("/") == 2])
def test_the_torch_rules_are_what_torch_computes(name):
    rule, grid = name.split("/")[1], grid_of(name)
    table = GOLDENS["torch/table3" if grid[0] > 1 else "torch/table"]
    np.testing.assert_allclose(
        resample.resample_table(table, grid, rule), GOLDENS[name], atol=3e-6
    )  # values up to 3, float32 there


@pytest.mark.parametrize(("rule", "method"), [("cubic_antialias", "cubic"), ("linear_antialias", "linear")])
@pytest.mark.parametrize("grid", [(4, 7, 3), (9, 5, 2), (8, 4, 6)])
def test_the_antialiased_rules_are_jax_image_resize(rule, method, grid):
    table = np.random.default_rng(0).normal(size=(6, 5, 4, 3)).astype(np.float32)
    want = jax.image.resize(table, (*grid, 3), method)
    np.testing.assert_allclose(resample.resample_table(table, grid, rule), want, atol=2e-6)


@pytest.mark.parametrize("rule", [rule for rule in RESAMPLE if rule != "recompute"])
def test_every_rule_keeps_a_table_of_its_own_grid_and_a_constant_one(rule):
    table = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(resample.resample_table(table, (2, 3, 4), rule), table)
    same = resample.resample_table(np.ones((2, 3, 4, 1), np.float32), (5, 2, 7), rule)
    np.testing.assert_allclose(same, 1, atol=1e-6)


def test_a_sinusoid_is_computed_anew_for_another_grid():
    table = positions.sinusoid((2, 2, 2), 8)
    np.testing.assert_array_equal(
        resample.resample_table(table, (3, 1, 2), "recompute").reshape(6, 8), table.reshape(8, 8)[:6]
    )


def test_an_unknown_rule_is_refused_by_name():
    with pytest.raises(UsageError, match=r"expected one of cubic_antialias.*got 'nearest'"):
        resample.resample_table(np.zeros((1, 2, 2, 1)), (1, 3, 3), "nearest")


def test_rotary_angles_follow_the_grid_they_are_counted_in():
    config = VitConfig(width=16, depth=1, heads=1, mlp=4, patch=(1, 1, 1), grid=(2, 3, 3), position="rope")
    cos, sin = positions.rope(config)
    size = config.rope_segment
    assert size == 4  # 2 · (16 // 3 // 2)
    assert cos.shape == (18, 16)
    np.testing.assert_array_equal(cos[:, 3 * size :], 1)  # the rest of the head does not turn
    np.testing.assert_array_equal(sin[:, 3 * size :], 0)
    np.testing.assert_array_equal(cos[:, :2], cos[:, 2:4])  # angles are tiled, not repeated
    np.testing.assert_allclose(cos[10, size : size + 2], np.cos(0 * np.array([1, 0.01])), atol=1e-6)  # t 1, h 0, w 1
    np.testing.assert_allclose(cos[10, 2 * size : 2 * size + 2], np.cos(1 * np.array([1, 0.01])), atol=1e-6)


def test_time_is_resized_by_keys_cubic_for_numpy_and_jax_alike():
    golden = np.load(Path(__file__).parents[1] / "fourds" / "goldens" / "temporal_resize_cubic.npz")
    for have, want in (("x", "y16"), ("x16", "y16_from16")):
        ours = resample.resize_time(golden[have], 16)
        assert isinstance(ours, np.ndarray)
        np.testing.assert_allclose(ours, golden[want], atol=1e-6)
        np.testing.assert_allclose(resample.resize_time(jax.numpy.asarray(golden[have]), 16), golden[want], atol=1e-6)
    np.testing.assert_allclose(resample.resize_time(golden["x"][:, :1], 16), golden["y16_from1"], atol=1e-6)
    assert resample.resize_time(golden["x"].astype(np.float16), 16).dtype == np.float16
