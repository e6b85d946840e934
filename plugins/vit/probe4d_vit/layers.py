"""The layers of the blocks as plain functions of parameters and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from probe4d_vit import attention
from probe4d_vit.config import VitConfig

Array: TypeAlias = Any
Params: TypeAlias = Mapping[str, Any]


def patchify(video: Array, patch: tuple[int, int, int]) -> Array:
    """Return the patches `(b, t', h', w', pt · ph · pw · 3)` of a video `(b, t, h, w, 3)`, in that order."""
    b, t, h, w, c = video.shape
    pt, ph, pw = patch
    cut = video.reshape(b, t // pt, pt, h // ph, ph, w // pw, pw, c)
    return cut.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, t // pt, h // ph, w // pw, pt * ph * pw * c)


def project_patches(params: Params, patches: Array, dtype: Any) -> Array:
    """Return the patches `(…, p)` as tokens `(…, d)`: the convolution of a non-overlapping tubelet."""
    kernel = params["kernel"].astype(dtype)
    return product(patches.astype(dtype), kernel.reshape(-1, kernel.shape[-1])) + params["bias"].astype(dtype)


def product(x: Array, matrix: Array) -> Array:
    """Return `x @ matrix` for x `(…, d)`, as one product of two matrices.

    Rows are joined first: with more axes, the gradient of the matrix is a contraction over several of
    them, for which XLA leaves its fast path on a CPU (4 times slower).
    """
    return (x.reshape(-1, x.shape[-1]) @ matrix).reshape(*x.shape[:-1], matrix.shape[-1])


def layer_norm(params: Params, x: Array, config: VitConfig) -> Array:
    """Return the tokens normalised over their channels; in float32 inside, in the dtype of `x` outside."""
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(axis=-1, keepdims=True)
    variance = jnp.square(centred).mean(axis=-1, keepdims=True)
    scale = params["scale"].astype(jnp.float32) + (1.0 if config.scale_offset else 0.0)
    out = centred * (jax.lax.rsqrt(variance + config.eps) * scale) + params["bias"].astype(jnp.float32)
    return out.astype(x.dtype)


def _project(params: Params, x: Array) -> Array:
    """Return `(b, n, d)` as heads `(b, n, h, s)`."""
    kernel = params["kernel"].astype(x.dtype)
    out = product(x, kernel.reshape(kernel.shape[0], -1)).reshape(*x.shape[:-1], *kernel.shape[1:])
    return out + params["bias"].astype(x.dtype) if "bias" in params else out


def rotate(x: Array, angles: tuple[Array, Array]) -> Array:
    """Return heads `(b, n, h, s)` with neighbouring channels rotated by `(cos, sin)`, each `(n, s)`."""
    cos, sin = (angle.astype(x.dtype)[:, None] for angle in angles)
    pairs = x[..., : x.shape[-1] // 2 * 2].reshape(*x.shape[:-1], -1, 2)
    turned = jnp.stack((-pairs[..., 1], pairs[..., 0]), axis=-1).reshape(*x.shape[:-1], -1)
    if x.shape[-1] % 2:
        turned = jnp.pad(turned, [(0, 0)] * (x.ndim - 1) + [(0, 1)])
    return x * cos + turned * sin


def self_attention(
    params: Params, x: Array, config: VitConfig, kind: str, angles: tuple[Array, Array] | None = None
) -> Array:
    """Return the attention branch of a block, `(b, n, d)`."""
    q, k, v = (_project(params[name], x) for name in "qkv")
    if angles is not None:
        q, k = rotate(q, angles), rotate(k, angles)
    out = attention.attend(q, k, v, kind, config.softcap)
    kernel = params["o"]["kernel"].astype(x.dtype)
    flat = out.reshape(*x.shape[:-1], -1)
    return product(flat, kernel.reshape(-1, kernel.shape[-1])) + params["o"]["bias"].astype(x.dtype)


def _dense(params: Params, x: Array) -> Array:
    return product(x, params["kernel"].astype(x.dtype)) + params["bias"].astype(x.dtype)


def exact_gelu(x: Array) -> Array:
    """Return `x Φ(x)` by the error function, as torch has it; in float32 inside, in the dtype of `x` outside.

    `jax.nn.gelu` takes it from the complementary one, which takes four times as long on a CPU. What that keeps of
    far negative numbers is below 1e-6.
    """
    wide = x.astype(jnp.float32)
    return (0.5 * wide * (1 + jax.lax.erf(wide * jnp.float32(0.5**0.5)))).astype(x.dtype)


def mlp(params: Params, x: Array, config: VitConfig) -> Array:
    """Return the MLP branch of a block, `(b, n, d)`."""
    hidden = _dense(params["up"], x)
    if config.activation == "swiglu":
        hidden = jax.nn.silu(_dense(params["gate"], x)) * hidden
    else:
        hidden = jax.nn.gelu(hidden) if config.activation == "gelu_tanh" else exact_gelu(hidden)
    return _dense(params["down"], hidden)


def block(params: Params, x: Array, config: VitConfig, kind: str, angles: tuple[Array, Array] | None = None) -> Array:
    """Return the tokens `(b, n, d)` after one block."""
    branch = self_attention(params, layer_norm(params["norm1"], x, config), config, kind, angles)
    x = x + (branch * params["scale1"].astype(x.dtype) if "scale1" in params else branch)
    branch = mlp(params, layer_norm(params["norm2"], x, config), config)
    return x + (branch * params["scale2"].astype(x.dtype) if "scale2" in params else branch)
