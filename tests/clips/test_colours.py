"""The colour jitter is that of the paper's table: its ranges, its probabilities, and HSV as in the textbook."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from probe4d_datasets import colour
from probe4d_datasets.colour import adjust_contrast, adjust_hue, adjust_saturation, change_colours

COLOURS = arrays(np.float32, (5, 3), elements=st.floats(0, 1, width=32))


def by_colorsys(rgb: np.ndarray, turns: float = 0.0, factor: float = 1.0) -> np.ndarray:
    out = []
    for red, green, blue in rgb.astype(float):
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        out.append(colorsys.hsv_to_rgb((hue + turns) % 1.0, min(saturation * factor, 1.0), value))
    return np.array(out)


@given(COLOURS, st.floats(-0.2, 0.2))
def test_hue_turns_as_in_hsv(rgb, turns):
    np.testing.assert_allclose(adjust_hue(rgb.T, turns).T, by_colorsys(rgb, turns=turns), atol=2e-4)


@given(COLOURS, st.floats(0.6, 1.4))
def test_saturation_scales_as_in_hsv(rgb, factor):
    np.testing.assert_allclose(adjust_saturation(rgb.T, factor).T, by_colorsys(rgb, factor=factor), atol=2e-4)


@given(COLOURS)
def test_a_whole_turn_and_a_factor_of_one_change_nothing(rgb):
    np.testing.assert_allclose(adjust_hue(rgb.T, 1.0).T, rgb, atol=1e-5)
    np.testing.assert_allclose(adjust_saturation(rgb.T, 1.0).T, rgb, atol=1e-6)
    np.testing.assert_allclose(adjust_contrast(rgb.T[:, None, None], 1.0)[:, 0, 0].T, rgb, atol=1e-6)


def test_contrast_is_about_the_mean_colour_of_each_frame():
    video = np.stack([np.full((3, 2, 2), 0.2, np.float32), np.full((3, 2, 2), 0.9, np.float32)], axis=1)
    video[:, 0, 0] = 0.4
    out = adjust_contrast(video, 1.5)
    np.testing.assert_allclose(out.mean(axis=(2, 3)), video.mean(axis=(2, 3)), atol=1e-6)
    np.testing.assert_allclose(out[:, 0, 0, 0] - out[:, 0, 1, 0], 0.3, atol=1e-6)
    np.testing.assert_allclose(out[:, 1], video[:, 1])


def test_the_ranges_and_the_probabilities_are_the_paper_s(monkeypatch):
    """Over many clips: how often each change is made, and how far it goes."""
    drawn: dict[str, list[float]] = {"saturation": [], "contrast": [], "hue": []}
    for name in drawn:
        monkeypatch.setattr(
            colour, f"adjust_{name}", lambda rgb, amount, name=name: (drawn[name].append(amount), rgb)[1]
        )
    video = np.full((1, 1, 1, 3), (90, 120, 150), np.uint8)
    total, shifts, grays = 3000, [], 0
    for seed in range(total):
        out = change_colours(video, np.random.default_rng(seed), ("colour-jitter", "grayscale"))[0, 0, 0].astype(int)
        if out[0] == out[1] == out[2]:
            grays += 1
        else:
            shifts.append(out[0] - 90)
    assert len(drawn["hue"]) / total == pytest.approx(0.8, abs=0.03)
    assert grays / total == pytest.approx(0.1, abs=0.02)
    for name, low, high in (("saturation", 0.6, 1.4), ("contrast", 0.6, 1.4), ("hue", -0.2, 0.2)):
        assert low <= min(drawn[name]) < low + 0.01
        assert high - 0.01 < max(drawn[name]) <= high
        assert np.mean(drawn[name]) == pytest.approx((low + high) / 2, abs=0.02)
    assert min(shifts) == -32  # 0.125 of 255, rounded
    assert max(shifts) == 32


def test_frames_of_a_clip_change_alike():
    """The changes but contrast are those of a colour, wherever and whenever it shows."""
    frame = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    video = np.stack([frame, frame])
    for seed in range(20):
        out = change_colours(video, np.random.default_rng(seed), ("colour-jitter", "grayscale"))
        np.testing.assert_array_equal(out[0], out[1])


@pytest.mark.parametrize("names", [(), ("grayscale",), ("colour-jitter",), ("colour-jitter", "grayscale")])
def test_what_is_not_named_does_not_happen(names):
    video = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    for seed in range(40):
        out = change_colours(video, np.random.default_rng(seed), names)
        gray = bool((np.ptp(out.astype(int), axis=-1) == 0).all())
        assert out.dtype == np.uint8
        assert out.shape == video.shape
        if "grayscale" not in names:
            assert not gray
        if not names:
            np.testing.assert_array_equal(out, video)


def test_grays_stay_gray_but_for_brightness_and_contrast():
    video = np.random.default_rng(0).integers(40, 200, (1, 6, 6, 1)).repeat(3, axis=-1).astype(np.uint8)
    for seed in range(30):
        out = change_colours(video, np.random.default_rng(seed), ("colour-jitter",)).astype(int)
        assert np.ptp(out, axis=-1).max() <= 1
