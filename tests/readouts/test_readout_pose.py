"""The nearest rotation, its derivative, and where the pose readout uses it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import polar
from scipy.spatial.transform import Rotation

from probe4d_readouts.rotations import nearest_rotation


@pytest.fixture
def matrices():
    rng = np.random.default_rng(0)
    near = Rotation.random(4, random_state=0).as_matrix() + 0.1 * rng.normal(size=(4, 3, 3))
    return np.concatenate([near, rng.normal(size=(6, 3, 3))]).astype(np.float32)


def test_the_nearest_rotation_is_one_and_none_of_a_thousand_others_is_nearer(matrices):
    rotations = np.asarray(nearest_rotation(matrices))
    np.testing.assert_allclose(rotations @ rotations.swapaxes(1, 2), np.tile(np.eye(3), (10, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-5)
    distance = np.linalg.norm(matrices - rotations, axis=(1, 2))
    turns = Rotation.random(1000, random_state=1).as_matrix()
    small = Rotation.from_rotvec(0.05 * np.random.default_rng(1).normal(size=(1000, 3))).as_matrix()
    for matrix, rotation, best in zip(matrices, rotations, distance, strict=True):
        assert np.linalg.norm(matrix - turns, axis=(1, 2)).min() >= best
        assert np.linalg.norm(matrix - small @ rotation, axis=(1, 2)).min() >= best - 1e-5


def test_without_reflection_it_is_the_polar_factor(matrices):
    for matrix in matrices[np.linalg.det(matrices) > 0]:
        np.testing.assert_allclose(nearest_rotation(matrix), polar(matrix.astype(np.float64))[0], atol=2e-5)


def test_its_derivative_is_that_of_finite_differences(matrices):
    direction = np.random.default_rng(2).normal(size=matrices.shape).astype(np.float32)
    _, tangent = jax.jvp(nearest_rotation, (jnp.asarray(matrices),), (jnp.asarray(direction),))
    step = 1e-3
    numeric = (nearest_rotation(matrices + step * direction) - nearest_rotation(matrices - step * direction)) / (
        2 * step
    )
    np.testing.assert_allclose(tangent, numeric, rtol=2e-2, atol=5e-3)


def test_its_gradient_is_finite_at_a_rotation_where_that_of_an_svd_is_not():
    grad = jax.grad(lambda m: nearest_rotation(m)[0, 1])(jnp.eye(3))
    expected = np.zeros((3, 3))
    expected[0, 1], expected[1, 0] = 0.5, -0.5
    np.testing.assert_allclose(grad, expected, atol=1e-6)


def test_the_loss_is_on_the_raw_matrix_unless_told_otherwise(make):
    raw, _, batch = make("pose")
    projecting = make("pose", project_in_loss=True)[0]
    rotation = Rotation.random(4, random_state=3).as_matrix()
    batch["pose"][..., :3] = rotation
    outputs = batch["pose"].copy()
    outputs[..., :3] *= 2  # twice a rotation projects to it
    np.testing.assert_allclose(raw.loss(outputs, batch)[0], np.square(rotation).sum((1, 2)).mean() / 12, rtol=1e-5)
    assert projecting.loss(outputs, batch)[0] < 1e-10


def test_the_decoded_pose_is_raw_unless_told_otherwise(make):
    raw, _, batch = make("pose")
    projecting = make("pose", project_decoded=True)[0]
    outputs = jnp.asarray(batch["pose"])
    np.testing.assert_array_equal(raw.decode(outputs, batch)["pose"], outputs)
    projected = projecting.decode(outputs, batch)["pose"]
    np.testing.assert_array_equal(projected[..., 3], outputs[..., 3])
    np.testing.assert_allclose(projected[..., :3], nearest_rotation(outputs[..., :3]), atol=1e-6)
