"""Every loss against plain numpy loops written from the protocol, and what masks have to keep out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from probe4d_readouts.losses import cross_entropy, huber, sigmoid_cross_entropy


def sigmoid(x):
    return 1 / (1 + np.exp(-np.float64(x)))


def binary(logit, target):
    return -np.log(sigmoid(logit)) if target else -np.log(1 - sigmoid(logit))


def numpy_labels(out, batch):
    terms = [-np.log(np.exp(row[label]) / np.exp(row).sum()) for row, label in zip(out, batch["label"], strict=True)]
    return {"cross_entropy": np.mean(terms)}


def numpy_pose(out, batch):
    return {"l2": np.mean([(a - b) ** 2 for a, b in zip(out.ravel(), batch["pose"].ravel(), strict=True)])}


def numpy_depth(out, batch):
    errors = []
    for value, depth, valid in zip(out.ravel(), batch["depth"].ravel(), batch["valid"].ravel(), strict=True):
        if valid and 0.001 < depth < 10:
            errors.append((value - depth) ** 2)
    return {"l2": np.mean(errors)}


def numpy_boxes(out, batch):
    errors = []
    for b, n, t in np.ndindex(batch["present"].shape):
        if batch["mask"][b, n] and batch["present"][b, n, t]:
            errors += [(out[b, n, t, i] - batch["boxes"][b, n, t, i]) ** 2 for i in range(4)]
    return {"box": np.mean(errors)}


def numpy_points(out, batch):
    position, visible, certainty = [], [], []
    for b, n, t in np.ndindex(batch["visible"].shape):
        if not batch["mask"][b, n]:
            continue
        visible.append(binary(out["visible"][b, n, t], batch["visible"][b, n, t]))
        if not batch["visible"][b, n, t]:
            continue
        height, width = batch["frame_size"][b]
        dx = out["position"][b, n, t, 0] - batch["tracks"][b, n, t, 0] / width
        dy = out["position"][b, n, t, 1] - batch["tracks"][b, n, t, 1] / height
        length, delta = np.hypot(dx, dy), 4 / 256
        position.append(length**2 / 2 if length <= delta else delta * (length - delta / 2))
        certainty.append(binary(out["certainty"][b, n, t], length * 256 <= 6))
    return {"position": np.mean(position), "visible": np.mean(visible), "certainty": np.mean(certainty)}


NUMPY = {
    "labels": numpy_labels,
    "pose": numpy_pose,
    "points": numpy_points,
    "depth": numpy_depth,
    "boxes": numpy_boxes,
}
COEFFICIENTS = {"position": 100.0, "visible": 0.1, "certainty": 0.1}


def outputs_like(kind, readout, batch):
    """Return random outputs; for points, some within 6 px and within the Huber delta of the target."""
    rng = np.random.default_rng(7)
    params_free = {
        "labels": lambda: rng.normal(size=(4, 5)),
        "pose": lambda: rng.normal(size=(4, 3, 4)),
        "depth": lambda: rng.uniform(0, 10, batch["depth"].shape),
        "boxes": lambda: rng.random(batch["boxes"].shape),
    }
    if kind != "points":
        return params_free[kind]().astype(np.float32)
    near = np.nan_to_num(batch["tracks"]) / batch["frame_size"][:, None, None, ::-1]
    shift = rng.normal(size=near.shape) * rng.choice([0.003, 0.02, 0.3], near.shape[:-1])[..., None]
    logits = rng.normal(size=(2, *near.shape[:-1])).astype(np.float32)
    return {"position": (near + shift).astype(np.float32), "visible": logits[0], "certainty": logits[1]}


def test_the_loss_is_the_protocols_in_numpy(make, compiled, kind):
    readout, _, batch = make(kind)
    outputs = outputs_like(kind, readout, batch)
    loss, terms = compiled(readout.loss)(outputs, batch)
    expected = NUMPY[kind](outputs, batch)
    assert set(terms) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=2e-6)
    np.testing.assert_allclose(loss, sum(COEFFICIENTS.get(name, 1) * terms[name] for name in terms), rtol=1e-6)


def test_the_example_reaches_both_sides_of_every_threshold(make):
    _, _, batch = make("points")
    outputs = outputs_like("points", None, batch)
    on = batch["visible"] & batch["mask"][..., None]
    error = outputs["position"] - batch["tracks"] / batch["frame_size"][:, None, None, ::-1]
    length = np.linalg.norm(error, axis=-1)[on] * 256
    assert (length < 4).any()
    assert ((length > 4) & (length < 6)).any()
    assert (length > 6).any()


def test_what_a_mask_hides_changes_neither_loss_nor_gradient(make, compiled, kind):
    readout, _, batch = make(kind)
    outputs = outputs_like(kind, readout, batch)
    clean = {
        name: np.nan_to_num(value, posinf=3.0) if value.dtype.kind == "f" else value for name, value in batch.items()
    }
    if kind == "depth":
        clean["depth"] = np.where(batch["valid"], batch["depth"], 5.0)
    differentiate = compiled(jax.value_and_grad(lambda outputs, batch: readout.loss(outputs, batch)[0]))
    for got, expected in zip(
        jax.tree.leaves(differentiate(outputs, batch)), jax.tree.leaves(differentiate(outputs, clean)), strict=True
    ):
        assert np.isfinite(got).all()
        np.testing.assert_array_equal(got, expected)


def test_a_sample_that_is_padding_counts_nowhere(make, start, compiled, kind):
    readout, features, batch = make(kind)
    for value in batch.values():
        value[3] = np.nan if value.dtype.kind == "f" else 0  # frame_size too: no division by its zero may show
    features[3] = 1e3
    batch["sample_mask"] = np.arange(4) < 3

    def differentiate(params, features):
        outputs = readout.apply(params, features, batch)
        loss, terms = readout.loss(outputs, batch)
        return loss, (terms, outputs)

    gradient = compiled(jax.value_and_grad(differentiate, argnums=(0, 1), has_aux=True))
    (_, (terms, outputs)), (d_params, d_features) = gradient(start(kind), features)
    first = jax.tree.map(lambda x: np.asarray(x)[:3], (outputs, batch))
    for name, value in NUMPY[kind](*first).items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5)
    assert (d_features[3] == 0).all()
    assert (d_features[:3] != 0).any()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(d_params))


@pytest.mark.parametrize("name", ["points", "depth", "boxes"])
def test_a_batch_with_nothing_to_learn_from_has_loss_zero_and_no_gradient(make, compiled, name):
    readout, _, batch = make(name)
    outputs = outputs_like(name, readout, batch)
    for mask in ("mask", "valid"):
        if mask in batch:
            batch[mask] = np.zeros_like(batch[mask])
    loss, grad = compiled(jax.value_and_grad(lambda outputs: readout.loss(outputs, batch)[0]))(outputs)
    assert loss == 0
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(grad))


def test_an_error_of_zero_has_a_finite_gradient_under_huber(make, compiled):
    readout, _, batch = make("points")
    outputs = outputs_like("points", readout, batch)
    scale = batch["frame_size"][:, None, None, ::-1].astype(np.float32)
    outputs["position"] = np.nan_to_num(batch["tracks"]) / scale
    grad = compiled(jax.grad(lambda outputs: readout.loss(outputs, batch)[0]))(outputs)
    assert np.isfinite(grad["position"]).all()


def test_elementwise_losses_have_the_gradients_of_finite_differences():
    rng = np.random.default_rng(0)
    error = jnp.asarray(rng.normal(size=(6, 2)), jnp.float32)
    check_grads(lambda x: huber(x, 1.0), (error,), order=1, modes=["rev"], eps=1e-2)
    logits = jnp.asarray(rng.normal(size=6), jnp.float32)
    check_grads(lambda x: sigmoid_cross_entropy(x, jnp.asarray([0, 1, 0, 1, 1, 0.0])), (logits,), 1, ["rev"], eps=1e-2)
    rows = jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)
    check_grads(lambda x: cross_entropy(x, jnp.asarray([0, 3, 1])), (rows,), order=1, modes=["rev"], eps=1e-2)


def test_cross_entropies_stay_finite_at_extreme_logits():
    logits = jnp.asarray([-1e4, 1e4], jnp.float32)
    np.testing.assert_allclose(sigmoid_cross_entropy(logits, jnp.asarray([1.0, 0.0])), [1e4, 1e4])
    np.testing.assert_allclose(cross_entropy(logits[None], jnp.asarray([0])), [2e4])
    assert np.isfinite(jax.grad(lambda x: sigmoid_cross_entropy(x, 1.0).sum())(logits)).all()


def test_certainty_is_a_target_and_not_a_way_to_move_the_point(make, compiled):
    readout, _, batch = make("points", position_weight=0.0, visible_weight=0.0)
    outputs = outputs_like("points", readout, batch)
    grad = compiled(jax.grad(lambda outputs: readout.loss(outputs, batch)[0]))(outputs)
    assert (grad["position"] == 0).all()
    assert (grad["certainty"] != 0).any()


def test_huber_delta_of_one_is_plain_half_squares_here(make, compiled):
    readout, _, batch = make("points", huber_delta=1.0)
    outputs = outputs_like("points", readout, batch)
    on = batch["visible"] & batch["mask"][..., None]
    error = (outputs["position"] - batch["tracks"] / batch["frame_size"][:, None, None, ::-1])[on]
    assert np.linalg.norm(error, axis=-1).max() < 1
    expected = 0.5 * np.square(error).sum(-1).mean()
    np.testing.assert_allclose(compiled(readout.loss)(outputs, batch)[1]["position"], expected, rtol=1e-5)


def test_huber_of_each_coordinate_is_an_option(make, compiled):
    readout, _, batch = make("points", huber_norm="coordinate")
    outputs = outputs_like("points", readout, batch)
    on = batch["visible"] & batch["mask"][..., None]
    size = np.abs(outputs["position"] - batch["tracks"] / batch["frame_size"][:, None, None, ::-1])[on]
    delta = 4 / 256
    expected = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2)).sum(-1).mean()
    np.testing.assert_allclose(compiled(readout.loss)(outputs, batch)[1]["position"], expected, rtol=1e-5)


def test_l1_of_boxes_is_an_option(make, compiled):
    readout, _, batch = make("boxes", loss="l1")
    outputs = outputs_like("boxes", readout, batch)
    on = batch["present"] & batch["mask"][..., None]
    expected = np.abs(outputs - batch["boxes"])[on].mean()
    np.testing.assert_allclose(compiled(readout.loss)(outputs, batch)[0], expected, rtol=1e-5)
