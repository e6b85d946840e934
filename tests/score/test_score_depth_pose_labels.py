"""Depth, pose and labels: units, conventions and alignment, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from probe4d.errors import DataError, UsageError
from probe4d.scoring import score

METRES = {"quantity": "depth", "unit": "metre", "surface": "z"}
POSE = {"unit": "metre", "direction": "first_to_last", "axes": "opencv"}


def depth(values, **fields):
    return {"a": {"depth": np.asarray(values, dtype=float), **fields}}


def test_abs_rel_is_the_one_worked_out_by_hand():
    answer = score("depth", depth([[[1.5, 2.0, 3.0]]]), depth([[[1.0, 2.0, 4.0]]]), meta=METRES)
    assert answer.values["abs_rel"] == pytest.approx((0.5 / 1.000001 + 0 + 1 / 4.000001) / 3, rel=1e-12)
    # 3 and 4 m are 1.33 times apart, 1.5 and 1 m 1.5 times.
    assert answer.values["delta_1"] == pytest.approx(1 / 3)


def test_pixels_outside_the_valid_range_or_marked_invalid_do_not_count():
    target = [[[0.0, 10.0, 0.001, 5.0, np.nan, 2.0]]]
    valid = np.array([[[True, True, True, True, True, False]]])
    predicted = [[[9, 9, 9, 5.0, np.nan, np.inf]]]
    assert score("depth", depth(predicted), depth(target, valid=valid), meta=METRES).values["abs_rel"] == 0
    wide = {**METRES, "valid_range": [0.001, 20]}
    assert score("depth", depth(predicted), depth(target, valid=valid), meta=wide).values["abs_rel"] == pytest.approx(
        0.05
    )


def test_millimetres_are_metres():
    target = np.array([[[1000, 2500, 10000, 1, 9999]]], dtype=np.uint16)
    meta = {"quantity": "depth", "surface": "z", "predictions.unit": "metre", "targets.unit": "millimetre"}
    answer = score("depth", depth([[[1.0, 2.5, 7, 7, 9.999]]]), {"a": {"depth": target}}, meta=meta)
    assert answer.values["abs_rel"] == pytest.approx(0, abs=1e-12)


def test_a_scale_turns_stored_numbers_into_the_unit():
    target = np.array([[[256, 512]]], dtype=np.uint16)
    meta = {**METRES, "targets.scale": 1 / 256}
    assert score("depth", depth([[[1.0, 2.0]]]), {"a": {"depth": target}}, meta=meta).values["abs_rel"] == 0


@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5)])
def test_a_single_frame_needs_no_time_axis(shape):
    values = np.full(shape, 2.0)
    assert score("depth", depth(values), depth(values), meta=METRES).values["rmse"] == 0


def test_z_and_ray_depth_are_not_compared():
    stated = {**METRES, "targets.surface": "ray"}
    del stated["surface"]
    with pytest.raises(DataError, match="surface: expected 'ray'"):
        score("depth", depth([[[1.0]]]), depth([[[1.0]]]), meta={**stated, "predictions.surface": "z"})


@pytest.mark.parametrize("how", ["median", "scale"])
@pytest.mark.parametrize("per", ["clip", "frame"])
def test_a_scaled_prediction_is_perfect_once_aligned(how, per):
    random = np.random.default_rng(0)
    target = random.uniform(1, 5, (3, 6, 7))
    factors = np.array([2.0, 2, 2] if per == "clip" else [0.5, 2, 7])[:, None, None]
    answer = score("depth", depth(target * factors), depth(target), meta=METRES, align=how, align_per=per)
    assert answer.values[f"abs_rel@{how}/{per}"] == pytest.approx(0, abs=1e-12)
    assert "abs_rel" not in answer.values
    assert answer.settings["align"] == how


def test_a_scaled_and_shifted_prediction_is_perfect_once_aligned():
    target = np.random.default_rng(0).uniform(1, 5, (2, 6, 7))
    answer = score("depth", depth(0.3 * target + 4), depth(target), meta=METRES, align="scale_shift")
    assert answer.values["abs_rel@scale_shift/clip"] == pytest.approx(0, abs=1e-12)


def test_disparity_is_aligned_in_disparity_and_only_there():
    target = np.random.default_rng(0).uniform(1, 5, (2, 6, 7))
    stated = {"predictions.quantity": "disparity", "targets.quantity": "depth", "targets.unit": "metre", "surface": "z"}
    answer = score("depth", depth(3 / target + 0.2), depth(target), meta=stated, align="disparity")
    assert answer.values["abs_rel@disparity/clip"] == pytest.approx(0, abs=1e-12)
    with pytest.raises(UsageError, match="--align: expected disparity"):
        score("depth", depth(3 / target), depth(target), meta=stated)


def test_the_median_fit_is_the_ratio_of_medians_over_valid_pixels():
    target = np.array([[[1.0, 2.0, 4.0, 0.0]]])
    predicted = np.array([[[1.0, 1.0, 5.0, 99.0]]])  # median 1 of the valid ones: scale 2
    answer = score("depth", depth(predicted), depth(target), meta=METRES, align="median")
    errors = [abs(2 - 1) / 1.000001, 0, abs(10 - 4) / 4.000001]
    assert answer.values["abs_rel@median/clip"] == pytest.approx(sum(errors) / 3)


def test_a_constant_prediction_gets_the_best_constant():
    target = np.array([[[1.0, 3.0]]])
    answer = score("depth", depth([[[7.0, 7.0]]]), depth(target), meta=METRES, align="scale_shift")
    assert answer.values["rmse@scale_shift/clip"] == pytest.approx(1.0)
    with pytest.raises(DataError, match="can fit, got zeros or a constant"):
        score("depth", depth([[[0.0, 0.0]]]), depth(target), meta=METRES, align="median")


def test_a_clip_without_a_valid_pixel_is_left_out():
    predictions = {"a": {"depth": np.ones((1, 2, 2))}, "b": {"depth": np.ones((1, 2, 2))}}
    targets = {"a": {"depth": np.zeros((1, 2, 2))}, "b": {"depth": np.full((1, 2, 2), 2.0)}}
    answer = score("depth", predictions, targets, meta=METRES, align="none")
    assert [item.id for item in answer.left_out] == ["a"]
    assert answer.values["abs_rel"] == pytest.approx(0.5)


def turned(degrees, translation=(0.0, 0.0, 0.0)):
    a = np.deg2rad(degrees)
    rotation = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    return np.concatenate([rotation, np.array(translation)[:, None]], axis=1)


def pose(matrix):
    return {"a": {"pose": np.asarray(matrix)}}


def test_a_shift_of_one_metre_is_an_error_of_one_metre():
    answer = score("pose", pose(turned(0, (1, 0, 0))), pose(turned(0)), meta=POSE)
    assert answer.values["epe"] == pytest.approx(1)
    assert answer.values["translation_m"] == pytest.approx(1)
    assert answer.values["rotation_deg"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("form", ["3x4", "4x4", "12"])
def test_a_pose_may_be_written_in_three_forms(form):
    matrix = turned(30, (1, 2, 3))
    written = {"3x4": matrix, "4x4": np.vstack([matrix, [0, 0, 0, 1]]), "12": matrix.reshape(12)}[form]
    assert score("pose", pose(written), pose(matrix), meta=POSE).values["epe"] == pytest.approx(0, abs=1e-12)


def test_opengl_axes_are_turned_into_opencv_ones():
    flip = np.diag([1.0, -1, -1])
    matrix = turned(20, (0.3, -0.2, 0.5))
    opengl = flip @ np.concatenate([matrix[:, :3] @ flip, matrix[:, 3:]], axis=1)
    stated = {**POSE, "predictions.axes": "opengl", "targets.axes": "opencv"}
    del stated["axes"]
    assert score("pose", pose(opengl), pose(matrix), meta=stated).values["epe"] == pytest.approx(0, abs=1e-12)


def test_poses_of_the_other_direction_are_inverted_and_mixed_ones_refused():
    back = {**POSE, "direction": "last_to_first"}
    first = turned(20, (0.3, 0, 0.5))
    full = np.linalg.inv(np.vstack([first, [0, 0, 0, 1]]))[:3]
    moved = turned(25, (0.3, 0.1, 0.5))
    inverse = np.linalg.inv(np.vstack([moved, [0, 0, 0, 1]]))[:3]
    forwards = score("pose", pose(moved), pose(first), meta=POSE)
    backwards = score("pose", pose(inverse), pose(full), meta=back)
    assert backwards.values == pytest.approx(dict(forwards.values), abs=1e-9)
    mixed = {
        "unit": "metre",
        "axes": "opencv",
        "predictions.direction": "first_to_last",
        "targets.direction": "last_to_first",
    }
    with pytest.raises(DataError, match="direction: expected 'last_to_first'"):
        score("pose", pose(first), pose(full), meta=mixed)


def test_unscaled_poses_have_values_of_their_own():
    stated = {**POSE, "predictions.unit": "unscaled", "targets.unit": "metre"}
    del stated["unit"]
    answer = score("pose", pose(turned(0, (1, 0, 0))), pose(turned(0, (3, 0, 0))), meta=stated)
    assert set(answer.values) == {"epe_unscaled", "rotation_deg", "translation_unscaled"}
    aligned = score("pose", pose(turned(0, (1, 0, 0))), pose(turned(0, (3, 0, 0))), meta=stated, align="scale")
    assert aligned.values["epe_unscaled@scale"] == pytest.approx(0, abs=1e-12)


def test_projection_can_be_turned_off_and_the_largest_error_is_reported():
    loose = turned(10)
    loose[:, :3] *= 1.1
    on = score("pose", pose(loose), pose(turned(10)), meta=POSE)
    off = score("pose", pose(loose), pose(turned(10)), meta={**POSE, "project": "off"})
    assert on.values["epe"] == pytest.approx(0, abs=1e-9)
    assert off.values["epe"] > 0.5
    assert off.counts["largest_orthogonality_error"] > 0.1


def test_top1_and_top5_are_those_worked_out_by_hand():
    logits = {f"s{i}": {"logits": np.eye(8)[i]} for i in range(4)}
    logits["s3"]["logits"] = np.array([9, 8, 7, 0, 6, 5, 4, 3.0])
    targets = {f"s{i}": {"label": np.array(i)} for i in range(4)}
    targets["s2"]["label"] = np.array(0)
    answer = score("labels", logits, targets)
    assert (answer.values["top1"], answer.values["top5"]) == (0.5, 0.75)


def test_labels_alone_have_no_top5():
    predictions = {"a": {"label": np.array(1)}, "b": {"label": np.array(2)}}
    targets = {"a": {"label": np.array(1)}, "b": {"label": np.array(1)}, "c": {"label": np.array(1)}}
    answer = score("labels", predictions, targets, missing="worst")
    assert dict(answer.values) == {"top1": pytest.approx(1 / 3)}


def test_logits_with_nan_are_wrong_and_counted():
    predictions = {"a": {"logits": np.array([np.nan, 9.0])}, "b": {"logits": np.array([0, 9.0])}}
    targets = {name: {"label": np.array(1)} for name in "ab"}
    answer = score("labels", predictions, targets)
    assert answer.values["top1"] == 0.5
    assert answer.counts["nan_rows"] == 1


@pytest.mark.parametrize("classes", [3, ["cat", "dog", "cow"]])
def test_stated_classes_are_held_to(classes):
    targets = {"a": {"label": np.array(2)}}
    right = {"a": {"logits": np.array([0, 1, 2.0])}}
    assert score("labels", right, targets, meta={"classes": classes}).values["top1"] == 1
    with pytest.raises(DataError, match=r"expected 3, as meta\.classes says, got 2"):
        score("labels", {"a": {"logits": np.zeros(2)}}, targets, meta={"classes": classes})
    with pytest.raises(DataError, match="a class from 0 to 2, got 5"):
        score("labels", {"a": {"label": np.array(5)}}, targets, meta={"classes": classes})
    mixed = {"predictions.classes": ["cat", "cow", "dog"], "targets.classes": classes}
    if classes != 3:
        with pytest.raises(DataError, match="got others"):
            score("labels", right, targets, meta=mixed)
