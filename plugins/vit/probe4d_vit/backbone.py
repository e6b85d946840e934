"""A ViT as probe4d calls it: `encode` for frozen features, `init / apply / param_axes` for finetuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from probe4d.errors import UsageError
from probe4d_vit import attention, model
from probe4d_vit.config import VitConfig, blocks_to_run
from probe4d_vit.init import init_params
from probe4d_vit.table import map_table, param_table, truncate

Array: TypeAlias = Any
Params: TypeAlias = Mapping[str, Any]
Read: TypeAlias = Callable[[int], Params]


class VitBackbone:
    """A configuration with its weights, offering both contracts of `probe4d.contracts`.

    Args:
        config: what it is.
        read: the weights of the first so many blocks; None for random ones.
        seed: of the random weights.
        mean, std: per channel, of videos in [0, 1].
        dtype: to compute in; float32 on a CPU, bfloat16 elsewhere.
        kind: of attention; the fastest for the platform.
    """

    def __init__(
        self,
        config: VitConfig,
        read: Read | None = None,
        *,
        seed: int = 0,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        dtype: Any = None,
        kind: str | None = None,
    ) -> None:
        self.config = config
        self.seed = seed
        self.mean, self.std = tuple(mean), tuple(std)
        self.dtype = str(model.compute_dtype(dtype))
        self.kind = attention.choose(kind)
        self._read = read
        self._params: Params | None = None
        self._blocks = -1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_params": None, "_blocks": -1}

    def blocks(self, layers: Sequence[float]) -> tuple[int, ...]:
        """Return how many blocks run for each layer.

        Raises:
            UsageError: a layer that the model does not have, or none.
        """
        if not layers:
            raise UsageError("layers: expected at least one layer, got none.")
        return tuple(blocks_to_run(layer, self.config.total_depth, self.config.layer_rule) for layer in layers)

    def encode(self, video: Array, layers: Sequence[float]) -> tuple[Array, ...]:
        """Return one float32 numpy `(b, t, k, c)` per layer of a video `(b, t, h, w, 3)` in [0, 1].

        A batch that divides by the number of local devices is spread over them.
        """
        counts = self.blocks(layers)
        if np.ndim(video) != 5:
            raise UsageError(f"video: expected shape (b, t, h, w, 3), got {np.shape(video)}. Add the batch axis.")
        model.token_grid(np.shape(video), self.config)
        params, video = self._load(max(counts)), np.asarray(video, np.float32)
        fixed = {"config": self.config, "counts": counts, "settings": self._settings}
        if len(video) % jax.local_device_count():
            outs = _run(jax.tree.map(lambda array: array.addressable_data(0), params), video, **fixed)
        else:
            mesh = _mesh()
            outs = _run_spread(params, jax.device_put(video, NamedSharding(mesh, P("batch"))), mesh=mesh, **fixed)
        return tuple(np.asarray(out, np.float32) for out in outs)

    def init(self, key: Any, layers: Sequence[float] | None = None) -> Params:
        """Return the parameters, float32: the loaded weights, or random ones made from `key`.

        Args:
            layers: leave out what these do not need; by default nothing is left out.
        """
        blocks = self.config.total_depth if layers is None else max(self.blocks(layers))
        if self._read is None:
            return init_params(key, self.config, blocks)
        params: Params = jax.tree.map(jnp.asarray, self._read(blocks))
        return params

    def apply(self, params: Params, video: Array, layers: Sequence[float]) -> tuple[Array, ...]:
        """Return one `(b, t, k, c)` per layer in the compute dtype; differentiable in `params`."""
        return _normalised(params, video, self.config, self.blocks(layers), self._settings)

    def param_axes(self, layers: Sequence[float] | None = None) -> Any:
        """Return a tree like the parameters of `init`, of logical axis names (`probe4d_vit.table`)."""
        blocks = self.config.total_depth if layers is None else max(self.blocks(layers))
        return map_table(lambda param: param.axes, truncate(param_table(self.config), blocks, self.config))

    @property
    def _settings(self) -> tuple[Any, ...]:
        return self.mean, self.std, self.dtype, self.kind

    def _load(self, blocks: int) -> Params:
        """Return parameters on every local device, of at least so many blocks; kept for the next call."""
        if self._params is None or self._blocks < blocks:
            self._params = None  # free the shorter ones first
            key = jax.random.key(self.seed)
            params = init_params(key, self.config, blocks) if self._read is None else self._read(blocks)
            self._params = jax.device_put(params, NamedSharding(_mesh(), P()))
            self._blocks = blocks
        return self._params


def _normalised(
    params: Params, video: Array, config: VitConfig, counts: tuple[int, ...], settings: tuple[Any, ...]
) -> tuple[Array, ...]:
    mean, std, dtype, kind = settings
    if any(mean) or any(value != 1 for value in std):
        video = (video - jnp.asarray(mean, jnp.float32)) / jnp.asarray(std, jnp.float32)
    return model.apply(params, video, counts, config, dtype=dtype, kind=kind)


_run = jax.jit(_normalised, static_argnames=("config", "counts", "settings"))


def _mesh() -> Mesh:
    return Mesh(np.asarray(jax.local_devices()), ("batch",))


@partial(jax.jit, static_argnames=("config", "counts", "settings", "mesh"))
def _run_spread(
    params: Params, video: Array, *, config: VitConfig, counts: tuple[int, ...], settings: tuple[Any, ...], mesh: Mesh
) -> tuple[Array, ...]:
    """Return the features of a batch that is split over the local devices.

    On a CPU with virtual devices this uses the cores better than threads inside each matmul.
    """
    run = partial(_normalised, config=config, counts=counts, settings=settings)
    out: tuple[Array, ...] = jax.shard_map(
        run, mesh=mesh, in_specs=(P(), P("batch")), out_specs=P("batch"), check_vma=False
    )(params, video)
    return out
