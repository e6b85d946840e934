"""Boxes: IoU by exact fractions, absent and broken boxes, pooled and nested means, success."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.metric_cases import boxes, boxes_of, samples
from probe4d_metrics import BoxIoU, box_iou, pairwise_iou


def exact_iou(one, other):
    """IoU of two boxes as a fraction; 0 for a pair without area."""
    a, b = ([Fraction(float(edge)) for edge in box] for box in (one, other))
    height = max(Fraction(0), min(a[2], b[2]) - max(a[0], b[0]))
    width = max(Fraction(0), min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - height * width
    return height * width / union if union else Fraction(0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_iou_agrees_with_exact_fractions(seed):
    rng = np.random.default_rng(seed)
    pred, target = boxes_of(rng, 9), boxes_of(rng, 9)
    target[:3] = pred[:3]
    target[3, 2:] = target[3, :2]  # no area
    for found, one, other in zip(box_iou(pred, target), pred, target, strict=True):
        assert found == pytest.approx(float(exact_iou(one, other)), rel=1e-12)
    assert box_iou(pred, target)[:3].tolist() == [1.0, 1.0, 1.0]


def test_scaling_an_axis_by_a_power_of_two_changes_no_bit():
    rng = np.random.default_rng(0)
    pred, target = boxes_of(rng, 50), boxes_of(rng, 50)
    scale = np.array([256, 1024, 256, 1024])
    np.testing.assert_array_equal(box_iou(pred * scale, target * scale), box_iou(pred, target))

    rng = np.random.default_rng(0)
    pred, target = boxes_of(rng, 70), boxes_of(rng, 300)
    found = pairwise_iou(pred, target)
    rows = box_iou(np.repeat(pred, 300, axis=0), np.tile(target, (70, 1)))
    np.testing.assert_array_equal(found.ravel(), rows)
    assert pairwise_iou(pred, target[:0]).shape == (70, 0)


@pytest.mark.parametrize(
    "broken",
    [
        [0.6, 0.1, 0.2, 0.5],
        [0.1, 0.6, 0.5, 0.2],
        [0.6, 0.6, 0.2, 0.2],
        [np.nan, 0, 1, 1],
        [-np.inf, -np.inf, np.inf, np.inf],
    ],
)
def test_a_broken_prediction_has_iou_0_and_is_counted(broken):
    target = np.array([[[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5]]])
    pred = target.copy()
    pred[0, 1] = broken
    assert box_iou(pred, target)[0, 1] == 0
    state = BoxIoU().empty().update("a", {"boxes": pred}, {"boxes": target})
    assert state.compute()["mean_iou"] == 0.5
    assert state.counts() == {"absent_boxes": 0, "broken_boxes": 1}


def test_an_absent_prediction_has_iou_0_and_is_counted_only_where_the_target_is_present():
    target = np.tile([0.1, 0.1, 0.5, 0.5], (2, 4, 1))
    present = np.array([[True, True, True, False], [True, True, True, True]])
    predicted = np.array([[False, False, True, False], [True, True, True, True]])
    state = BoxIoU().empty().update("a", {"boxes": target, "present": predicted}, {"boxes": target, "present": present})
    assert state.compute()["mean_iou"] == 4 / 5
    assert state.counts() == {"absent_boxes": 1, "broken_boxes": 0}


def test_the_first_frame_is_excluded_unless_asked_for():
    target = np.tile([0.0, 0.0, 0.5, 0.5], (1, 3, 1))
    pred = target.copy()
    pred[:, 0] = [0.5, 0.5, 1.0, 1.0]
    assert BoxIoU().empty().update("a", {"boxes": pred}, {"boxes": target}).compute()["mean_iou"] == 1
    state = BoxIoU(skip_first_frame=False).empty().update("a", {"boxes": pred}, {"boxes": target})
    assert state.compute()["mean_iou"] == pytest.approx(2 / 3)


def test_the_pooled_mean_weighs_boxes_and_the_nested_one_clips():
    metric, found = samples("boxes", 3, 8)
    state, pooled, nested = metric.empty(), [], []
    for sample_id, predictions, targets in found:
        state = state.update(sample_id, predictions, targets)
        own = [
            float(exact_iou(predictions["boxes"][i, f], targets["boxes"][i, f])) * predictions["present"][i, f]
            for i, f in np.argwhere(targets["present"])
            if f > 0
        ]
        pooled += own
        nested += [np.mean(own)] if own else []
    values = state.compute()
    assert values["mean_iou"] == pytest.approx(np.mean(pooled), rel=1e-12)
    assert values["mean_iou_nested"] == pytest.approx(np.mean(nested), rel=1e-12)
    success = [np.mean([iou > k / 20 for iou in pooled]) for k in range(21)]
    assert values["success_auc"] == pytest.approx(np.mean(success), rel=1e-12)
    assert state.left_out == (("clip 003", "no target box is present after the first frame"),)


def test_success_needs_more_than_the_threshold_so_that_the_best_is_20_of_21():
    target = np.tile([0.0, 0.0, 1.0, 1.0], (1, 2, 1))
    half = np.tile([0.0, 0.0, 0.5, 1.0], (1, 2, 1))
    for pred, expected in ((target, 20 / 21), (half, 10 / 21)):
        assert BoxIoU().empty().update("a", {"boxes": pred}, {"boxes": target}).compute()["success_auc"] == expected


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), more=st.integers(1, 20))
def test_padding_rows_and_frames_change_no_bit(seed, more):
    rng = np.random.default_rng(seed)
    predictions, targets = boxes(rng)
    state = BoxIoU().empty().update("a", predictions, targets)
    pad = ((0, more), (0, more))
    padded = [
        {
            "boxes": np.pad(side["boxes"], (*pad, (0, 0)), constant_values=rng.choice([np.nan, np.inf, 7.0])),
            "present": np.pad(side["present"], pad, constant_values=fill),
        }
        for side, fill in ((predictions, True), (targets, False))
    ]
    assert BoxIoU().empty().update("a", *padded) == state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": np.full((3, 4, 4), np.nan)}, "targets.boxes: expected finite boxes"),
        ({"boxes": np.tile([0.5, 0, 0.1, 1], (3, 4, 1))}, "targets.boxes: expected finite boxes with ymin <= ymax"),
        ({"boxes": np.zeros((3, 4, 5))}, r"target_boxes: expected shape \(b=1, n=3, t=4, 4\), got \(1, 3, 4, 5\)"),
        ({"present": np.ones((3, 4))}, "targets.present: expected bool"),
        ({"present": np.ones((3, 3), bool)}, r"targets.present: expected bool of shape \(1, 3, 4\)"),
    ],
)
def test_bad_targets_are_refused_with_the_samples_name(change, message):
    predictions, targets = boxes(np.random.default_rng(0))
    with pytest.raises(ValueError, match=f"sample 'clip': {message}"):
        BoxIoU().empty().update("clip", predictions, {**targets, **change})


def test_boxes_of_two_shapes_are_refused():
    with pytest.raises(
        ValueError, match=r"boxes: expected two arrays of one shape \(..., 4\), got \(2, 4\) and \(3, 4\)"
    ):
        box_iou(np.zeros((2, 4)), np.zeros((3, 4)))
