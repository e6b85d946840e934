"""The masked auto-encoding objective: a few visible tokens in, all pixels out.

The encoder is `probe4d_vit.model`; this module drops tokens, joins the latent grid before one of
the last blocks and decodes each latent to its patch of pixels. Source: paper section 3 and Table 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, prod
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from attrs import evolve, field, frozen

from probe4d.errors import UsageError
from probe4d_fourds.sizes import SIZES, vit_config
from probe4d_vit import model
from probe4d_vit.config import VitConfig
from probe4d_vit.layers import patchify, project_patches
from probe4d_vit.table import Param, Tree, param_table

Array: TypeAlias = Any
Params: TypeAlias = Mapping[str, Any]
Grid: TypeAlias = tuple[int, int, int]

ROUNDING = ("floor", "ceil")


@frozen(kw_only=True)
class Mae:
    """A masked auto-encoder of video.

    Attributes:
        vit: the encoder.
        decode_layers: blocks at the end in which the latents take part.
        output_patch: `(t, h, w)` pixels that one latent is decoded to; it divides the clip.
        masking: share of the tokens that is dropped.
        keep_rounding: which whole number of tokens stays, `floor` or `ceil`; the two ways in the authors' code
            differ by that one. Source: DECIDE floor.
        repeat: how often each frame is shown in a row; 2 makes a tubelet of one frame (image models).
    """

    vit: VitConfig
    decode_layers: int
    output_patch: Grid
    masking: float = field(default=0.95)
    keep_rounding: str = field(default="floor")
    repeat: int = field(default=1)

    def __attrs_post_init__(self) -> None:
        if not 0 < self.decode_layers <= self.vit.depth:
            raise UsageError(f"decode_layers: expected 1 to {self.vit.depth}, got {self.decode_layers}.")
        if any(size % cell for size, cell in zip(self._unit, self.output_patch, strict=True)):
            raise UsageError(f"output_patch: expected a divisor of {self._unit}, got {self.output_patch}.")
        if self.keep_rounding not in ROUNDING:
            raise UsageError(f"keep_rounding: expected {' or '.join(ROUNDING)}, got {self.keep_rounding!r}.")
        if not 0 <= self.masking < 1 or self.keep < 1:
            raise UsageError(
                f"masking: expected a share in [0, 1) that leaves at least 1 of {self.sequence} tokens, "
                f"got {self.masking}."
            )

    @property
    def apart(self) -> bool:
        """Whether each tubelet is a sequence of its own (image models)."""
        return self.vit.attends == "frame"

    @property
    def _unit(self) -> Grid:
        """Frames, height and width of what one sequence of tokens shows."""
        t, h, w = self.vit.clip
        return (self.vit.patch[0] if self.apart else t), h, w

    @property
    def sequence(self) -> int:
        """Tokens that attend to each other when none is dropped."""
        t, h, w = self.vit.grid
        return h * w * (1 if self.apart else t)

    @property
    def keep(self) -> int:
        """Tokens that stay of each sequence: `n · (1 - masking)` in whole, free of rounding in the factor."""
        share = self.sequence * (1 - self.masking)
        return int(share + 1e-9) if self.keep_rounding == "floor" else ceil(share - 1e-9)

    @property
    def latent_grid(self) -> Grid:
        """The learned grid, one latent a patch of the output."""
        t, h, w = (size // cell for size, cell in zip(self._unit, self.output_patch, strict=True))
        return t, h, w

    @property
    def latents(self) -> int:
        """Number of latents of a sequence."""
        return prod(self.latent_grid)


def mae(variant: str, *, image: bool = False, **changes: Any) -> Mae:
    """Return the objective of a size of `sizes.SIZES`.

    Args:
        image: the image twin: frames do not see each other, each is shown twice to fill its tubelet, and
            a clip gives every second frame, so that a batch has as many tokens as the video model's.
        changes: other values of `Mae`'s fields.

    Raises:
        UsageError: values that do not fit each other.
    """
    size, vit = SIZES[variant], vit_config(variant)
    values: dict[str, Any] = {"vit": vit, "decode_layers": size.decode_layers, "output_patch": size.output_patch}
    if image:
        cells = size.output_patch
        values |= {"vit": evolve(vit, attends="frame"), "output_patch": (vit.patch[0], *cells[1:]), "repeat": 2}
    return Mae(**(values | changes))


def mae_table(config: Mae) -> Tree:
    """Return the tree of `Param` of the whole model: `encoder`, `latents` and `decoder`."""
    d, cells = config.vit.width, prod(config.output_patch) * 3
    return {
        "encoder": param_table(config.vit),
        "latents": Param((*config.latent_grid, d), (None, None, None, "embed"), "normal"),
        "decoder": {
            "kernel": Param((d, cells), ("embed", "pixels"), "lecun", (d, cells), decay=True),
            "bias": Param((cells,), ("pixels",), "zeros"),
        },
    }


def draw_kept(key: Array, sequences: int, config: Mae) -> Array:
    """Return which tokens of each sequence stay, `(sequences, keep)` int32, uniform and without order."""
    noise = jax.random.uniform(key, (sequences, config.sequence))
    return jnp.argsort(noise, axis=-1)[:, : config.keep].astype(jnp.int32)


def embed_kept(params: Params, video: Array, kept: Array, config: VitConfig, dtype: Any) -> Array:
    """Return the tokens that stay, `(sequences, keep, d)`; those dropped are never computed.

    Args:
        video: `(b, t, h, w, 3)` in [0, 1].
        kept: `(sequences, keep)`, positions within a sequence.
    """
    patches = patchify(video, config.patch)  # (b, t', h', w', p)
    patches = patches.reshape(kept.shape[0], -1, patches.shape[-1])
    visible = jnp.take_along_axis(patches, kept[..., None], axis=1)
    tokens = project_patches(params["embed"], visible, dtype)
    table = params["position"].reshape(-1, tokens.shape[-1])
    return tokens + jnp.take(table, kept, axis=0).astype(dtype)


def decode_tokens(
    params: Params,
    tokens: Array,
    config: Mae,
    kind: str,
    *,
    wrap: Callable[[Any], Any] | None = None,
    unshard: Callable[[Params], Params] | None = None,
) -> tuple[Array, Array]:
    """Return the latents `(sequences, latents, d)` and the tokens after the last block.

    The last `decode_layers` blocks see both, latents first.

    Args:
        params: of the whole model.
        tokens: `(sequences, n, d)` that enter the first block.
        wrap, unshard: see `probe4d_vit.model.run_blocks`.
    """
    split = config.vit.depth - config.decode_layers
    stacked, tree = jax.tree.flatten(params["encoder"]["blocks"])
    # The gradient of a split is one array, that of two slices a sum of two.
    halves = [jnp.split(layers, [split]) for layers in stacked]
    first, last = (jax.tree.unflatten(tree, half) for half in zip(*halves, strict=True))
    tokens = model.run_blocks(first, tokens, [split], config.vit, kind, remat=wrap, unshard=unshard)[split]
    grid = params["latents"].reshape(1, -1, tokens.shape[-1]).astype(tokens.dtype)
    joined = jnp.concatenate([jnp.broadcast_to(grid, (tokens.shape[0], *grid.shape[1:])), tokens], axis=1)
    after = model.run_blocks(last, joined, [config.decode_layers], config.vit, kind, remat=wrap, unshard=unshard)[
        config.decode_layers
    ]
    return after[:, : config.latents], after[:, config.latents :]


def predict(params: Params, latents: Array) -> Array:
    """Return each latent's patch of pixels, `(sequences, latents, pt · ph · pw · 3)` float32."""
    kernel, bias = params["decoder"]["kernel"], params["decoder"]["bias"]
    rows = latents.reshape(-1, latents.shape[-1])  # joined, see `probe4d_vit.layers.product`
    out = jnp.matmul(rows, kernel.astype(latents.dtype), preferred_element_type=jnp.float32)
    return (out + bias.astype(jnp.float32)).reshape(*latents.shape[:-1], -1)


