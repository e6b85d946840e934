"""Point tracks: the reference's numbers, its undefined cases, ties, NaN, padding, and bad input."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_metrics import plain_tapvid
from metrics.metric_cases import points, samples
from probe4d_metrics import PointTracks, tapvid_metrics, to_raster, tracks

GOLDENS = Path(__file__).parent / "goldens"
TAPNET_NAMES = {
    "average_jaccard": "average_jaccard",
    "occlusion_accuracy": "occlusion_accuracy",
    "average_pts_within_thresh": "points_within_delta",
    **{f"jaccard_{px}": f"jaccard_{px}" for px in tracks.THRESHOLDS},
    **{f"pts_within_{px}": f"points_within_{px}" for px in tracks.THRESHOLDS},
}
CASE_NAMES = [
    "random_first",
    "random_strided",
    "first_mode_on_strided_queries",
    "query_frame0_16f",
    "query_frame0_16f_strided",
    "gt_all_occluded_pred_some_visible",
    "gt_all_occluded_pred_all_occluded",
    "pred_all_occluded",
    "query_last_frame_no_eval_frames",
    "zero_tracks",
    "perfect",
    "exactly_at_thresholds",
    "noninteger_query_frame",
    "nan_pred_where_gt_occluded",
    "nan_pred_anywhere",
    "inf_pred",
]


def golden(case):
    """Return the arguments of `tapvid_metrics` and tapnet's values of one golden case."""
    with np.load(GOLDENS / "metric_tapvid.npz") as file:
        assert file["case_names"].tolist() == CASE_NAMES
        given_ = {name: file[f"{case}/in/{name}"] for name in ("pred_tracks", "gt_tracks", "query_points")}
        seen = {name: ~file[f"{case}/in/{name}_occluded"] for name in ("pred", "gt")}
        mode = str(file[f"{case}/query_mode"])
        values = {
            ours: file[f"{case}/tapnet/{theirs}"]
            for theirs, ours in TAPNET_NAMES.items()
            if f"{case}/tapnet/{theirs}" in file
        }
    arguments = (given_["pred_tracks"], seen["pred"], given_["gt_tracks"], seen["gt"], given_["query_points"], mode)
    return arguments, values


def state_of(arguments):
    """Return the state of a batch, a video at a time."""
    pred, pred_visible, target, visible, queries, mode = arguments
    state = PointTracks().empty()
    for i in range(len(pred)):
        targets = {"tracks": target[i], "visible": visible[i], "query_points": queries[i], "query_mode": mode}
        state = state.update(f"video {i}", {"tracks": pred[i], "visible": pred_visible[i]}, targets)
    return state


@pytest.mark.parametrize("case", CASE_NAMES)
def test_every_golden_case_has_tapnets_values_bit_for_bit(case):
    arguments, values = golden(case)
    found = tapvid_metrics(*arguments)
    assert len(values) >= 3
    for name, expected in values.items():
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


@pytest.mark.parametrize("case", CASE_NAMES)
def test_a_state_means_tapnets_values_over_the_videos_that_define_them(case):
    arguments, values = golden(case)
    computed = state_of(arguments).compute()
    for name, expected in values.items():
        defined = [Fraction(float(value)) for value in expected if not np.isnan(value)]
        mean = float(sum(defined, Fraction(0))) / len(defined) if defined else np.nan
        assert computed[name] == pytest.approx(mean, rel=0, abs=0, nan_ok=True), name


@pytest.mark.parametrize(
    ("case", "reason", "defined"),
    [
        ("zero_tracks", "no frame is left to evaluate beside the query frames", set()),
        ("query_last_frame_no_eval_frames", "no frame is left to evaluate beside the query frames", set()),
        (
            "gt_all_occluded_pred_all_occluded",
            "no target point is visible after its query frame",
            {"occlusion_accuracy"},
        ),
        (
            "gt_all_occluded_pred_some_visible",
            "no target point is visible after its query frame (left out of points_within only)",
            {"occlusion_accuracy", "average_jaccard", *(f"jaccard_{px}" for px in tracks.THRESHOLDS)},
        ),
    ],
)
def test_an_undefined_video_is_left_out_and_named_and_changes_no_mean(case, reason, defined):
    metric, others = samples("points", 0, 3)
    assert len(others) == 3
    alone = state_of(golden(case)[0])
    assert alone.left_out == (("video 0", reason),)
    assert {name for name, value in alone.compute().items() if not np.isnan(value)} == defined
    rest = metric.empty()
    for item in others:
        rest = rest.update(*item)
    both = rest.merge(alone).compute()
    for name, value in rest.compute().items():
        own = alone.compute()[name]
        assert both[name] == (pytest.approx((3 * value + own) / 4) if name in defined else value), name


