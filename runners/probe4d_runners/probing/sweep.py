"""All members of a sweep, learning rates x layers, trained in one pass over the same batches."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from attrs import define, field, frozen

from probe4d.contracts import Array, Arrays, Layer, Readout
from probe4d_runners.jax.optimizer import apply_updates, learning_rate, make_optimizer
from probe4d_runners.protocols import FrozenProtocol

__all__ = ["Member", "SweepTraining", "start_sweep", "thinned", "train_sweep"]

KEEP_LOSSES = 200  # points of a loss curve that a record keeps


@frozen(kw_only=True)
class Member:
    """One readout of a sweep."""

    layer: Layer
    learning_rate: float

    @property
    def name(self) -> str:
        """Return `layer-0.95-lr-0.001`."""
        return f"layer-{self.layer!r}-lr-{self.learning_rate:g}"


@define
class SweepTraining:
    """The trained sweep.

    Attributes:
        params: of all members, with leading axes (layers, learning rates).
        losses: `(points, layers, rates)`, the mean over the steps of each point; `steps` where each ends.
        seconds: of training; `compile_seconds` of that before the second step.
    """

    params: Any = field(repr=False)
    losses: Array = field(repr=False)
    steps: Sequence[int] = field(repr=False)
    final_losses: Array
    seconds: float
    compile_seconds: float


def train_sweep(
    readout: Readout,
    protocol: FrozenProtocol,
    batches: Iterator[tuple[Array, Arrays]],
) -> SweepTraining:
    """Return the sweep after `protocol.steps` steps.

    Args:
        batches: features `(layers, b, t, k, c)` and the targets of the same clips.
    """
    features, targets = next(batches)
    check = getattr(readout, "check_targets", None)  # what only the host can refuse: compiled code has no errors
    params, state, step = start_sweep(readout, protocol, features, targets)
    losses: list[Any] = []
    started = time.perf_counter()
    compiled = started
    for number in range(protocol.steps):
        if number:
            features, targets = next(batches)
        if check is not None:
            check(targets)
        params, state, loss = step(params, state, number, features, dict(targets))
        losses.append(loss)
        if number == 0:
            jax.block_until_ready(loss)
            compiled = time.perf_counter()
    curve = np.stack([np.asarray(loss) for loss in losses])  # waits for the last step
    points, ends = thinned(curve)
    return SweepTraining(
        params=params,
        losses=points,
        steps=ends,
        final_losses=curve[-max(1, len(curve) // 20) :].mean(axis=0),
        seconds=time.perf_counter() - started,
        compile_seconds=compiled - started,
    )


def start_sweep(readout: Readout, protocol: FrozenProtocol, features: Array, targets: Arrays) -> tuple[Any, Any, Any]:
    """Return parameters and optimizer state of all members, and the compiled step that moves them.

    The step takes parameters, state, its number, features `(layers, b, t, k, c)` and targets, and returns
    the first two anew and the losses `(layers, rates)`.
    """
    rates = jnp.asarray(protocol.learning_rates, jnp.float32)
    key = jax.random.key(protocol.seed)
    one = readout.init(key, jnp.asarray(features[0], jnp.float32), targets)
    optimizer = make_optimizer(
        betas=protocol.betas,
        epsilon=protocol.epsilon,
        weight_decay=protocol.weight_decay,
        decayed=_decayed(readout, one, protocol.decays),
        clip_norm=protocol.clip_norm,
    )
    members = (features.shape[0], len(rates))
    # Every member starts from the same parameters, so that they differ by what the sweep varies alone.
    params = jax.tree.map(lambda x: jnp.broadcast_to(x, (*members, *x.shape)).copy(), one)
    state = jax.vmap(jax.vmap(optimizer.init))(params)
    return params, state, _make_step(readout, optimizer, protocol, rates, apart=_apart(readout, targets))


def _apart(readout: Readout, targets: Arrays) -> bool:
    """Return whether members are computed one after the other.

    What they do not share is faster so on a CPU: of products that are stacked, gradients are made by turning one side.
    """
    apart = getattr(readout, "apart", None)
    return apart is not None and jax.default_backend() == "cpu" and bool(apart(targets))


def _make_step(readout: Readout, optimizer: Any, protocol: FrozenProtocol, rates: Any, *, apart: bool) -> Any:
    def loss_of(params: Any, features: Any, targets: Mapping[str, Any]) -> Any:
        return readout.loss(readout.apply(params, features, targets), targets)[0]

    def member(params: Any, state: Any, rate: Any, features: Any, targets: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        loss, gradient = jax.value_and_grad(loss_of)(params, features, targets)
        updates, state = optimizer.update(gradient, state, params)
        return apply_updates(params, updates, rate), state, loss

    def together(params: Any, state: Any, rate: Any, features: Any, targets: Mapping[str, Any]) -> Any:
        of_rates = jax.vmap(member, in_axes=(0, 0, 0, None, None))
        return jax.vmap(of_rates, in_axes=(0, 0, None, 0, None))(params, state, rate, features, targets)

    def in_turn(params: Any, state: Any, rate: Any, features: Any, targets: Mapping[str, Any]) -> Any:
        def layer(each: tuple[Any, Any, Any]) -> Any:
            params, state, features = each
            return jax.lax.map(lambda one: member(one[0], one[1], one[2], features, targets), (params, state, rate))

        return jax.lax.map(layer, (params, state, features))

    all_members = in_turn if apart else together

    def step(params: Any, state: Any, number: Any, features: Any, targets: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        rate = learning_rate(
            number, rates, steps=protocol.steps, warmup=protocol.warmup_steps, end=protocol.end_learning_rate
        )
        moved: tuple[Any, Any, Any] = all_members(params, state, rate, features.astype(jnp.float32), targets)
        return moved

    return jax.jit(step, donate_argnums=(0, 1))


def _decayed(readout: Readout, params: Any, decays: str) -> Any:
    """Return which parameters are decayed: all, or the kernels: what the readout says, else every matrix."""
    if decays == "all":
        return jax.tree.map(lambda _: True, params)
    if hasattr(readout, "kernels"):
        return readout.kernels()
    return jax.tree.map(lambda x: x.ndim >= 2, params)


def thinned(curve: Array) -> tuple[Array, list[int]]:
    """Return the curve as means over equal stretches, and the step that each ends with."""
    ends = np.unique(np.linspace(0, len(curve), min(KEEP_LOSSES, len(curve)) + 1).astype(int))
    means = [curve[a:b].mean(axis=0) for a, b in itertools.pairwise(ends)]
    return np.stack(means), [int(end) for end in ends[1:]]
