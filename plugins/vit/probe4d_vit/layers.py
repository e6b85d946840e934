"""The layers of the blocks as plain functions of parameters and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

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
    return _rows_product(x.reshape(-1, x.shape[-1]), matrix).reshape(*x.shape[:-1], matrix.shape[-1])


@jax.custom_vjp  # type: ignore[untyped-decorator]
def _rows_product(rows: Array, matrix: Array) -> Array:
    return rows @ matrix


def _rows_product_forward(rows: Array, matrix: Array) -> tuple[Array, tuple[Array, Array]]:
    return rows @ matrix, (rows, matrix)


def _rows_product_backward(kept: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    rows, matrix = kept
    by_output = partial(lax.dot_general, dimension_numbers=(((0,), (0,)), ((), ())))  # (o, i)
    if matrix.shape[0] > matrix.shape[1]:
        # XLA would fold the transpose into the product, which takes a fifth longer on a CPU where i > o.
        held = lax.platform_dependent(
            grad, rows, cpu=lambda *each: lax.optimization_barrier(by_output(*each)), default=by_output
        )
    else:
        held = by_output(grad, rows)
    return grad @ matrix.T, held.T


_rows_product.defvjp(_rows_product_forward, _rows_product_backward)


def layer_norm(params: Params, x: Array, config: VitConfig) -> Array:
    """Return the tokens normalised over their channels; in float32 inside, in the dtype of `x` outside."""
    scale = params["scale"].astype(jnp.float32) + (1.0 if config.scale_offset else 0.0)
    return _layer_norm(x, scale, params["bias"].astype(jnp.float32), config.eps)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _layer_norm(x: Array, scale: Array, bias: Array, eps: float) -> Array:
    centred, over_deviation = _centred(x, eps)
    return (centred * (over_deviation * scale) + bias).astype(x.dtype)


def _centred(x: Array, eps: float) -> tuple[Array, Array]:
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(axis=-1, keepdims=True)
    return centred, lax.rsqrt(jnp.square(centred).mean(axis=-1, keepdims=True) + eps)


def _layer_norm_forward(x: Array, scale: Array, bias: Array, eps: float) -> tuple[Array, tuple[Array, Array]]:
    return _layer_norm(x, scale, bias, eps), (x, scale)


def _layer_norm_backward(eps: float, kept: tuple[Array, Array], grad: Array) -> tuple[Array, Array, Array]:
    """Keeps nothing but the input; means over channels are products with `scale`, faster than sums on a CPU."""
    x, scale = kept
    centred, over_deviation = _centred(x, eps)
    normed, grad = centred * over_deviation, grad.astype(jnp.float32)
    by_normed = grad * normed
    share = scale / x.shape[-1]
    mean, slope = (jnp.dot(each, share, precision=lax.Precision.HIGHEST)[..., None] for each in (grad, by_normed))
    grad_x = over_deviation * (grad * scale - mean - normed * slope)
    rows = tuple(range(x.ndim - 1))
    return grad_x.astype(x.dtype), by_normed.sum(rows), grad.sum(rows)


_layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


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


@jax.custom_vjp  # type: ignore[untyped-decorator]
def tanh_gelu(x: Array) -> Array:
    """Return `jax.nn.gelu(x)`; its gradient takes one hyperbolic tangent and keeps nothing but `x`."""
    return jax.nn.gelu(x)


def _tanh_gelu_backward(x: Array, grad: Array) -> tuple[Array]:
    scale, cubic = jnp.asarray((2 / jnp.pi) ** 0.5, x.dtype), 0.044715
    square = x * x
    tanh = jnp.tanh(scale * x * (1 + cubic * square))
    slope = 0.5 * (1 + tanh) * (1 + scale * x * (1 - tanh) * (1 + 3 * cubic * square))
    return (slope * grad,)


tanh_gelu.defvjp(lambda x: (jax.nn.gelu(x), x), _tanh_gelu_backward)


def mlp(params: Params, x: Array, config: VitConfig) -> Array:
    """Return the MLP branch of a block, `(b, n, d)`; the backward pass computes the activation again."""

    def down(params: Params, hidden: Array, gate: Array | None) -> Array:
        if gate is not None:
            return _dense(params, jax.nn.silu(gate) * hidden)
        return _dense(params, tanh_gelu(hidden) if config.activation == "gelu_tanh" else exact_gelu(hidden))

    gate = _dense(params["gate"], x) if config.activation == "swiglu" else None
    again = jax.checkpoint(down, prevent_cse=False)  # blocks are scanned: forward and backward cannot be merged
    out: Array = again(params["down"], _dense(params["up"], x), gate)
    return out


def block(params: Params, x: Array, config: VitConfig, kind: str, angles: tuple[Array, Array] | None = None) -> Array:
    """Return the tokens `(b, n, d)` after one block."""
    branch = self_attention(params, layer_norm(params["norm1"], x, config), config, kind, angles)
    x = x + (branch * params["scale1"].astype(x.dtype) if "scale1" in params else branch)
    branch = mlp(params, layer_norm(params["norm2"], x, config), config)
    return x + (branch * params["scale2"].astype(x.dtype) if "scale2" in params else branch)