def test_padded_queries_and_points_never_count():
    with np.load(GOLDENS / "metric_tapvid_padded.npz") as file:
        names = ("pred_tracks", "pred_occluded", "gt_tracks", "gt_occluded", "query_points")
        pred, hidden, target, target_hidden, queries = (file[f"in/{name}"] for name in names)
        evaluated, query_mask = file["in/evaluation_mask"] > 0, file["in/query_mask"] > 0
        expected = file["evaluation_mask/values"][0], file["query_mask/values"][0]
        masks = file["evaluation_mask/masks"]
    for mask, value in zip((evaluated, np.repeat(query_mask[..., None], 16, axis=-1)), expected, strict=True):
        found = tapvid_metrics(pred, ~hidden, target, ~target_hidden, queries, "first", evaluated=mask)
        assert found["average_jaccard"][0] == pytest.approx(value, rel=1e-6)
        assert np.isnan(found["average_jaccard"]).tolist() == (masks == 0).tolist()
        rows = query_mask[0]
        bare = tapvid_metrics(
            pred[:1, rows], ~hidden[:1, rows], target[:1, rows], ~target_hidden[:1, rows], queries[:1, rows], "first"
        )
        assert all(bare[name][0] == found[name][0] for name in bare)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), extra=st.integers(1, 5), mode=st.sampled_from(["first", "strided"]))
def test_padding_rows_with_anything_changes_no_bit(seed, extra, mode):
    rng = np.random.default_rng(seed)
    predictions, targets = points(rng)
    targets["query_mode"] = mode
    n, t = targets["visible"].shape
    junk = rng.choice([np.nan, np.inf, 1e300, 3.0], (extra, t, 2))
    padded = {
        "tracks": np.concatenate([targets["tracks"], junk]),
        "visible": np.concatenate([targets["visible"], rng.random((extra, t)) < 0.5]),
        "query_points": np.concatenate([targets["query_points"], np.zeros((extra, 3))]),
        "evaluated": np.arange(n + extra)[:, None] + np.zeros((1, t)) < n,
        "query_mode": mode,
    }
    more = {
        "tracks": np.concatenate([predictions["tracks"], junk]),
        "visible": np.concatenate([predictions["visible"], rng.random((extra, t)) < 0.5]),
    }
    bare, full = (
        PointTracks().empty().update("a", predictions, targets),
        PointTracks().empty().update("a", more, padded),
    )
    assert bare == full


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), mode=st.sampled_from(["first", "strided"]), dtype=st.sampled_from(["f4", "f8"]))
def test_random_videos_agree_with_the_plain_transcription_bit_for_bit(seed, mode, dtype):
    rng = np.random.default_rng(seed)
    b, n, t = rng.integers(1, 5), rng.integers(1, 6), rng.integers(2, 40)
    target = rng.uniform(0, 256, (b, n, t, 2)).astype(dtype)
    step = rng.choice([0, 1, 2, 4, 8, 16, 0.5, np.nan, np.inf], target.shape)  # many exact ties
    pred = (np.round(target) + step).astype(dtype)
    queries = rng.uniform(-0.4, t - 0.6, (b, n, 3))
    seen, target_seen = rng.random((b, n, t)) < 0.6, rng.random((b, n, t)) < 0.7
    target = np.round(target)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = plain_tapvid(pred, seen, target, target_seen, queries, mode)
    found = tapvid_metrics(pred, seen, target, target_seen, queries, mode)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("mode", ["first", "strided"])
@pytest.mark.parametrize("shape", [(3, 4, 300), (2, 700, 5), (1, 2, 1)])
def test_blocks_of_any_size_give_the_same_counts(monkeypatch, mode, shape):
    rng = np.random.default_rng(0)
    target = rng.uniform(0, 256, (*shape, 2))
    arguments = (
        target + rng.normal(0, 4, target.shape),
        rng.random(shape) < 0.5,
        target,
        rng.random(shape) < 0.5,
        rng.uniform(0, shape[2] - 0.6, (*shape[:2], 3)),
        mode,
    )
    whole = tapvid_metrics(*arguments)
    for block in (1, 700, 2048):
        monkeypatch.setattr(tracks, "BLOCK", block)
        for name, values in tapvid_metrics(*arguments).items():
            np.testing.assert_array_equal(values, whole[name])


