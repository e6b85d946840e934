"""The forward pass: video to features, as pure functions of a configuration and its parameters.

`apply` is `embed` → `run_blocks` → `to_features`; who needs tokens in between (a masked
autoencoder drops some and joins others) calls the three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from probe4d.errors import UsageError
from probe4d_vit import attention, positions
from probe4d_vit.config import VitConfig
from probe4d_vit.layers import block, layer_norm, patchify, project_patches

Array: TypeAlias = Any
Params: TypeAlias = Mapping[str, Any]
Grid: TypeAlias = tuple[int, int, int]


def compute_dtype(dtype: Any = None) -> Any:
    """Return the dtype to compute in: the one given, else float32 on a CPU and bfloat16 elsewhere.

    Raises:
        UsageError: neither float32 nor bfloat16.
    """
    if dtype is None:
        return jnp.dtype(jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16)
    if str(dtype) not in ("float32", "bfloat16"):
        raise UsageError(f"dtype: expected float32 or bfloat16, got {dtype!r}.")
    return jnp.dtype(str(dtype))


def apply(
    params: Params,
    video: Array,
    blocks: Sequence[int],
    config: VitConfig,
    *,
    dtype: Any = None,
    kind: str | None = None,
    bare: Sequence[bool] | None = None,
) -> tuple[Array, ...]:
    """Return features `(b, t', h'·w', d)` after each of the numbers of blocks that are asked for.

    What follows the last of them is not computed. The final norm belongs to the last block (and to
    the last spatial one, where there are temporal ones).

    Args:
        params: as in `table.param_table`; blocks that are not needed may be missing.
        video: `(b, t, h, w, 3)`, normalised as the model wants it.
        dtype: see `compute_dtype`.
        kind: of attention, see `attention.choose`.
        bare: for each of `blocks`, whether its final norm is left out; none by default.

    Raises:
        UsageError: a video of another size, or more blocks than there are.
    """
    dtype, kind = compute_dtype(dtype), attention.choose(kind)
    grid = token_grid(video.shape, config)
    tokens = embed(params, video, config, dtype)  # (b, n, d), or (b·t, n, d) where frames are apart
    spatial = [count for count in blocks if count <= config.depth]
    temporal = [count - config.depth for count in blocks if count > config.depth]
    whole = [config.depth] if temporal else []
    angles = _angles(config, grid)
    after = run_blocks(params["blocks"], tokens, [*spatial, *whole], config, kind, angles=angles)
    found = {(count, True): to_features(x, grid, config) for count, x in after.items()}
    if config.depth in after and config.final_norm:
        found[config.depth, False] = to_features(layer_norm(params["norm"], after[config.depth], config), grid, config)
    if temporal:
        space = found.get((config.depth, False), found[config.depth, True])
        found |= _over_time(params["temporal"], space, temporal, config, kind)
    wanted = zip(blocks, bare or [False] * len(blocks), strict=True)
    return tuple(found.get((count, without), found[count, True]) for count, without in wanted)


def token_grid(shape: Sequence[int], config: VitConfig) -> Grid:
    """Return the tokens `(t, h, w)` that a video of this shape makes.

    Raises:
        UsageError: the configuration is for another one. Frames that stand apart and rotary positions take any number.
    """
    frames, height, width = config.clip
    free = config.position in ("rope", "none") and config.rope_grid is None
    want = (
        "t" if config.attends == "frame" or free else frames,
        "h" if free else height,
        "w" if free else width,
    )
    sizes = tuple(shape[1:4])
    fits = len(shape) == 5 and shape[-1] == 3
    fits = fits and all(isinstance(w, str) or w == size for w, size in zip(want, sizes, strict=True))
    if not fits or any(size % cell or not size for size, cell in zip(sizes, config.patch, strict=True)):
        wanted = ", ".join(map(str, want))
        raise UsageError(
            f"video: expected shape (b, {wanted}, 3), a multiple of the patch {config.patch}, got {tuple(shape)}. "
            "Resize the clip, or load the backbone with frames= and size= of the clip."
        )
    t, h, w = (size // cell for size, cell in zip(sizes, config.patch, strict=True))
    return t, h, w


def _angles(config: VitConfig, grid: Grid) -> tuple[Array, Array] | None:
    return positions.rope(config, grid) if config.position == "rope" else None


def embed(params: Params, video: Array, config: VitConfig, dtype: Any) -> Array:
    """Return the tokens that enter the first block: prefix tokens first, then patches with their positions.

    Returns:
        `(b, n, d)`; `(b·t, n, d)` where frames are apart.
    """
    x = project_patches(params["embed"], patchify(video, config.patch), dtype)  # (b, t', h', w', d)
    if config.has_table:
        x = x + params["position"].astype(dtype)  # cast: a float32 table would widen a bfloat16 trunk
    x = x.reshape(x.shape[0] * (1 if config.attends == "video" else x.shape[1]), -1, x.shape[-1])
    prefix = []
    if config.cls:
        cls = params["cls"].astype(dtype)
        prefix.append(cls + params["cls_position"].astype(dtype) if config.cls_position else cls)
    if config.registers:
        prefix.append(params["registers"].astype(dtype))
    heads = [jnp.broadcast_to(p, (x.shape[0], *p.shape)) for p in prefix]
    return jnp.concatenate([*heads, x], axis=1) if heads else x


def to_features(tokens: Array, grid: Grid, config: VitConfig) -> Array:
    """Return the tokens as `(b, t', h'·w', d)`, without the prefix."""
    t, h, w = grid
    patches = tokens[:, config.prefix :]
    return patches.reshape(-1, t, h * w, patches.shape[-1])


def _over_time(
    params: Params, features: Array, counts: Sequence[int], config: VitConfig, kind: str
) -> dict[tuple[int, bool], Array]:
    """Return features after temporal blocks, by number and whether the final norm is left out.

    Each position of the grid is a sequence over time.
    """
    b, t, k, d = features.shape
    x = features.transpose(0, 2, 1, 3).reshape(b * k, t, d)
    if config.has_table:
        x = x + params["position"].astype(x.dtype)
    after = run_blocks(params["blocks"], x, counts, config, kind)
    tokens = {(config.depth + count, True): x for count, x in after.items()}
    if config.temporal_depth in after and config.final_norm:
        normed = layer_norm(params["norm"], after[config.temporal_depth], config)
        tokens[config.total_depth, False] = normed
    return {key: x.reshape(b, k, t, d).transpose(0, 2, 1, 3) for key, x in tokens.items()}


def run_blocks(
    blocks: Params,
    tokens: Array,
    counts: Sequence[int],
    config: VitConfig,
    kind: str,
    *,
    angles: tuple[Array, Array] | None = None,
    remat: Callable[[Any], Any] | None = None,
    unshard: Callable[[Params], Params] | None = None,
) -> dict[int, Array]:
    """Return the tokens after each number of blocks, by number.

    One scan over the stacked blocks, so that compile time does not grow with the depth.

    Args:
        blocks: stacked, `(layers, …)` each; those after the last one asked for are not touched.
        tokens: `(b, n, d)`.
        counts: numbers of blocks; 0 is the tokens as they come.
        remat: wraps the scanned step, as `jax.checkpoint` with a policy does.
        unshard: makes the whole parameters of one block from its shards, inside the step, so that only
            one block is ever whole.

    Raises:
        UsageError: more blocks than there are.
    """
    have = blocks["o"]["bias"].shape[0]
    last = max(counts)
    if last > have:
        raise UsageError(f"layers: expected at most {have} blocks, the ones that are loaded, got {last}.")
    kept = sorted(set(counts) - {0, last})
    slots = jnp.asarray([kept.index(n) if n in kept else len(kept) for n in range(1, last + 1)], jnp.int32)
    # The row after the last is where the tokens go that nobody asked for.
    buffer = jnp.zeros((len(kept) + 1 if kept else 0, *tokens.shape), tokens.dtype)

    def step(carry: tuple[Array, Array], each: tuple[Params, Array]) -> tuple[tuple[Array, Array], None]:
        x, buffer = carry
        params, slot = each
        if unshard is not None:
            params = unshard(params)
        x = block(params, x, config, kind, angles)
        if kept:
            buffer = lax.dynamic_update_index_in_dim(buffer, x, slot, 0)
        return (x, buffer), None

    needed = blocks if last == have else jax.tree.map(lambda stacked: stacked[:last], blocks)
    out = tokens
    if last:
        (out, buffer), _ = lax.scan(remat(step) if remat else step, (tokens, buffer), (needed, slots))
    found = {0: tokens, last: out} | {count: buffer[slot] for slot, count in enumerate(kept)}
    return {count: found[count] for count in counts}
