"""One step of finetuning: a pure function of backbone and readout together, compiled once over a mesh.

Any `TrainableBackbone` will do: it is called as it stands, and the compiler moves parameters between devices
as their shardings ask. The state is a plain tree `{"step", "params": {"backbone", "readout"}, "optimizer"}`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from attrs import frozen
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from probe4d.contracts import Array, Arrays, Layer, Readout, TrainableBackbone
from probe4d.errors import UsageError
from probe4d_runners.jax import mesh as meshes
from probe4d_runners.jax.optimizer import apply_updates, learning_rate, make_optimizer
from probe4d_runners.jax.processes import placed
from probe4d_runners.jax.state import abstract, in_parts, state_shardings
from probe4d_runners.protocols import FinetuneProtocol

__all__ = ["FinetuneStep", "as_video", "first_params"]

State = Mapping[str, Any]


@frozen(kw_only=True)
class _Trees:
    """What is known of the parameters before there are any; trees like them.

    Attributes:
        specs: how each is split; `decayed`: whether weight decay pulls at it.
    """

    specs: Any
    decayed: Any


class FinetuneStep:
    """The step of one backbone, readout and protocol on a mesh. Members of a sweep share it: rates are arguments.

    Args:
        layer: where the features are read.
        params: the backbone's, of `first_params`; only their shapes are kept.
        video, targets: a batch, for its shapes; of its values only where outputs start (`output_start`).

    Raises:
        UsageError: the batch does not divide over the mesh, or the readout cannot be worked on in parts.
    """

    def __init__(
        self,
        backbone: TrainableBackbone,
        readout: Readout,
        protocol: FinetuneProtocol,
        layer: Layer,
        mesh: Mesh,
        params: Any,
        video: Array,
        targets: Arrays,
    ) -> None:
        self.backbone, self.readout, self.protocol = backbone, readout, protocol
        self.layer, self.mesh = layer, mesh
        self._targets = dict(targets)
        self._check_parts(len(video))
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), params)
        found = jax.eval_shape(self._features, shapes, jax.ShapeDtypeStruct(video.shape, jnp.float32))
        # Of features a readout's parameters take the shape alone.
        self._blank = np.zeros(found.shape, np.float32)
        self._params = {"backbone": shapes, "readout": jax.eval_shape(partial(self._readout_init, 0))}
        self._trees = self._known()
        self.batch_sharding = NamedSharding(mesh, P(meshes.BATCH))
        self.state_shardings = self._shardings()

    def init(self, backbone: Any, seed: int) -> State:
        """Return the state before the first step.

        Args:
            backbone: its parameters, of `first_params`.
            seed: of the readout.
        """
        params = placed({"backbone": backbone, "readout": self._readout_init(seed)}, self.state_shardings["params"])
        optimizer = jax.jit(self._optimizer(0.0).init, out_shardings=self.state_shardings["optimizer"])(params)
        number = placed(np.zeros((), np.int32), self.state_shardings["step"])
        return {"step": number, "params": params, "optimizer": optimizer}

    def abstract_state(self) -> Any:
        """Return shapes, dtypes and shardings of the state; nothing is allocated."""
        return abstract(self._shapes, self.state_shardings)

    def compiled(self) -> Callable[..., tuple[State, Any]]:
        """Return `(state, video, targets, rate, decay) -> (state, loss)`; the state that goes in is used up."""
        same = NamedSharding(self.mesh, P())
        step: Callable[..., tuple[State, Any]] = jax.jit(
            self.step,
            in_shardings=(self.state_shardings, self.batch_sharding, self.batch_sharding, same, same),
            out_shardings=(self.state_shardings, same),
            donate_argnums=0,
        )
        return step

    def predictor(self) -> Callable[..., Mapping[str, Any]]:
        """Return `(params, video, targets) -> predictions`, compiled for batches of `eval_batch_size` clips.

        They are split over the devices where their number divides, and every process gets all predictions.
        """

        def predict(params: Any, video: Any, targets: Mapping[str, Any]) -> Mapping[str, Any]:
            features = self._features(params["backbone"], video)
            return self.readout.decode(self.readout.apply(params["readout"], features, targets), targets)

        same = NamedSharding(self.mesh, P())
        divides = self.protocol.eval_batch_size % meshes.batch_shards(self.mesh) == 0
        clips = self.batch_sharding if divides else same
        compiled: Callable[..., Mapping[str, Any]] = jax.jit(
            predict, in_shardings=(self.state_shardings["params"], clips, clips), out_shardings=same
        )
        return lambda params, video, targets: compiled(params, *placed((video, dict(targets)), clips))

    def step(self, state: State, video: Any, targets: Mapping[str, Any], peak: Any, decay: Any) -> tuple[State, Any]:
        """Return the state after one step, and the loss before it.

        Args:
            video: `(b, t, h, w, 3)` float32 in [0, 1].
            peak, decay: the member's learning rate and weight decay.
        """
        protocol, params = self.protocol, state["params"]
        loss, gradient = self.loss_and_gradient(params, video, targets)
        gradient = jax.tree.map(lax.with_sharding_constraint, gradient, self.state_shardings["params"])
        updates, optimizer = self._optimizer(decay).update(gradient, state["optimizer"], params)
        rate = learning_rate(
            state["step"], peak, steps=protocol.steps, warmup=protocol.warmup_steps, end=protocol.end_learning_rate
        )
        rates = {"backbone": protocol.backbone_rate * rate, "readout": rate}
        moved = {name: apply_updates(params[name], updates[name], rates[name]) for name in rates}
        return {"step": state["step"] + 1, "params": moved, "optimizer": optimizer}, loss

    def loss_and_gradient(self, params: Any, video: Any, targets: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the loss of a batch and its gradient, computed in `accumulate` parts."""
        parts = self.protocol.accumulate
        if parts == 1:
            found: tuple[Any, Any] = jax.value_and_grad(self._loss)(params, video, targets)
            return found
        readout: Any = self.readout
        weights = readout.weights(targets)  # of the whole batch: a part counts for what it holds

        def of_part(params: Any, video: Any, targets: Mapping[str, Any]) -> Any:
            outputs = readout.apply(params["readout"], self._features(params["backbone"], video), targets)
            return readout.combine(readout.sums(outputs, targets), weights)[0]

        def add(total: Any, part: tuple[Any, Any]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, jax.value_and_grad(of_part)(params, *part)), None

        zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
        split = partial(in_parts, parts=self.protocol.accumulate, mesh=self.mesh)
        total: tuple[Any, Any] = lax.scan(add, zeros, jax.tree.map(split, (video, dict(targets))))[0]
        return total

    def _loss(self, params: Any, video: Any, targets: Mapping[str, Any]) -> Any:
        features = self._features(params["backbone"], video)
        return self.readout.loss(self.readout.apply(params["readout"], features, targets), targets)[0]

    def _features(self, params: Any, video: Any) -> Any:
        return self.backbone.apply(params, video, (self.layer,))[0].astype(jnp.float32)

    def _readout_init(self, seed: int) -> Any:
        return self.readout.init(jax.random.key(seed), jnp.asarray(self._blank), self._targets)

    def _optimizer(self, decay: Any) -> optax.GradientTransformation:
        protocol = self.protocol
        return make_optimizer(
            betas=protocol.betas,
            epsilon=protocol.epsilon,
            weight_decay=decay,
            decayed=self._trees.decayed,
            clip_norm=protocol.clip_norm,
        )

    def _known(self) -> _Trees:
        """Return what axes and kernels say of the parameters."""
        axes = {"backbone": _call(self.backbone.param_axes, self.layer), "readout": self.readout.param_axes()}
        specs = jax.tree.map(
            lambda names, leaf: meshes.spec_of(leaf.shape, names, self.mesh), axes, self._params, is_leaf=_is_axes
        )
        matrices = jax.tree.map(lambda names: sum(name != "layers" for name in names) >= 2, axes, is_leaf=_is_axes)
        said = {"backbone": _kernels(self.backbone, self.layer), "readout": _kernels(self.readout, self.layer)}
        decayed = {name: matrices[name] if said[name] is None else said[name] for name in said}
        if self.protocol.decays == "all":
            decayed = jax.tree.map(lambda _: True, decayed)
        return _Trees(specs=specs, decayed=decayed)

    def _shardings(self) -> Any:
        optimizer = self._optimizer(0.0)
        states = jax.eval_shape(optimizer.init, self._params)
        self._shapes = {"step": jax.ShapeDtypeStruct((), jnp.int32), "params": self._params, "optimizer": states}
        return state_shardings(self.mesh, self._trees.specs, optimizer, self._params)

    def _check_parts(self, count: int) -> None:
        shards, parts = meshes.batch_shards(self.mesh), self.protocol.accumulate
        if count % (shards * parts):
            raise UsageError(
                f"batch_size: expected a multiple of {shards} devices x {parts} parts, got {count}. "
                "Change batch_size, accumulate or mesh."
            )
        if parts > 1 and not all(hasattr(self.readout, name) for name in ("sums", "weights", "combine")):
            raise UsageError(
                f"accumulate: expected a readout with sums, weights and combine, got {self.readout!r}. Set it to 1."
            )


def first_params(backbone: TrainableBackbone, layer: Layer, seed: int) -> Any:
    """Return the backbone's weights, or random ones; without what is above the layer where it can do without."""
    return _call(backbone.init, layer, jax.random.key(seed))


def as_video(clips: list[Array]) -> Array:
    """Return `(b, t, h, w, 3)` float32 in [0, 1] of uint8 clips."""
    out = np.empty((len(clips), *clips[0].shape), np.float32)
    for row, clip in zip(out, clips, strict=True):
        np.divide(clip, np.float32(255), out=row)
    return out


def _is_axes(node: Any) -> bool:
    return isinstance(node, tuple)


def _kernels(part: Any, layer: Layer) -> Any:
    """Return which parameters are decayed, where backbone or readout says so; else None."""
    return _call(part.kernels, layer) if hasattr(part, "kernels") else None


def _call(function: Callable[..., Any], layer: Layer, *arguments: Any) -> Any:
    """Return what a method returns, told the layer where it can leave out what is above."""
    if "layers" in inspect.signature(function).parameters:
        return function(*arguments, layers=(layer,))
    return function(*arguments)
