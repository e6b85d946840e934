"""Poses: the reference's end-point errors, angles near their ends, and the projection to SO(3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from metrics.metric_cases import one_by_one, pose, rotation, samples
from probe4d_metrics import CUBE_CORNERS, PoseError, end_point_error, project_so3, rotation_angle

GOLDENS = Path(__file__).parent / "goldens"


def test_end_point_errors_are_the_references():
    with np.load(GOLDENS / "metric_epe.npz") as file:
        pred, target, expected, mean = (file[name] for name in ("preds", "targets", "epe_per_pose", "epe_mean"))
        assert sorted(map(tuple, file["cube_points"].T)) == sorted(map(tuple, CUBE_CORNERS))
    assert end_point_error(pred, target) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    state = PoseError(project=False).empty()
    state = state.update_batch([f"{i}" for i in range(6)], {"pose": pred}, {"pose": target})
    assert state.compute()["epe"] == pytest.approx(float(mean), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 30))
def test_end_point_errors_agree_with_corners_carried_one_by_one(seed, count):
    rng = np.random.default_rng(seed)
    pred, target = rng.normal(size=(2, count, 3, 4))
    for i, found in enumerate(end_point_error(pred, target)):
        ends = [
            [pose_[:, :3] @ np.array([x, y, z]) + pose_[:, 3] for x in (-5, 5) for y in (-5, 5) for z in (0, 10)]
            for pose_ in (pred[i], target[i])
        ]
        distances = [np.linalg.norm(a - b) for a, b in zip(*ends, strict=True)]
        assert found == pytest.approx(np.mean(distances), rel=1e-12)


def test_a_shift_moves_every_corner_by_itself_and_a_half_turn_by_the_diagonal():
    still = np.eye(3, 4)[None]
    shifted = still + np.array([[[0, 0, 0, 2.0], [0, 0, 0, 3.0], [0, 0, 0, 6.0]]])
    assert end_point_error(shifted, still) == pytest.approx([7.0], rel=1e-15)
    turned = np.diag([-1.0, -1.0, 1.0]) @ still
    assert end_point_error(turned, still) == pytest.approx([10 * np.sqrt(2)], rel=1e-15)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_projection_is_a_rotation_that_no_other_is_nearer_than(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(1, 3, 3))
    found, off = project_so3(matrix)
    assert found[0].T @ found[0] == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(found[0]) == pytest.approx(1)
    assert off[0] == pytest.approx(np.abs(matrix[0].T @ matrix[0] - np.eye(3)).max())
    nearest = np.linalg.norm(found[0] - matrix[0])
    for _ in range(20):
        assert np.linalg.norm(rotation(rng) - matrix[0]) >= nearest - 1e-12
        step = Rotation.from_rotvec(rng.normal(0, 1e-3, 3)).as_matrix()
        assert np.linalg.norm(step @ found[0] - matrix[0]) >= nearest - 1e-12


def test_a_rotation_is_its_own_projection_and_a_reflection_is_not():
    turn = rotation(np.random.default_rng(0))[None]
    assert project_so3(turn)[0] == pytest.approx(turn, abs=1e-14)
    assert np.linalg.det(project_so3(-turn)[0]) == pytest.approx([1.0])


@pytest.mark.parametrize("degrees", [0.0, 1e-7, 1e-3, 30.0, 90.0, 179.9, 179.9999999, 180.0])
def test_angles_are_accurate_near_0_and_near_180_degrees(degrees):
    rng = np.random.default_rng(1)
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    base = rotation(rng)
    assert rotation_angle((base @ turn)[None], base[None]) == pytest.approx([degrees], rel=1e-9, abs=2e-13 * 180)


def test_the_metric_means_end_points_and_takes_medians_of_the_rest():
    metric, found = samples("pose", 0, 7)
    state = one_by_one(metric, found)
    rows = list(state.per_sample().values())
    values = state.compute()
    assert values["epe"] == pytest.approx(np.mean([row["epe"] for row in rows]))
    for name in ("rotation_deg", "translation_m"):
        assert values[name] == np.median([row[name] for row in rows])
    predictions, targets = found[0][1:]
    shift = predictions["pose"][:, 3] - targets["pose"][:, 3]
    assert rows[0]["translation_m"] == pytest.approx(np.linalg.norm(shift))
    projected = project_so3(predictions["pose"][None, :, :3])[0]
    expected = Rotation.from_matrix(projected[0]) * Rotation.from_matrix(targets["pose"][:, :3]).inv()
    assert rows[0]["rotation_deg"] == pytest.approx(np.degrees(expected.magnitude()))


def test_projecting_is_an_option_and_the_largest_error_is_reported():
    _, targets = pose(np.random.default_rng(0))
    scaled = {"pose": np.concatenate([2 * targets["pose"][:, :3], targets["pose"][:, 3:]], axis=1)}
    on, off = (PoseError(project=project).empty().update("a", scaled, targets) for project in (True, False))
    assert on.compute()["epe"] == pytest.approx(0, abs=1e-12)
    assert off.compute()["epe"] == pytest.approx(end_point_error(scaled["pose"][None], targets["pose"][None])[0])
    assert on.counts() == off.counts() == {"largest_orthogonality_error": pytest.approx(3.0)}
    with pytest.raises(ValueError, match="project=True"):
        on.merge(off)


@pytest.mark.parametrize("side", ["predictions", "targets"])
def test_a_pose_that_is_not_finite_or_of_another_shape_is_refused(side):
    for value, message in ((np.full((3, 4), np.nan), f"{side}.pose: expected finite"), (np.eye(4), "expected shape")):
        good = {"predictions": {"pose": np.eye(3, 4)}, "targets": {"pose": np.eye(3, 4)}}
        good[side] = {"pose": value}
        with pytest.raises(ValueError, match=f"sample 'clip': .*{message}"):
            PoseError().empty().update("clip", **good)


def test_float32_poses_are_computed_in_float64():
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(2, 4, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        end_point_error(pred, target), end_point_error(pred.astype(np.float64), target.astype(np.float64))
    )
