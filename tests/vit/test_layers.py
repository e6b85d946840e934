"""Layers whose gradients are written by hand have those of their definitions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probe4d_vit.config import VitConfig
from probe4d_vit.layers import layer_norm, product, tanh_gelu


def plain_norm(params, x, config):
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(-1, keepdims=True)
    normed = centred / jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + config.eps)
    return (normed * (params["scale"] + config.scale_offset) + params["bias"]).astype(x.dtype)


def both(ours, theirs, *arrays):
    """Return the values and all gradients of two functions of the same arrays, for one upstream gradient."""
    upstream = np.random.default_rng(1).normal(size=jax.eval_shape(ours, *arrays).shape).astype(np.float32)

    def graded(form):
        value, pull = jax.vjp(form, *arrays)
        return value, pull(upstream.astype(value.dtype))

    return jax.jit(lambda: (graded(ours), graded(theirs)))()


def assert_close(got, expected, rtol):
    for mine, plain in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert mine.dtype == plain.dtype
        plain = np.asarray(plain, np.float32)
        np.testing.assert_allclose(np.asarray(mine, np.float32), plain, rtol=rtol, atol=rtol * np.abs(plain).max())


@pytest.mark.parametrize("offset", [False, True], ids=["scale", "one-plus-scale"])
@pytest.mark.parametrize(("dtype", "rtol"), [(jnp.float32, 1e-5), (jnp.bfloat16, 2e-2)])
def test_a_norms_gradients_are_those_of_its_definition(dtype, rtol, offset):
    config = VitConfig(width=24, depth=1, heads=2, mlp=8, patch=(1, 2, 2), grid=(1, 2, 2), scale_offset=offset)
    rng = np.random.default_rng(0)
    x = jnp.asarray(5 + rng.normal(size=(2, 3, 24)), dtype)
    params = {name: jnp.asarray(rng.normal(size=24), jnp.float32) for name in ("scale", "bias")}
    got, expected = both(lambda p, x: layer_norm(p, x, config), lambda p, x: plain_norm(p, x, config), params, x)
    assert_close(got, expected, rtol)


def test_the_gelus_gradient_is_that_of_its_definition_far_out_too():
    x = jnp.linspace(-30, 30, 4001, dtype=jnp.float32)
    got, expected = both(tanh_gelu, jax.nn.gelu, x)
    assert_close(got, expected, 1e-5)


@pytest.mark.parametrize("outputs", [3, 7], ids=["narrower", "wider"])
def test_a_products_gradients_are_those_of_its_definition(outputs):
    rng = np.random.default_rng(0)
    x, matrix = rng.normal(size=(2, 4, 5)).astype(np.float32), rng.normal(size=(5, outputs)).astype(np.float32)
    got, expected = both(product, lambda x, matrix: x @ matrix, x, matrix)
    assert_close(got, expected, 1e-6)
