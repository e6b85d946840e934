"""Checks of a readout: its shapes, its loss and its gradients on one small batch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from probe4d import contracts
from probe4d.testing.arrays import names, need_jax, require_axes, require_finite, require_gradients, trees_equal
from probe4d.testing.battery import Checks
from probe4d.testing.examples import read_example
from probe4d.testing.result import require
from probe4d.testing.subject import Subject

__all__ = ["READOUT", "ReadoutSubject"]

BATCH = 2
GRID = (8, 16, 24)  # (t, k, c) of the made features
STEPS = 30
RATES = (1e-2, 1e-3, 1e-4, 1e-5)


class ReadoutSubject(Subject):
    """A readout with made features and a batch of its kind."""

    @cached_property
    def example(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Canonical predictions and targets of the kind's example."""
        return read_example(*self.kind(self.spec.kind), 0)

    @cached_property
    def features(self) -> np.ndarray:
        """Random features `(b, t, k, c)` float32."""
        return np.random.default_rng(0).standard_normal((BATCH, *GRID)).astype(np.float32)

    @cached_property
    def batch(self) -> Mapping[str, Any]:
        """The targets of the kind's example, as its reader gives them, stacked `(b, …)`.

        A readout that needs other fields in its batch makes one itself, `example_batch(seed, size)`.
        """
        own = getattr(self.product, "example_batch", None)
        if callable(own):
            made: Mapping[str, Any] = own(0, BATCH)
            return made
        _, targets = self.example
        return {name: np.stack([value] * BATCH) for name, value in targets.items() if _is_array(value)}

    @property
    def targets(self) -> Mapping[str, Any]:
        """The targets of the first clip, as metrics take them."""
        if callable(getattr(self.product, "example_batch", None)):
            return {name: np.asarray(value)[0] for name, value in self.batch.items()}
        return self.example[1]

    @cached_property
    def params(self) -> Any:
        """The parameters of key 0."""
        return self.product.init(need_jax().random.key(0), self.features, self.batch)

    def loss(self, params: Any) -> Any:
        """Return the scalar loss of the batch."""
        return self.product.loss(self.product.apply(params, self.features, self.batch), self.batch)[0]

    @cached_property
    def gradient(self) -> Any:
        """The compiled function from params to (loss, gradient)."""
        jax = need_jax()
        return jax.jit(jax.value_and_grad(self.loss))


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in "biuf"


READOUT: Checks[ReadoutSubject] = Checks()


@READOUT()
def target_constructs(subject: ReadoutSubject) -> None:
    """The target makes a Readout of a kind that exists."""
    require(isinstance(subject.product, contracts.Readout), f"expected a Readout, got {subject.product!r}")
    subject.find("kinds", subject.spec.kind)


@READOUT("target_constructs")
def init_gives_params(subject: ReadoutSubject) -> None:
    """A key gives a tree of arrays, and the same key the same tree."""
    jax = need_jax()
    require(jax.tree.leaves(subject.params), "expected a tree of arrays, got no leaf")
    again = subject.product.init(jax.random.key(0), subject.features, subject.batch)
    require(trees_equal(jax, again, subject.params), "expected the same params for the same key, got others")


@READOUT("init_gives_params")
def param_axes_match_the_params(subject: ReadoutSubject) -> None:
    """`param_axes()` has the tree of the params, one name (or None) per dimension."""
    require_axes(need_jax(), subject.params, subject.product.param_axes())


@READOUT("init_gives_params")
def loss_is_a_finite_scalar(subject: ReadoutSubject) -> None:
    """The loss is one finite number, and its terms are named."""
    outputs = subject.product.apply(subject.params, subject.features, subject.batch)
    loss, terms = subject.product.loss(outputs, subject.batch)
    require(np.shape(loss) == (), f"expected a scalar, got {np.shape(loss)}")
    require_finite("loss", loss)
    require(isinstance(terms, Mapping), f"expected the terms by name, got {type(terms).__name__}")
    for name, term in terms.items():
        require_finite(f"loss term {name}", term)


@READOUT("loss_is_a_finite_scalar")
def gradients_reach_every_parameter(subject: ReadoutSubject) -> None:
    """The gradient of the loss is finite, and nowhere zero for a whole parameter."""
    require_gradients(need_jax(), subject.gradient(subject.params)[1])


@READOUT("loss_is_a_finite_scalar")
def loss_decreases_on_one_batch(subject: ReadoutSubject) -> None:
    """Thirty steps of Adam on one batch lower its loss at one of four rates: a wide readout wants a low one."""
    ends: dict[float, float] = {}
    for rate in RATES:
        first, ends[rate] = _trained(subject, rate)
        if ends[rate] < first:
            return
    got = ", ".join(f"{end:.4g} at {rate:g}" for rate, end in ends.items())
    require(False, f"expected the loss below {first:.4g} after {STEPS} steps, got {got}")


def _trained(subject: ReadoutSubject, rate: float) -> tuple[float, float]:
    """Return the loss before the first step of Adam and before the last."""
    jax = need_jax()
    params = subject.params
    mean = square = jax.tree.map(lambda leaf: leaf * 0.0, params)
    losses: list[float] = []
    for step in range(1, STEPS + 1):
        loss, gradient = subject.gradient(params)
        losses.append(float(loss))
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g * g, square, gradient)
        params = jax.tree.map(lambda p, m, s, step=step: p - rate * _adam(m, s, step), params, mean, square)
    return losses[0], losses[-1]


def _adam(mean: Any, square: Any, step: int) -> Any:
    return (mean / (1 - 0.9**step)) / ((square / (1 - 0.99**step)) ** 0.5 + 1e-8)


@READOUT("init_gives_params")
def decode_gives_the_fields_of_the_kind(subject: ReadoutSubject) -> None:
    """`decode` gives what the kind's reader gives its metrics: the same fields and shapes, one row a clip."""
    outputs = subject.product.apply(subject.params, subject.features, subject.batch)
    decoded = subject.product.decode(outputs, subject.batch)
    known = {**subject.example[1], **subject.example[0]}
    require(decoded, "expected fields, got none")
    for name, value in decoded.items():
        shape = np.shape(value)
        require(shape[:1] == (BATCH,), f"{name}: expected (b, …) with b = {BATCH}, got {shape}")
        if name in known and _is_array(known[name]):
            rank = np.ndim(known[name]) + 1
            require(len(shape) == rank, f"{name}: expected {rank} axes as the kind's reader gives, got {shape}")
        if np.asarray(value).dtype.kind == "f":
            require_finite(name, value)
    _require_scored(subject, decoded)


def _require_scored(subject: ReadoutSubject, decoded: Mapping[str, Any]) -> None:
    """Fail where a metric of the kind does not take what `decode` gave, with the targets of one clip."""
    one = {name: np.asarray(value)[0] for name, value in decoded.items()}
    for entry in subject.registry.entries("metrics"):
        if entry.unmet or not subject.same("kinds", entry.spec.kind, subject.spec.kind):
            continue
        try:
            subject.make("metrics", entry.name).empty().update("one", one, subject.targets)
        except (KeyError, ValueError, TypeError) as error:
            got = names(decoded)
            require(False, f"{entry.name} does not take what decode gives ({got}): {type(error).__name__}: {error}")
