"""The sweep trained in one pass is every member trained alone."""

from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs jax: probes are trained with it")
optax = pytest.importorskip("optax", reason="needs optax")

from probe4d.errors import UsageError  # noqa: E402 - after the skips
from probe4d.registry import find, make  # noqa: E402
from probe4d_runners.jax.optimizer import apply_updates, learning_rate, make_optimizer  # noqa: E402
from probe4d_runners.probing.sweep import Member, train_sweep  # noqa: E402
from probe4d_runners.protocols import FrozenProtocol  # noqa: E402


def batches(layers: int, classes: int = 3):
    """Yield the same batches each time: features (layers, b, t, k, c) whose mean tells the class."""
    random = np.random.default_rng(0)
    while True:
        labels = random.integers(0, classes, 6).astype(np.int32)
        noise = random.normal(size=(layers, 6, 4, 2, 8)).astype(np.float16)
        noise[..., 0] += labels[None, :, None, None] - 1
        yield noise, {"label": labels}


@pytest.fixture(scope="module")
def readout():
    return make(find("readouts", "readouts/labels"), width=8, heads=2, classes=3, frames=4)


def protocol(*rates: float, steps: int = 12) -> FrozenProtocol:
    return FrozenProtocol(steps=steps, batch_size=6, learning_rates=rates, warmup_steps=3, weight_decay=0.01)


def test_a_sweep_in_one_pass_equals_its_members_alone(readout):
    together = train_sweep(readout, protocol(3e-3, 1e-2), batches(2))
    alone = train_sweep(readout, protocol(1e-2), ((features[1:], targets) for features, targets in batches(2)))
    for whole, one in zip(jax.tree.leaves(together.params), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(whole[1, 1], one[0, 0], rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(together.losses[:, 1, 1], alone.losses[:, 0, 0], rtol=2e-4)
    assert not np.allclose(together.losses[-1, 1, 0], alone.losses[-1, 0, 0], rtol=1e-3)


def test_members_that_share_nothing_are_trained_in_turn_to_the_same_end(monkeypatch):
    """On a CPU; elsewhere they are stacked. Only the platform's name is replaced here."""
    readout = make(find("readouts", "readouts/labels"), width=8, heads=2, classes=3, frames=4, attention="projected")
    assert readout.apart({"label": np.zeros(6, np.int32)})
    in_turn = train_sweep(readout, protocol(3e-3, 1e-2), batches(2))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    stacked = train_sweep(readout, protocol(3e-3, 1e-2), batches(2))
    for one, other in zip(jax.tree.leaves(in_turn.params), jax.tree.leaves(stacked.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(in_turn.losses, stacked.losses, rtol=2e-4)


def test_training_twice_gives_the_same_bits(readout):
    first, second = (train_sweep(readout, protocol(1e-2, steps=4), batches(1)) for _ in range(2))
    for one, other in zip(jax.tree.leaves(first.params), jax.tree.leaves(second.params), strict=True):
        assert np.array_equal(one, other)


def test_weight_decay_pulls_at_kernels_or_at_all_parameters_as_asked(readout):
    trained = {
        decays: train_sweep(
            readout, attrs.evolve(protocol(1e-2, steps=2), warmup_steps=0, weight_decay=0.5, decays=decays), batches(1)
        ).params
        for decays in ("kernels", "all")
    }
    kernels, everything = (np.asarray(trained[decays]["norm"]["scale"]) for decays in ("kernels", "all"))
    rate = float(learning_rate(0, 1e-2, steps=2, warmup=0, end=1e-7))  # the second step's is next to nothing
    np.testing.assert_allclose(kernels - everything, 0.5 * rate, rtol=1e-2)  # scales start at 1


def test_a_rate_that_is_too_high_is_told_by_its_loss_alone(readout):
    swept = train_sweep(readout, protocol(1e-2, 1e30), batches(1))
    assert np.isfinite(swept.final_losses[0, 0])
    assert swept.final_losses[0, 0] < 1.1
    assert not swept.final_losses[0, 1] < 1e3


def test_the_optimizer_is_adamw_with_a_warm_cosine():
    settings = protocol(1e-2, steps=20)
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 3, 20, end_value=1e-7)
    reference = optax.adamw(lambda count: schedule(count + 1), 0.9, 0.999, 1e-8, weight_decay=0.01)
    ours = make_optimizer(betas=(0.9, 0.999), epsilon=1e-8, weight_decay=0.01, decayed={"w": True})
    params = {"w": jax.numpy.array([1.0, -2.0])}
    theirs, state, other = params, ours.init(params), reference.init(params)
    for step in range(20):
        gradient = {"w": jax.numpy.array([0.5, 1.0]) * (step - 8)}
        updates, state = ours.update(gradient, state, params)
        rate = learning_rate(step, 1e-2, steps=20, warmup=settings.warmup_steps, end=1e-7)
        params = apply_updates(params, updates, rate)
        changed, other = reference.update(gradient, other, theirs)
        theirs = optax.apply_updates(theirs, changed)
        np.testing.assert_allclose(params["w"], theirs["w"], rtol=1e-5)


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 1e-4), (9, 1e-3), (10, None), (99, 1e-7)], ids=["first", "peak", "after", "last"]
)
def test_the_rate_rises_to_its_peak_and_falls_to_the_end(step, rate):
    found = float(learning_rate(step, 1e-3, steps=100, warmup=10, end=1e-7))
    assert found == pytest.approx(rate, rel=1e-5) if rate else found < 1e-3


def test_without_a_warmup_the_first_step_is_already_on_the_cosine():
    rates = [float(learning_rate(step, 1.0, steps=4, warmup=0, end=0.0)) for step in range(4)]
    assert all(a > b for a, b in itertools.pairwise(rates))
    assert rates[-1] == pytest.approx(0.0, abs=1e-7)


def test_members_have_names_that_tell_them_apart():
    names = [Member(layer=layer, learning_rate=rate).name for layer in (0.5, 3) for rate in (1e-4, 3e-4)]
    assert names == ["layer-0.5-lr-0.0001", "layer-0.5-lr-0.0003", "layer-3-lr-0.0001", "layer-3-lr-0.0003"]


def test_a_label_without_an_output_is_refused_and_not_trained_on(readout):
    too_high = ((features, {"label": targets["label"] + 1}) for features, targets in batches(1))
    with pytest.raises(UsageError, match="below its 3 classes, got 3"):
        train_sweep(readout, protocol(1e-2), too_high)
