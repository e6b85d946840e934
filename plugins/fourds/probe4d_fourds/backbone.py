"""4DS as a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from attrs import evolve

from probe4d.errors import UsageError, did_you_mean
from probe4d_fourds import checkpoint
from probe4d_fourds.sizes import SIZES, vit_config
from probe4d_vit.backbone import Layer, VitBackbone
from probe4d_vit.checkpoints import open_checkpoint
from probe4d_vit.config import VitConfig


def load(
    weights: str | None = None,
    seed: int = 0,
    *,
    variant: str | None,
    random: bool = False,
    image: bool = False,
    layer_rule: str = "released",
    frames: int | None = None,
    size: int | Sequence[int] | None = None,
    dtype: str | None = None,
    attention: str | None = None,
) -> VitBackbone:
    """Return a 4DS encoder.

    Args:
        weights: a checkpoint in the released layout; random weights without one (`probe4d.load_backbone`
            refuses to, for a name that means trained ones).
        seed: of random weights.
        variant: a key of `sizes.SIZES`; None takes the size of the checkpoint's arrays.
        random: the name means random weights, so a checkpoint is refused.
        image: the image twin: each frame by itself, shown twice to fill its tubelet.
        layer_rule: `released` or `paper`, see `probe4d_vit.config.blocks_to_run`.
        frames, size: another input, for which the position table is resized; `size` is a side or (h, w).
        dtype: `float32` or `bfloat16`; by default float32 on a CPU and bfloat16 elsewhere.
        attention: `tiled`, `fused` or `einsum`; by default the fastest here.

    Raises:
        UsageError: an unknown size, weights for a random one, or an input that patches do not fill.
        DataError: the checkpoint is of another model.
    """
    if variant is not None and variant not in SIZES:
        raise UsageError(f"variant: expected one of {', '.join(SIZES)}, got {variant!r}.{did_you_mean(variant, SIZES)}")
    if variant is None and weights is None:
        raise UsageError("backbone '4ds': expected a checkpoint, which says the size, got none. Give its weights.")
    if random and weights is not None:
        raise UsageError(f"{variant}-random: expected no weights, got {weights!r}. Load {variant} with them.")
    native = _of_file(weights, layer_rule) if variant is None else vit_config(variant, layer_rule)
    grid = _grid(native.patch, frames or native.clip[0], native.clip[1:] if size is None else size)
    if image:  # a tubelet a frame
        native = evolve(native, attends="frame", grid=(native.clip[0], *native.grid[1:]))
        grid = (grid[0] * native.patch[0], *grid[1:])
    config = evolve(native, grid=grid)
    read = None
    if weights is not None:
        checkpoint.prefix_of(open_checkpoint(weights))  # refuse a wrong file now, not at the first clip
        read = checkpoint.reader(weights, native, grid)
    made = ImageTwin if image else VitBackbone
    return made(config, read, seed=seed, dtype=dtype, kind=attention)


def _of_file(weights: str | None, layer_rule: str) -> VitConfig:
    return evolve(vit_config("4ds-b", layer_rule), **checkpoint.sizes_of(open_checkpoint(str(weights))))


class ImageTwin(VitBackbone):
    """The encoder whose frames do not see each other; it takes the clips that the video model takes."""

    def encode(self, video: Any, layers: Sequence[Layer]) -> tuple[Any, ...]:
        """Return features with as many time steps as the clip has frames."""
        return super().encode(np.repeat(video, self.config.patch[0], axis=1), layers)

    def apply(self, params: Any, video: Any, layers: Sequence[Layer]) -> tuple[Any, ...]:
        """Return the same, differentiable in `params`."""
        return super().apply(params, jnp.repeat(video, self.config.patch[0], axis=1), layers)


def _grid(patch: tuple[int, int, int], frames: int, size: int | Sequence[int]) -> tuple[int, int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    clip = (frames, height, width)
    if any(pixels < cell or pixels % cell for pixels, cell in zip(clip, patch, strict=True)):
        raise UsageError(f"frames, size: expected multiples of the patch {patch}, got {clip}.")
    t, h, w = (pixels // cell for pixels, cell in zip(clip, patch, strict=True))
    return t, h, w
