"""A ViT as probe4d calls it: `encode` for frozen features, `init / apply / param_axes` for finetuning."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from attrs import evolve
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from probe4d.errors import UsageError
from probe4d.paths import cache_dir
from probe4d_vit import attention, model
from probe4d_vit.config import VitConfig, blocks_to_run, per_channel
from probe4d_vit.init import init_params
from probe4d_vit.resample import resample_params
from probe4d_vit.table import map_table, param_table, truncate

Array: TypeAlias = Any
Params: TypeAlias = Mapping[str, Any]
Read: TypeAlias = Callable[[int], Params]
Layer: TypeAlias = float | str

log = logging.getLogger("probe4d")

_BLOCK = re.compile(r"block_(\d+)")


class VitBackbone:
    """A configuration with its weights, offering both contracts of `probe4d.contracts`.

    A layer is a share of the depth, a number of blocks, or `"block_3"`: what block 3 (of 0, 1, …) puts
    out, before any final norm.

    Args:
        config: what it is, on the grid of tokens that it is trained and run on.
        read: the weights of the first so many blocks; None for random ones.
        native: the grid that the tables of `read` are for; they are resized to another (`config.resample`).
        adapts: `encode` takes clips of any size, and resizes the tables to each.
        seed: of the random weights.
        mean, std: per channel, of videos in [0, 1].
        dtype: to compute in; float32 on a CPU, bfloat16 elsewhere.
        kind: of attention; the fastest for the platform.
        note: logged once, as a warning, when a clip of another size comes.
    """

    def __init__(
        self,
        config: VitConfig,
        read: Read | None = None,
        *,
        native: model.Grid | None = None,
        adapts: bool = False,
        seed: int = 0,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        dtype: Any = None,
        kind: str | None = None,
        note: str = "",
    ) -> None:
        self.config = config
        self.seed = seed
        self.mean, self.std = per_channel(mean, std)
        self.dtype = str(model.compute_dtype(dtype))
        self.kind = attention.choose(kind)
        self.adapts, self._note = adapts, note
        self._native = config if native is None or read is None else evolve(config, grid=native)
        self._read = read
        self._params: Params | None = None
        self._blocks = -1
        self._resized: tuple[model.Grid, Params] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_params": None, "_blocks": -1, "_resized": None}

    @property
    def clip(self) -> tuple[int, int, int]:
        """Frames, height and width of the input that it is made for."""
        return self.config.clip

    @property
    def modality(self) -> str:
        """`image` where frames stand apart from each other."""
        return "image" if self.config.attends == "frame" else "video"

    @property
    def block_names(self) -> tuple[str, ...]:
        """The layers that are the bare outputs of the blocks: `block_0`, `block_1`, …"""
        return tuple(f"block_{index}" for index in range(self.config.total_depth))

    def blocks(self, layers: Sequence[Layer]) -> tuple[int, ...]:
        """Return how many blocks run for each layer.

        Raises:
            UsageError: a layer that the model does not have, or none.
        """
        if not layers:
            raise UsageError("layers: expected at least one layer, got none.")
        return tuple(count for count, _ in self._wanted(layers))

    def _wanted(self, layers: Sequence[Layer]) -> tuple[tuple[int, bool], ...]:
        """Return number of blocks, and whether the final norm is left out, for each layer."""
        return tuple(self._one(layer) for layer in layers)

    def _one(self, layer: Layer) -> tuple[int, bool]:
        depth = self.config.total_depth
        if not isinstance(layer, str):
            return blocks_to_run(layer, depth, self.config.layer_rule), False
        named = _BLOCK.fullmatch(layer)
        if named is None or int(named[1]) >= depth:
            raise UsageError(f"layer: expected a number, or block_0 to block_{depth - 1}, got {layer!r}.")
        return int(named[1]) + 1, True

    def encode(self, video: Array, layers: Sequence[Layer]) -> tuple[Array, ...]:
        """Return one float32 numpy `(b, t, k, c)` per layer of a video `(b, t, h, w, 3)` in [0, 1].

        A batch that divides by the number of local devices is spread over them.

        Raises:
            UsageError: no such layer, or a clip that the model does not take.
        """
        counts = self.blocks(layers)
        if np.ndim(video) != 5:
            raise UsageError(f"video: expected shape (b, t, h, w, 3), got {np.shape(video)}. Add the batch axis.")
        config = self._config_of(np.shape(video))
        model.token_grid(np.shape(video), config)
        params, video = self._on_grid(self._load(max(counts)), config.grid), np.asarray(video, np.float32)
        fixed = {"config": config, "wanted": self._wanted(layers), "settings": self._settings}
        if len(video) % jax.local_device_count():
            outs = _run(jax.tree.map(lambda array: array.addressable_data(0), params), video, **fixed)
        else:
            mesh = _mesh()
            outs = _run_spread(params, jax.device_put(video, NamedSharding(mesh, P("batch"))), mesh=mesh, **fixed)
        return tuple(np.asarray(out, np.float32) for out in outs)

    def init(self, key: Any, layers: Sequence[Layer] | None = None) -> Params:
        """Return the parameters, float32: the loaded weights, or random ones made from `key`.

        Args:
            layers: leave out what these do not need; by default nothing is left out.
        """
        blocks = self.config.total_depth if layers is None else max(self.blocks(layers))
        if self._read is None:
            return init_params(key, self.config, blocks)
        params = self._read(blocks)
        if self._native.grid != self.config.grid:
            params, _ = resample_params(params, self._native, self.config.grid)
        # Aligned arrays are taken as they are: weights are never there twice.
        on_device: Params = jax.device_put(params, jax.local_devices()[0])
        return on_device

    def apply(self, params: Params, video: Array, layers: Sequence[Layer]) -> tuple[Array, ...]:
        """Return one `(b, t, k, c)` per layer in the compute dtype; differentiable in `params`."""
        self.blocks(layers)
        return _normalised(params, video, self.config, self._wanted(layers), self._settings)

    def param_axes(self, layers: Sequence[Layer] | None = None) -> Any:
        """Return a tree like the parameters of `init`, of logical axis names (`probe4d_vit.table`)."""
        blocks = self.config.total_depth if layers is None else max(self.blocks(layers))
        return map_table(lambda param: param.axes, truncate(param_table(self.config), blocks, self.config))

    def kernels(self, layers: Sequence[Layer] | None = None) -> Any:
        """Return a tree like the parameters of `init` of booleans: those that weight decay pulls at."""
        blocks = self.config.total_depth if layers is None else max(self.blocks(layers))
        return map_table(lambda param: param.decay, truncate(param_table(self.config), blocks, self.config))

    @property
    def _settings(self) -> tuple[Any, ...]:
        return self.mean, self.std, self.dtype, self.kind

    def _load(self, blocks: int) -> Params:
        """Return parameters on every local device, of at least so many blocks; kept for the next call."""
        if self._params is None or self._blocks < blocks:
            self._params = self._resized = None  # free the shorter ones first
            _keep_compiled()
            key = jax.random.key(self.seed)
            params = init_params(key, self.config, blocks) if self._read is None else self._read(blocks)
            self._params = jax.device_put(params, NamedSharding(_mesh(), P()))
            self._blocks = blocks
        return self._params

    def _config_of(self, shape: tuple[int, ...]) -> VitConfig:
        """Return the configuration on the grid of a clip of this shape."""
        if not self.adapts:
            return self.config
        patch = self.config.patch
        if shape[-1] != 3 or any(size < cell or size % cell for size, cell in zip(shape[1:4], patch, strict=True)):
            raise UsageError(f"video: expected shape (b, t, h, w, 3), multiples of the patch {patch}, got {shape}.")
        t, h, w = (size // cell for size, cell in zip(shape[1:4], patch, strict=True))
        # Frames that stand apart share one table: their number makes no other model.
        grid = (self.config.grid[0] if self.config.attends == "frame" else t, h, w)
        if grid == self.config.grid:
            return self.config
        if self._note:
            log.warning(self._note)
            self._note = ""
        return evolve(self.config, grid=grid)

    def _on_grid(self, params: Params, grid: model.Grid) -> Params:
        """Return the parameters with their tables resized to a grid; those of the last one are kept."""
        if grid == self._native.grid or not self.config.has_table:
            return params
        if self._resized is None or self._resized[0] != grid:
            resized, _ = resample_params(params, self._native, grid)
            self._resized = grid, jax.device_put(resized, NamedSharding(_mesh(), P()))
        return self._resized[1]


def _normalised(
    params: Params, video: Array, config: VitConfig, wanted: tuple[tuple[int, bool], ...], settings: tuple[Any, ...]
) -> tuple[Array, ...]:
    mean, std, dtype, kind = settings
    if any(mean) or any(value != 1 for value in std):
        video = (video - jnp.asarray(mean, jnp.float32)) / jnp.asarray(std, jnp.float32)
    counts, bare = zip(*wanted, strict=True)
    return model.apply(params, video, counts, config, dtype=dtype, kind=kind, bare=bare)


_run = jax.jit(_normalised, static_argnames=("config", "wanted", "settings"))


def _keep_compiled() -> None:
    """Keep what is compiled on the disk for the next process, unless the user has named a place."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))


def _mesh() -> Mesh:
    return Mesh(np.asarray(jax.local_devices()), ("batch",))


@partial(jax.jit, static_argnames=("config", "wanted", "settings", "mesh"))
def _run_spread(
    params: Params,
    video: Array,
    *,
    config: VitConfig,
    wanted: tuple[tuple[int, bool], ...],
    settings: tuple[Any, ...],
    mesh: Mesh,
) -> tuple[Array, ...]:
    """Return the features of a batch that is split over the local devices.

    On a CPU with virtual devices this uses the cores better than threads inside each matmul.
    """
    run = partial(_normalised, config=config, wanted=wanted, settings=settings)
    out: tuple[Array, ...] = jax.shard_map(
        run, mesh=mesh, in_specs=(P(), P("batch")), out_specs=P("batch"), check_vma=False
    )(params, video)
    return out