def test_a_point_exactly_at_a_threshold_is_not_within():
    for dtype in (np.float32, np.float64):
        target = np.zeros((1, 1, 6, 2), dtype) + np.array([100.3, 200.7], dtype)
        pred = target.copy()
        pred[0, 0, 1:, 0] = target[0, 0, 1:, 0] + np.array([1, 2, 4, 8, 16], dtype)
        with np.errstate(invalid="ignore"):
            exact = (pred - target)[0, 0, 1:, 0] ** 2
        seen = np.ones((1, 1, 6), bool)
        found = tapvid_metrics(pred, seen, target, seen, np.zeros((1, 1, 3)), "first")
        for px, squared in zip(tracks.THRESHOLDS, exact, strict=True):
            within = sum(bool(other < px**2) for other in exact)
            assert found[f"points_within_{px}"][0] == within / 5, (dtype, px, squared)


def test_a_state_without_predicted_visibility_defines_positions_only():
    predictions, targets = points(np.random.default_rng(0))
    state = PointTracks().empty().update("a", {"tracks": predictions["tracks"]}, targets)
    seen = PointTracks().empty().update("a", predictions, targets).compute()
    for name, value in state.compute().items():
        assert value == seen[name] if name.startswith("points_within") else np.isnan(value)
    assert state.left_out == ()


def test_nan_predictions_are_not_within_and_are_counted():
    _, targets = points(np.random.default_rng(0), n=2, t=5)
    targets |= {"visible": np.ones((2, 5), bool), "query_points": np.zeros((2, 3))}
    broken = targets["tracks"].copy()
    broken[0, 1], broken[1, 2, 0], broken[0, 0] = np.nan, np.inf, np.nan  # the last at a query frame
    state = PointTracks().empty().update("a", {"tracks": broken}, targets)
    assert state.counts() == {"nan_points": 2}
    assert state.compute()["points_within_16"] == 6 / 8


def test_videos_of_both_query_modes_stand_in_one_batch():
    rng = np.random.default_rng(1)
    items = [points(rng) for _ in range(4)]
    modes = np.array(["first", "strided", "strided", "first"])
    state = PointTracks().empty()
    for i, (predictions, targets) in enumerate(items):
        state = state.update(f"{i}", predictions, {**targets, "query_mode": str(modes[i])})
    batch = [
        {name: np.stack([item[k][name] for item in items]) for name in items[0][k] if name != "query_mode"}
        for k in (0, 1)
    ]
    assert PointTracks().empty().update_batch(list("0123"), batch[0], {**batch[1], "query_mode": modes}) == state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_mode": "last"}, "query_mode: expected 'first' or 'strided', got 'last'"),
        ({"query_points": np.full((3, 3), 6.0)}, "query_points: expected frames from 0 to 5, got 6.0"),
        ({"query_points": np.full((3, 3), np.nan)}, "query_points: expected frames from 0 to 5, got nan"),
        ({"query_points": np.zeros((2, 3))}, r"query_points: expected shape \(b=1, n=3, 3\), got \(1, 2, 3\)"),
        ({"visible": np.ones((3, 6))}, "target_visible: expected bool, got float64"),
        ({"tracks": np.zeros((3, 6, 3))}, r"target_tracks: expected shape \(b=1, n=3, t=6, 2\), got \(1, 3, 6, 3\)"),
        ({"tracks": np.full((3, 6, 2), np.nan), "visible": np.ones((3, 6), bool)}, "target_tracks: expected finite"),
    ],
)
def test_bad_targets_are_refused_with_the_samples_name(change, message):
    predictions, targets = points(np.random.default_rng(0))
    with pytest.raises(ValueError, match=f"sample 'clip': {message}"):
        PointTracks().empty().update("clip", predictions, {**targets, **change})


def test_hidden_targets_may_be_nan():
    predictions, targets = points(np.random.default_rng(3))
    state = PointTracks().empty().update("a", predictions, targets)
    blanked = np.where(targets["visible"][..., None], targets["tracks"], np.nan)
    assert PointTracks().empty().update("a", predictions, {**targets, "tracks": blanked}) == state


def test_the_raster_has_no_half_pixel_and_leaves_a_256_frame_alone():
    tracks_ = np.random.default_rng(0).uniform(0, 256, (3, 4, 2))
    np.testing.assert_array_equal(to_raster(tracks_, (256, 256)), tracks_)
    np.testing.assert_array_equal(to_raster(np.array([[100, 100]]), (400, 200)), [[128.0, 64.0]])
    assert to_raster(tracks_.astype(np.float32), (480, 640)).dtype == np.float32
    with pytest.raises(ValueError, match="frame_size: expected a positive"):
        to_raster(tracks_, (0, 256))
