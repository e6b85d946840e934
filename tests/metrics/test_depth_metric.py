"""Depth: the reference's AbsRel, what is valid, what never counts, and sums that stream."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.metric_cases import depth
from probe4d_metrics import DepthError, abs_rel, valid_depth
from probe4d_metrics.depth import depth_sums

GOLDENS = Path(__file__).parent / "goldens"


def exact(pred, target, valid):
    """AbsRel, delta 1 and RMSE of valid pixels, one by one, in float64."""
    p, t = (array.astype(np.float64)[valid].tolist() for array in (pred, target))
    if not p:
        return math.nan, math.nan, math.nan
    pairs = list(zip(p, t, strict=True))
    errors = math.fsum(abs(b - a) / (b + 1e-6) for a, b in pairs) / len(pairs)
    near = sum(a > 0 and max(a / b, b / a) < 1.25 for a, b in pairs) / len(pairs)
    return errors, near, math.sqrt(math.fsum((a - b) ** 2 for a, b in pairs) / len(pairs))


def test_abs_rel_is_the_references_per_clip_and_pooled():
    with np.load(GOLDENS / "metric_absrel.npz") as file:
        pred, target, mask = (file[name][..., 0] for name in ("preds", "targets", "mask"))
        per_item, pooled, unmasked = file["per_item"], file["pooled"], file["unmasked_item1"]
    valid = mask > 0
    state = DepthError().empty()
    for i in range(len(pred)):
        state = state.update(f"{i}", {"depth": pred[i]}, {"depth": target[i], "valid": valid[i]})
    rows = state.per_sample()
    assert [rows[name]["abs_rel"] for name in ("0", "1")] == pytest.approx(per_item[:2], rel=2e-6)
    assert state.left_out == (("2", "no valid pixel"),)  # the reference answers 0
    assert state.compute()["abs_rel"] == pytest.approx(float(pooled), rel=2e-6)
    positive = np.abs(target[1]) + np.float32(0.1)  # the targets that this golden was made with
    assert abs_rel(pred[1], positive, np.ones_like(valid[1])) == pytest.approx(float(unmasked), rel=2e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 120), st.integers(1, 120)),
    dtype=st.sampled_from(["f4", "f8"]),
)
def test_the_three_errors_agree_with_sums_taken_pixel_by_pixel(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    target = rng.uniform(0.01, 9, shape).astype(dtype)
    pred = (target * rng.choice([1, 1.25, 0.8, 0.5, -1.0, 1.1], shape)).astype(dtype)
    valid = rng.random(shape) < rng.choice([0, 0.1, 0.9, 1])
    values = DepthError().empty().update("a", {"depth": pred}, {"depth": target, "valid": valid}).compute()
    tolerance = 1e-6 if dtype == "f4" else 1e-12
    errors, near, rmse = exact(pred, target, valid)
    assert values["abs_rel"] == pytest.approx(errors, rel=tolerance, nan_ok=True)
    assert values["rmse"] == pytest.approx(rmse, rel=tolerance, nan_ok=True)
    ties = np.isclose(pred / target, 1.25, rtol=1e-6) | np.isclose(target / pred, 1.25, rtol=1e-6)
    share = (ties & valid).sum() / max(1, valid.sum())
    assert near == pytest.approx(values["delta_1"], abs=share + 1e-12, nan_ok=True)


def test_a_depth_exactly_one_and_a_quarter_times_off_is_not_near():
    target = np.array([[[1.0, 2.5, 4.0, 5.0]]])
    pred = np.array([[[1.25, 2.0, 4.9999, 4.0001]]])
    valid = np.ones_like(target, bool)
    assert (
        DepthError().empty().update("a", {"depth": pred}, {"depth": target, "valid": valid}).compute()["delta_1"] == 0.5
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), junk=st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1e-6, 3e38]))
def test_masked_pixels_never_contribute_whatever_they_hold(seed, junk):
    predictions, targets = depth(np.random.default_rng(seed))
    state = DepthError().empty().update("a", predictions, targets)
    for side, fields in (("pred", predictions), ("target", targets)):
        filled = np.where(targets["valid"], fields["depth"], np.float32(junk))
        new = {**fields, "depth": filled}
        other = (new, targets) if side == "pred" else (predictions, new)
        assert DepthError().empty().update("a", *other) == state


@pytest.mark.parametrize("size", [(5, 7), (90, 100), (300, 400), (520, 600)])
def test_padded_frames_change_no_bit(size):
    rng = np.random.default_rng(0)
    predictions, targets = depth(rng, 3, *size)
    state = DepthError().empty().update("a", predictions, targets)
    pad = np.full((2, *size), np.nan, np.float32)
    padded = {"depth": np.concatenate([targets["depth"], pad]), "valid": np.concatenate([targets["valid"], pad > 0])}
    assert DepthError().empty().update("a", {"depth": np.concatenate([predictions["depth"], pad])}, padded) == state


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["pred", "target"])
def test_nan_or_infinity_at_a_valid_pixel_is_an_error_that_names_the_sample(value, side):
    predictions, targets = depth(np.random.default_rng(0))
    fields = predictions if side == "pred" else targets
    fields["depth"][tuple(np.argwhere(targets["valid"])[0])] = value
    with pytest.raises(ValueError, match=f"sample 'clip': {side}_depth: expected finite depth"):
        DepthError().empty().update("clip", predictions, targets)


def test_large_finite_predictions_are_summed_not_refused():
    target, valid = np.ones((1, 2, 2), np.float32), np.ones((1, 2, 2), bool)
    state = DepthError().empty().update("a", {"depth": target * 1e30}, {"depth": target, "valid": valid})
    assert state.compute()["rmse"] == pytest.approx(1e30, rel=1e-6)


def test_integer_depths_do_not_wrap_around():
    pred, target = np.full((1, 1, 2), 3, np.uint16), np.full((1, 1, 2), 5, np.uint16)
    assert abs_rel(target, pred, np.ones((1, 1, 2), bool)) == pytest.approx(2 / 3, rel=1e-6)


@pytest.mark.parametrize("cast", ["f4", "f8", "f4 in f8"])
def test_both_ends_of_the_valid_range_are_excluded_in_every_dtype(cast):
    metres = np.array([0, 1, 2, 9999, 10000, 10001]) / 1000
    stored = metres.astype(np.float32).astype(np.float64) if cast == "f4 in f8" else metres.astype(cast)
    assert valid_depth(stored).tolist() == [False, False, True, True, False, False]


def test_whole_millimetres_are_valid_from_2_to_9999():
    millimetres = np.arange(0, 10_010, dtype=np.uint16)
    found = valid_depth(millimetres, unit="millimetre")
    assert found.tolist() == [1 < mm < 10_000 for mm in millimetres.tolist()]
    assert valid_depth((millimetres / np.float32(1000)).astype(np.float32)).tolist() == found.tolist()
    assert not valid_depth(np.array([np.nan, np.inf, -np.inf, -1.0])).any()
    with pytest.raises(ValueError, match="unit: expected 'metre' or 'millimetre', got 'cm'"):
        valid_depth(millimetres, unit="cm")


def test_arrays_that_only_slice_are_read_a_few_frames_at_a_time():
    class Slices:
        """What a zarr array offers: a shape, a dtype, and slices that load."""

        def __init__(self, array):
            self.array, self.shape, self.dtype, self.largest = array, array.shape, array.dtype, 0

        def __getitem__(self, part):
            loaded = self.array[part]
            self.largest = max(self.largest, loaded.shape[0])
            return loaded

    predictions, targets = depth(np.random.default_rng(0), 9, 300, 300)
    lazy = [Slices(array) for array in (predictions["depth"], targets["depth"], targets["valid"])]
    found = DepthError().empty().update("a", {"depth": lazy[0]}, {"depth": lazy[1], "valid": lazy[2]})
    assert found == DepthError().empty().update("a", predictions, targets)
    assert max(array.largest for array in lazy) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valid": np.ones((3, 5, 7))}, "valid: expected bool, got float64"),
        ({"valid": np.ones((3, 5, 6), bool)}, r"valid: expected shape \(t=3, h=5, w=7\), got \(3, 5, 6\)"),
        ({"depth": np.zeros((5, 7))}, r"target_depth: expected shape \(t=3, h=5, w=7\), got \(5, 7\)"),
        ({"depth": np.zeros((3, 5, 7), complex)}, "target_depth: expected numbers, got complex128"),
    ],
)
def test_bad_targets_are_refused_with_the_samples_name(change, message):
    predictions, targets = depth(np.random.default_rng(0))
    with pytest.raises(ValueError, match=f"sample 'clip': {message}"):
        DepthError().empty().update("clip", predictions, {**targets, **change})


def test_an_unknown_term_is_an_error():
    with pytest.raises(ValueError, match="terms: expected abs_rel, near, squared, got log"):
        depth_sums(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.ones((1, 1, 1), bool), ("log",))
