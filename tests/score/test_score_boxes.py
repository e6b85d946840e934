"""Boxes: orders, units, association, and what counts as no overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from probe4d.errors import DataError, UsageError
from probe4d.scoring import score
from probe4d.scoring.matching import assign, first_overlap, pairwise_iou

YXYX = {"order": "yxyx", "coords": "normalized"}


def boxes(values, **fields):
    return {"a": {"boxes": np.asarray(values, dtype=float), **fields}}


def moving(rows=3, frames=4, seed=0):
    random = np.random.default_rng(seed)
    low = random.uniform(0, 0.5, (rows, frames, 2))
    return np.concatenate([low, low + random.uniform(0.2, 0.4, (rows, frames, 2))], axis=-1)


def test_the_values_are_those_worked_out_by_hand():
    target = [[[0, 0, 0.2, 0.2]] * 3]
    predicted = [[[0.9, 0.9, 1, 1], [0, 0, 0.2, 0.2], [0, 0.1, 0.2, 0.3]]]  # skipped; 1; half over: 1/3
    answer = score("boxes", boxes(predicted), boxes(target), meta=YXYX, match="rows")
    assert answer.values["mean_iou"] == pytest.approx((1 + 1 / 3) / 2)
    every = score("boxes", boxes(predicted), boxes(target), meta={**YXYX, "skip_first_frame": False}, match="rows")
    assert every.values["mean_iou"] == pytest.approx((0 + 1 + 1 / 3) / 3)


@pytest.mark.parametrize("order", ["xyxy", "yxyx", "xywh", "cxcywh"])
@pytest.mark.parametrize("coords", ["normalized", "pixels"])
def test_a_prediction_in_any_convention_is_the_same_prediction(order, coords):
    target = moving()
    y0, x0, y1, x1 = np.moveaxis(target * (np.array([90, 160, 90, 160]) if coords == "pixels" else 1), -1, 0)
    written = {
        "xyxy": (x0, y0, x1, y1),
        "yxyx": (y0, x0, y1, x1),
        "xywh": (x0, y0, x1 - x0, y1 - y0),
        "cxcywh": ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0),
    }[order]
    meta = {f"targets.{key}": value for key, value in YXYX.items()}
    meta |= {"predictions.order": order, "predictions.coords": coords, "predictions.frame_size": [90, 160]}
    answer = score("boxes", boxes(np.stack(written, -1)), boxes(target), meta=meta, match="rows")
    assert answer.values["mean_iou"] == pytest.approx(1)


def test_association_is_stated_never_assumed():
    with pytest.raises(UsageError, match="--match: expected one of rows, ids, first-overlap"):
        score("boxes", boxes(moving()), boxes(moving()), meta=YXYX)


def test_ids_match_rows_in_any_order_and_a_target_without_one_counts_zero():
    target = moving()
    order = [2, 0]
    predictions = boxes(target[order], track_ids=np.array([30, 10]))
    answer = score("boxes", predictions, boxes(target, track_ids=np.array([10, 20, 30])), meta=YXYX, match="ids")
    assert answer.values["mean_iou"] == pytest.approx(2 / 3)
    assert answer.counts["absent_boxes"] == 3  # one target over three frames
    with pytest.raises(DataError, match="predictions: sample 'a': track_ids: expected ids"):
        score("boxes", boxes(target), boxes(target, track_ids=np.arange(3)), meta=YXYX, match="ids")


def test_first_overlap_finds_the_targets_whatever_the_rows():
    target = moving(4, 5)
    extra = moving(2, 5, seed=9) + 5  # far from everything
    predictions = boxes(np.concatenate([extra, target[[2, 0, 3, 1]]]))
    answer = score("boxes", predictions, boxes(target), meta=YXYX, match="first-overlap")
    assert answer.values["mean_iou"] == pytest.approx(1)
    assert answer.settings["match"] == "first-overlap"


def test_absent_and_inverted_boxes_count_zero_and_are_counted():
    target = moving(2, 3)
    predicted = target.copy()
    present = np.ones((2, 3), bool)
    present[0, 1] = False
    predicted[0, 1] = np.nan  # where there is no box the numbers mean nothing
    predicted[1, 2] = predicted[1, 2, [2, 3, 0, 1]]
    answer = score("boxes", boxes(predicted, present=present), boxes(target), meta=YXYX, match="rows")
    assert answer.values["mean_iou"] == pytest.approx(2 / 4)
    assert (answer.counts["absent_boxes"], answer.counts["broken_boxes"]) == (1, 1)


def test_frames_in_which_the_target_is_absent_do_not_count():
    target, present = moving(1, 4), np.array([[True, True, False, True]])
    wrong = target.copy()
    wrong[0, 2] += 3
    answer = score("boxes", boxes(wrong), boxes(target, present=present), meta=YXYX, match="rows")
    assert answer.values["mean_iou"] == pytest.approx(1)


def test_a_frame_that_the_predictions_lack_has_no_box():
    target = moving(1, 4)
    predictions = boxes(target[:, :2], frame_ids=np.array([0, 1]))
    answer = score("boxes", predictions, boxes(target), meta=YXYX, match="rows")
    assert answer.values["mean_iou"] == pytest.approx(1 / 3)


def test_pixels_of_the_same_image_need_no_size_but_pixels_beside_normalized_boxes_do():
    target = moving() * 100
    same = {"order": "yxyx", "coords": "pixels", "frame_size": "same"}
    assert score("boxes", boxes(target), boxes(target), meta=same, match="rows").values["mean_iou"] == pytest.approx(1)
    mixed = {
        "order": "yxyx",
        "predictions.coords": "pixels",
        "predictions.frame_size": "same",
        "targets.coords": "normalized",
    }
    with pytest.raises(DataError, match="frame_size of numbers beside normalized boxes"):
        score("boxes", boxes(target), boxes(target / 100), meta=mixed, match="rows")


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**31), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_assignment_has_the_largest_total(rows, columns, seed, ties):
    random = np.random.default_rng(seed)
    weights = random.integers(0, 4, (rows, columns)) / 4 if ties else random.random((rows, columns))
    chosen = assign(weights)
    given_ = chosen[chosen >= 0]
    assert len(given_) == min(rows, columns) == len(set(given_.tolist()))
    total = sum(weights[row, column] for row, column in enumerate(chosen) if column >= 0)
    best = weights[linear_sum_assignment(weights, maximize=True)].sum()
    assert total == pytest.approx(best, abs=1e-12)


def test_nothing_is_assigned_where_a_side_is_empty():
    assert assign(np.zeros((3, 0))).tolist() == [-1, -1, -1]
    assert assign(np.zeros((0, 3))).tolist() == []
    none = np.zeros((0, 2, 4)), np.zeros((0, 2), bool)
    some = moving(2, 2), np.ones((2, 2), bool)
    assert first_overlap(*none, *some).tolist() == [-1, -1]
    assert first_overlap(*some, *none).tolist() == []


def test_one_prediction_is_never_given_to_two_targets():
    target = np.array([[[0, 0, 1, 1.0]], [[0, 0, 1, 0.9]]])
    predicted = np.array([[[0, 0, 1, 0.95]]])
    ones = np.ones((2, 1), bool)
    # 0.95 of the first target, 0.9 / 0.95 of the second: the first has it.
    assert first_overlap(predicted, ones[:1], target, ones).tolist() == [0, -1]


def test_inverted_empty_and_nan_boxes_overlap_nothing():
    odd = np.array([[0.5, 0.5, 0.1, 0.1], [0.2, 0.2, 0.2, 0.4], [np.nan] * 4])
    assert not pairwise_iou(odd, np.array([[0, 0, 1, 1.0]])).any()
