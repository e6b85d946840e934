"""One step of finetuning: what moves, by how much, and that parts and devices make no difference."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs jax: finetuning is done with it")
pytest.importorskip("optax", reason="needs optax")

import jax.numpy as jnp  # noqa: E402 - after the skips

from probe4d.errors import UsageError  # noqa: E402
from probe4d.registry import find, make  # noqa: E402
from probe4d_runners.finetuning.step import FinetuneStep, first_params  # noqa: E402
from probe4d_runners.jax.mesh import MeshShape, make_mesh  # noqa: E402
from probe4d_runners.jax.optimizer import learning_rate  # noqa: E402
from probe4d_runners.protocols import FinetuneProtocol  # noqa: E402

PROTOCOL = FinetuneProtocol(steps=8, batch_size=4, warmup_steps=2, dtype="float32")


class Toy:
    """The least that a trainable backbone may be: patches of 8 x 8 through one matrix; nothing of ours to lean on."""

    def init(self, key):
        return {"kernel": 0.05 * jax.random.normal(key, (192, 128)), "bias": jnp.zeros((1, 128))}

    def apply(self, params, video, layers):
        b, t, h, w, _ = video.shape
        cells = video.reshape(b, t, h // 8, 8, w // 8, 8, 3).transpose(0, 1, 2, 4, 3, 5, 6).reshape(b, t, -1, 192)
        return tuple(jnp.tanh(cells @ params["kernel"] + params["bias"]) for _ in layers)

    def param_axes(self):
        return {"kernel": ("pixels", "embed"), "bias": ("layers", "embed")}


@pytest.fixture(scope="module")
def readout():
    return make(find("readouts", "readouts/labels"), width=8, heads=2, classes=3, frames=2)


@pytest.fixture(scope="module")
def batch():
    random = np.random.default_rng(0)
    return random.random((4, 2, 16, 16, 3), np.float32), {"label": np.array([0, 1, 2, 1], np.int32)}


def step_of(readout, batch, protocol=PROTOCOL, devices=1):
    mesh = make_mesh(MeshShape(), jax.devices()[:devices])
    params = first_params(Toy(), 0.95, 0)
    step = FinetuneStep(Toy(), readout, protocol, 0.95, mesh, params, *batch)
    return step, step.init(params, 0)


def moved(readout, batch, rate=1e-2, decay=0.0, **changes):
    """Return parameters before and after one step, and the loss."""
    step, state = step_of(readout, batch, attrs.evolve(PROTOCOL, **changes))
    before = jax.tree.map(np.asarray, state["params"])
    after, loss = step.compiled()(state, *batch, np.float32(rate), np.float32(decay))
    return before, jax.tree.map(np.asarray, after["params"]), float(loss)


@pytest.fixture(scope="module")
def one(readout, batch):
    return moved(readout, batch)


def test_the_backbone_moves_by_its_share_of_the_rate(one):
    before, after, loss = one
    assert np.isfinite(loss)
    # Adam's first update is the gradient's sign: each number moves by the rate of the step, and no further.
    rate = float(learning_rate(0, 1e-2, steps=8, warmup=2, end=1e-7))
    assert rate == pytest.approx(5e-3)
    for part, factor in (("backbone", 0.003), ("readout", 1.0)):
        change = jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).max(), before[part], after[part]))
        assert max(change) == pytest.approx(factor * rate, rel=2e-3), part
    assert np.count_nonzero(before["backbone"]["kernel"] != after["backbone"]["kernel"]) > 0.9 * 192 * 128


def test_weight_decay_pulls_at_matrices_alone(readout, batch, one):
    _, without, _ = one
    before, after, _ = moved(readout, batch, decay=0.5)
    rate = 0.003 * 5e-3
    expected = without["backbone"]["kernel"] - rate * 0.5 * before["backbone"]["kernel"]
    np.testing.assert_allclose(after["backbone"]["kernel"], expected, atol=3e-8)
    assert np.array_equal(after["backbone"]["bias"], without["backbone"]["bias"])


def test_weight_decay_pulls_at_all_parameters_where_asked(readout, batch, one):
    _, without, _ = one
    before, after, _ = moved(readout, batch, decay=0.5, decays="all")
    expected = without["readout"]["norm"]["scale"] - 5e-3 * 0.5 * before["readout"]["norm"]["scale"]
    np.testing.assert_allclose(after["readout"]["norm"]["scale"], expected, atol=1e-6)


def test_a_batch_in_parts_has_the_gradient_of_the_whole(readout, batch):
    step, state = step_of(readout, batch)
    parts, _ = step_of(readout, batch, attrs.evolve(PROTOCOL, accumulate=2))
    whole = jax.jit(step.loss_and_gradient)(state["params"], *batch)
    halves = jax.jit(parts.loss_and_gradient)(state["params"], *batch)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(halves), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7)


def test_a_batch_that_does_not_divide_is_refused(readout, batch):
    video, targets = batch
    with pytest.raises(UsageError, match="multiple of 1 devices x 2 parts, got 3"):
        step_of(readout, (video[:3], {"label": targets["label"][:3]}), attrs.evolve(PROTOCOL, accumulate=2))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"batch_size": 4, "accumulate": 3}, "divide batch_size"),
        ({"mesh": {"fdsp": 2}}, "data, fsdp, tensor"),
        ({"views": 1}, "views"),
        ({"decays": "biases"}, "decays"),
        ({"dtype": "float16"}, "dtype"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(wrong, words):
    with pytest.raises(ValueError, match=words):
        FinetuneProtocol(**wrong)


@pytest.mark.parametrize("thousands", [20, 40, 80])
def test_the_papers_numbers_are_those_of_the_paper(thousands):
    settings = FinetuneProtocol(**find("protocols", f"finetune-{thousands}k").spec.settings)
    assert settings.steps == thousands * 1000
    assert (settings.batch_size, settings.warmup_steps, settings.backbone_rate) == (32, 3000, 0.003)
    assert [(one["learning_rate"], one["weight_decay"]) for one in settings.members((0.95,))] == [
        (1e-4, 1e-4), (1e-4, 5e-2), (3e-4, 1e-4), (3e-4, 5e-2),
    ]  # fmt: skip
    assert all(settings.layers_for(kind) == (0.95,) for kind in ("labels", "points"))
