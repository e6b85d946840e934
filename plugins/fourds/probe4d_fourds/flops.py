"""Floating-point operations of the objective, counted by hand: two per multiply-add of a matrix product.

Recomputation is not counted, and neither is what is not a matrix product.
"""

from __future__ import annotations

from math import prod

from probe4d_fourds.objective import Mae
from probe4d_vit.config import VitConfig

__all__ = ["forward_flops", "train_flops"]

BACKWARD = 2  # of the forward pass: a product has two gradients


def block_flops(config: VitConfig, tokens: int) -> int:
    """Return the operations of one block on one sequence of so many tokens."""
    d, inner = config.width, config.heads * config.head_dim
    projections = 4 * d * inner + (3 if config.activation == "swiglu" else 2) * d * config.mlp
    return 2 * tokens * projections + 2 * 2 * tokens * tokens * inner


def forward_flops(config: Mae) -> int:
    """Return the operations of one clip: embedding and blocks of what is visible, the decoder of everything."""
    vit = config.vit
    sequences = vit.grid[0] if config.apart else 1
    embed = 2 * config.keep * prod(vit.patch) * 3 * vit.width
    first = (vit.depth - config.decode_layers) * block_flops(vit, config.keep)
    last = config.decode_layers * block_flops(vit, config.keep + config.latents)
    decode = 2 * config.latents * vit.width * prod(config.output_patch) * 3
    return sequences * (embed + first + last + decode)


def train_flops(config: Mae) -> int:
    """Return the operations of one clip in a training step, forward and backward."""
    return (1 + BACKWARD) * forward_flops(config)
