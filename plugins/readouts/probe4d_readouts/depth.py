"""`depth`: one query per 2x8x8 patch of the clip to the depth of each of its pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from probe4d.errors import UsageError
from probe4d_readouts.batches import check_fields, masked_sum, real_samples
from probe4d_readouts.configs import DepthConfig
from probe4d_readouts.fourier import embed_coordinates, embedder_table
from probe4d_readouts.readout import CrossAttentionReadout
from probe4d_readouts.trunk import Dims

__all__ = ["DepthReadout"]


class DepthReadout(CrossAttentionReadout):
    """Metric depth. Options: `DepthConfig`. Source: paper A.2.5.

    Batch: `depth (b, t, h, w)` metres and `valid (b, t, h, w)`; optional `sample_mask (b,)`. Where `valid`
    is off, depth may hold anything. The clip's size, and with it the number of queries, is that of
    `depth`. Outputs: `(b, t, h, w)` metres.
    """

    kind = "depth"
    config_class = DepthConfig
    terms = ("l2",)

    def dims(self, features: Any, batch: Mapping[str, Any]) -> Dims:
        """Return a query per patch, an output per pixel of a patch."""
        _, _, space, channels = features.shape
        config = self.config
        learned = config.queries == "learned"
        return Dims(
            frames=config.frames,
            space=space,
            channels=channels,
            queries=self.asked(batch) if learned else 0,
            query_width=config.query_mlp,
            outputs=math.prod(config.patch),
        )

    def asked(self, batch: Mapping[str, Any]) -> int:
        """Return one query per patch."""
        return math.prod(self._grid(batch))

    def any_dims(self) -> Dims:
        """Return dims with learned or given queries, as configured."""
        return Dims(frames=1, space=1, channels=1, queries=int(self.config.queries == "learned"), query_width=1)

    def table(self, dims: Dims) -> dict[str, Any]:
        """Return the trunk's parameters and, for Fourier queries, their MLP."""
        if self.config.queries == "learned":
            return super().table(dims)
        return {**super().table(dims), "query_mlp": embedder_table(3, self.config.bands, self.config.query_mlp)}

    def apply(self, params: Any, features: Any, batch: Mapping[str, Any]) -> Any:
        """Return metres `(b, t, h, w)`; of the batch, only the shape of `depth` is read."""
        config = self.config
        grid = self._grid(batch)
        queries = None
        if config.queries == "fourier":
            centres = embed_coordinates(
                params["query_mlp"], _patch_centres(grid), config.bands, jnp.dtype(config.dtype)
            )
            queries = jnp.broadcast_to(centres, (features.shape[0], *centres.shape))
        elif params["query"]["embedding"].shape[0] != math.prod(grid):
            raise UsageError(
                f"readout 'depth': expected {params['query']['embedding'].shape[0]} patches of {config.patch}, "
                f"got {grid}. Learned queries serve the clip size that the parameters were made with."
            )
        return _join_patches(self.answer(params, features, queries), grid, config.patch)

    def sums(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the squared error over the valid pixels."""
        valid = self._valid(batch)
        target = jnp.where(valid, batch["depth"], 0.0)
        return {"l2": masked_sum(jnp.square(outputs - target), valid)}

    def mean_output(self, batch: Mapping[str, Any]) -> Any:
        """Return the mean depth of the valid pixels, for every pixel of a patch."""
        valid = self._valid(batch)
        mean = masked_sum(batch["depth"], valid) / jnp.maximum(valid.sum(dtype=jnp.float32), 1.0)
        return jnp.full(math.prod(self.config.patch), mean)

    def weights(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of valid pixels."""
        return {"l2": self._valid(batch).sum(dtype=jnp.float32)}

    def decode(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return `depth (b, t, h, w)` in metres."""
        return {"depth": outputs}

    def example_batch(self, seed: int, size: int) -> dict[str, Any]:
        """Return random depth of two patches a side for `size` clips, for the conformance kit and examples."""
        random = np.random.default_rng(seed)
        _, height, width = self.config.patch
        depth = random.uniform(1, 9, (size, self.config.frames, 2 * height, 2 * width)).astype(np.float32)
        return {"depth": depth, "valid": random.random(depth.shape) < 0.9}

    def _grid(self, batch: Mapping[str, Any]) -> tuple[int, int, int]:
        """Return the number of patches along time, height and width.

        Raises:
            UsageError: the patch does not divide the clip.
        """
        sizes = check_fields("readout 'depth'", batch, {"depth": "b t h w"})
        clip = (sizes["t"], sizes["h"], sizes["w"])
        if any(size % part for size, part in zip(clip, self.config.patch, strict=True)):
            raise UsageError(
                f"readout 'depth': expected a clip (t, h, w) that patches of {self.config.patch} divide, got {clip}. "
                "Resize the clip, or set the option `patch`."
            )
        t, h, w = (size // part for size, part in zip(clip, self.config.patch, strict=True))
        return t, h, w

    def _valid(self, batch: Mapping[str, Any]) -> Any:
        """Return `(b, t, h, w)`: pixels to train on."""
        sizes = check_fields("readout 'depth'", batch, {"depth": "b t h w", "valid": "b t h w"})
        nearest, farthest = self.config.valid_range
        depth = batch["depth"]
        real = real_samples(batch, sizes["b"])[:, None, None, None]
        return jnp.asarray(batch["valid"], bool) & (depth > nearest) & (depth < farthest) & real


def _patch_centres(grid: tuple[int, int, int]) -> Any:
    """Return `(q, 3)` float32 centres t, y, x of the patches in [0, 1], time slowest."""
    axes = [(np.arange(size, dtype=np.float32) + 0.5) / size for size in grid]
    return jnp.asarray(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))


def _join_patches(patches: Any, grid: tuple[int, int, int], patch: tuple[int, int, int]) -> Any:
    """Return `(b, t, h, w)` of `(b, q, numbers)`; both orders are time, row, column. Source: released."""
    (t, h, w), (dt, dh, dw) = grid, patch
    split = patches.reshape(-1, t, h, w, dt, dh, dw).transpose(0, 1, 4, 2, 5, 3, 6)
    return split.reshape(-1, t * dt, h * dh, w * dw)