def target_patches(video: Array, config: Mae) -> Array:
    """Return what `predict` should be: raw RGB, `(sequences, latents, pt · ph · pw · 3)` float32."""
    t, h, w = config.latent_grid
    patches = patchify(video.astype(jnp.float32), config.output_patch)
    return patches.reshape(-1, t * h * w, patches.shape[-1])


def to_video(patches: Array, config: Mae) -> Array:
    """Return patches of the output, `(sequences, latents, …)`, as a video `(b, t, h, w, 3)`."""
    (_, height, width), (pt, ph, pw) = config.vit.clip, config.output_patch
    frames = config.vit.clip[0]
    cut = patches.reshape(-1, frames // pt, height // ph, width // pw, pt, ph, pw, 3)
    return cut.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, frames, height, width, 3)


def shown(video: Array, config: Mae) -> Array:
    """Return the clip as the model sees it: every `repeat`-th frame, `repeat` times in a row."""
    if config.repeat == 1:
        return video
    return jnp.repeat(video[:, :: config.repeat], config.repeat, axis=1)


def reconstruct(
    params: Params,
    video: Array,
    kept: Array,
    config: Mae,
    kind: str,
    *,
    dtype: Any,
    wrap: Callable[[Any], Any] | None = None,
    unshard: Callable[[Params], Params] | None = None,
) -> Array:
    """Return the predicted patches of a clip `(b, t, h, w, 3)` in [0, 1] as `shown` gives it."""
    tokens = embed_kept(params["encoder"], video, kept, config.vit, dtype)
    latents, _ = decode_tokens(params, tokens, config, kind, wrap=wrap, unshard=unshard)
    return predict(params, latents)


def squared_error(predicted: Array, target: Array) -> Array:
    """Return the mean squared error over all patches, masked and visible, of each sequence: `(sequences,)` float32."""
    return jnp.square(predicted - target).mean(axis=(1, 2))
