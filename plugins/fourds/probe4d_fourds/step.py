"""One training step of the masked auto-encoder: a pure function, compiled once over a mesh.

`TrainStep` holds what the compiled function needs; the state is a plain tree
`{"step", "params", "optimizer"}`, so that it can be sharded, donated and saved as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from attrs import frozen
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from probe4d.errors import UsageError
from probe4d_fourds import objective
from probe4d_fourds.objective import Mae, mae_table
from probe4d_runners.jax import gather
from probe4d_runners.jax import mesh as meshes
from probe4d_runners.jax.optimizer import apply_updates, learning_rate, make_optimizer
from probe4d_runners.jax.state import abstract, in_parts, state_shardings
from probe4d_vit.init import init_table
from probe4d_vit.table import Param, Tree, leaves, map_table

Array: TypeAlias = Any
State: TypeAlias = Mapping[str, Any]

REMAT = ("none", "dots", "full")


@frozen(kw_only=True)
class Recipe:
    """What a step does beside the objective.

    Attributes:
        steps, learning_rate, warmup_steps, schedule, end_learning_rate: see `learning_rate` of the optimizer.
        betas, epsilon, weight_decay, clip_norm: of AdamW; 0 does not clip.
        decay_biases: decay pulls at the biases of kernels too; never at norms and tables.
        accumulate: parts that a batch is computed in, one after the other.
        dtype: to compute in, `float32` or `bfloat16`; weights, softmax and loss are float32.
        attention: see `probe4d_vit.attention`.
        remat: what the backward pass computes again: `none`, all but the products of matrices (`dots`), or `full`.
    """

    steps: int
    learning_rate: float
    warmup_steps: int
    schedule: str = "cosine"
    end_learning_rate: float = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    weight_decay: float = 0.05
    decay_biases: bool = False
    clip_norm: float = 0.0
    accumulate: int = 1
    dtype: str = "float32"
    attention: str = "tiled"
    remat: str = "none"


def mesh_for(config: Mae, shape: meshes.MeshShape, devices: Sequence[Any] | None = None) -> Mesh:
    """Return the mesh over the devices; where nothing is said of `data` and `fsdp`, one that splits this model."""
    return meshes.make_mesh(shape, devices, [(param.shape, param.axes) for _, param in leaves(mae_table(config))])


class TrainStep:
    """The step of one objective, recipe and mesh.

    Attributes:
        specs: how each parameter is split, a tree like the parameters.
        state_shardings: a tree like the state.
        batch_sharding: of everything whose first axis is the example.
    """

    def __init__(self, config: Mae, recipe: Recipe, mesh: Mesh) -> None:
        if recipe.remat not in REMAT:
            raise UsageError(f"remat: expected one of {', '.join(REMAT)}, got {recipe.remat!r}.")
        self.config, self.recipe, self.mesh = config, recipe, mesh
        self.table = mae_table(config)
        self.specs = map_table(lambda param: meshes.spec_of(param.shape, param.axes, mesh), self.table)
        # What multiplies travels in the compute dtype; norms, biases and tables stay as they are.
        self._dtypes = map_table(lambda param: recipe.dtype if param.decay else None, self.table)
        self.optimizer = make_optimizer(
            betas=recipe.betas,
            epsilon=recipe.epsilon,
            weight_decay=recipe.weight_decay,
            decayed=decayed(self.table, biases=recipe.decay_biases),
            clip_norm=recipe.clip_norm,
        )
        shapes = map_table(lambda param: jax.ShapeDtypeStruct(param.shape, jnp.float32), self.table)
        self.state_shardings = state_shardings(mesh, self.specs, self.optimizer, shapes)
        self.batch_sharding = NamedSharding(mesh, P(meshes.BATCH))
        self._loss = self._sharded_loss()

    @property
    def shards(self) -> int:
        """Parts that a batch is split into over the mesh."""
        return meshes.batch_shards(self.mesh)

    def abstract_state(self) -> Any:
        """Return shapes, dtypes and shardings of the state; nothing is allocated."""
        return abstract(jax.eval_shape(self._fresh, jax.random.key(0)), self.state_shardings)

    def init(self, seed: int) -> State:
        """Return the state before the first step, each device holding its own part only."""
        state: State = jax.jit(self._fresh, out_shardings=self.state_shardings)(jax.random.key(seed))
        return state

    def compiled(self) -> Callable[[State, Array, Array], tuple[State, Mapping[str, Array]]]:
        """Return `(state, video, seed) -> (state, metrics)`; the state that goes in is used up.

        Video is `(b, t, h, w, 3)` uint8, sharded by `batch_sharding`. An update whose loss or gradient is
        not finite leaves parameters and optimizer as they were; `finite` says so and `step` counts on.
        """
        replicated = NamedSharding(self.mesh, P())
        step: Callable[[State, Array, Array], tuple[State, Mapping[str, Array]]] = jax.jit(
            self.step,
            in_shardings=(self.state_shardings, self.batch_sharding, replicated),
            out_shardings=(self.state_shardings, replicated),
            donate_argnums=0,
        )
        return step

    def step(self, state: State, video: Array, seed: Array) -> tuple[State, Mapping[str, Array]]:
        """Return the state after one step and what happened in it."""
        key = jax.random.fold_in(jax.random.key(seed), state["step"])
        loss, gradients = self.loss_and_gradients(state["params"], video, key)
        norm = optax.global_norm(gradients)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        updates, optimizer = self.optimizer.update(gradients, state["optimizer"], state["params"])
        recipe = self.recipe
        rate = learning_rate(
            state["step"],
            recipe.learning_rate,
            steps=recipe.steps,
            warmup=recipe.warmup_steps,
            end=recipe.end_learning_rate,
            schedule=recipe.schedule,
        )
        moved = {"params": apply_updates(state["params"], updates, rate), "optimizer": optimizer}
        kept = {name: state[name] for name in moved}
        chosen = jax.tree.map(lambda new, old: jnp.where(finite, new, old), moved, kept)
        metrics = {"loss": loss, "gradient_norm": norm, "learning_rate": rate, "finite": finite}
        return {"step": state["step"] + 1, **chosen}, metrics

    def loss_and_gradients(self, params: Any, video: Array, key: Array) -> tuple[Array, Any]:
        """Return the mean loss of a batch and its gradient, sharded as the parameters are."""
        config, parts = self.config, self.recipe.accumulate
        per_clip = config.vit.grid[0] if config.apart else 1
        kept = objective.draw_kept(key, video.shape[0] * per_clip, config)
        kept = kept.reshape(video.shape[0], per_clip, -1)
        if parts == 1:
            return self._with_gradient(params, video, kept)

        def add(total: Any, part: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, self._with_gradient(params, *part)), None

        zeros = jax.tree.map(jnp.zeros_like, params)
        total, _ = lax.scan(
            add, (jnp.zeros(()), zeros), (in_parts(video, parts, self.mesh), in_parts(kept, parts, self.mesh))
        )
        mean: tuple[Array, Any] = jax.tree.map(lambda value: value / parts, total)
        return mean

    def _with_gradient(self, params: Any, video: Array, kept: Array) -> tuple[Array, Any]:
        loss, gradients = jax.value_and_grad(lambda p: self._loss(p, video, kept).mean())(params)
        constrain = jax.tree.map(lax.with_sharding_constraint, gradients, self.state_shardings["params"])
        return loss, constrain

    def _sharded_loss(self) -> Callable[..., Array]:
        """Return `(params, video, kept) -> (shards,)` mean losses, computed where the examples are."""
        manual = jax.tree.map(gather.manual, self.specs, is_leaf=lambda node: isinstance(node, P))
        batch = P(meshes.BATCH)
        loss: Callable[..., Array] = jax.shard_map(
            self._local_loss,
            mesh=self.mesh,
            in_specs=(manual, batch, batch),
            out_specs=batch,
            axis_names=set(meshes.BATCH),
            check_vma=False,
        )
        return loss

    def _local_loss(self, params: Any, video: Array, kept: Array) -> Array:
        config, recipe = self.config, self.recipe
        blocks = params["encoder"]["blocks"]
        rest = _without_blocks(params)
        rest = gather.whole(rest, _without_blocks(self.specs), _without_blocks(self._dtypes))
        rest["encoder"]["blocks"] = blocks
        one_layer = jax.tree.map(
            lambda spec: P(*spec[1:]), self.specs["encoder"]["blocks"], is_leaf=lambda node: isinstance(node, P)
        )
        unshard = partial(gather.whole, specs=one_layer, dtypes=self._dtypes["encoder"]["blocks"])
        clip = objective.shown(video.astype(jnp.float32) / 255.0, config)
        predicted = objective.reconstruct(
            rest,
            clip,
            kept.reshape(-1, kept.shape[-1]),
            config,
            recipe.attention,
            dtype=jnp.dtype(recipe.dtype),
            wrap=_remat(recipe.remat),
            unshard=unshard,
        )
        return objective.squared_error(predicted, objective.target_patches(clip, config)).mean(keepdims=True)

    def _fresh(self, key: Array) -> State:
        params = init_table(key, self.table)
        return {"step": jnp.zeros((), jnp.int32), "params": params, "optimizer": self.optimizer.init(params)}

    def split_parameters(self) -> tuple[dict[str, P], dict[str, tuple[int, ...]]]:
        """Return how each parameter is split and its shape, by name."""
        named = dict(leaves(self.table))
        specs = {name: meshes.spec_of(param.shape, param.axes, self.mesh) for name, param in named.items()}
        return specs, {name: param.shape for name, param in named.items()}


def decayed(table: Tree, *, biases: bool) -> Tree:
    """Return a tree of booleans like a table: what weight decay pulls at.

    Args:
        biases: those that stand beside a kernel too.
    """
    return {
        name: node.decay or (biases and name == "bias" and "kernel" in table)
        if isinstance(node, Param)
        else decayed(node, biases=biases)
        for name, node in table.items()
    }


def _without_blocks(tree: Any) -> Any:
    return {**tree, "encoder": {name: node for name, node in tree["encoder"].items() if name != "blocks"}}


def _remat(policy: str) -> Callable[[Any], Any] | None:
    if policy == "none":
        return None
    saved = jax.checkpoint_policies.dots_with_no_batch_dims_saveable if policy == "dots" else None
    return partial(jax.checkpoint, policy=saved, prevent_cse=False)
