"""Tiled attention is exact: values and gradients of the definition, whatever the length."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d_vit import attention


def qkv(n, heads=2, size=8, batch=1, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(n), 4)
    return [jax.random.normal(key, (batch, n, heads, size), dtype) for key in keys]


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(attention, "TILE", 8)
    monkeypatch.setattr(attention, "SHORT", 4)


@pytest.mark.parametrize(("n", "softcap"), [(24, None), (37, 2.0)])  # tiles that divide; a padded last tile
def test_tiled_attention_and_its_gradient_are_those_of_the_definition(small_tiles, n, softcap):
    q, k, v, weights = qkv(n)

    def loss(kind):
        return lambda *x: (attention.attend(*x, kind, softcap) * weights).sum()

    np.testing.assert_allclose(
        attention.attend(q, k, v, "tiled", softcap), attention.einsum(q, k, v, softcap), atol=2e-6
    )
    ours = jax.jit(jax.grad(loss("tiled"), (0, 1, 2)))(q, k, v)
    theirs = jax.jit(jax.grad(loss("einsum"), (0, 1, 2)))(q, k, v)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=5e-6)


def test_tiled_attention_survives_scores_that_overflow_an_exponential(small_tiles):
    q, k, v, _ = qkv(24)
    out = attention.attend(q * 1e3, k * 1e3, v, "tiled")
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out, attention.einsum(q * 1e3, k * 1e3, v), atol=1e-5)


def test_the_fused_kernel_is_the_same_function(small_tiles):
    q, k, v, _ = qkv(12)
    np.testing.assert_allclose(attention.attend(q, k, v, "fused"), attention.einsum(q, k, v), atol=2e-6)


def test_in_bfloat16_the_softmax_is_still_float32(small_tiles):
    q, k, v, _ = qkv(24, dtype=jnp.bfloat16)
    exact = attention.einsum(*(x.astype(jnp.float32) for x in (q, k, v)))
    out = attention.attend(q, k, v, "tiled")
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(jnp.float32), exact, atol=0.02)


def test_every_query_row_belongs_to_one_tile_and_tiles_are_of_even_size():
    for n in [*range(1, 900, 13), 1568, 2048, 1571, 4096]:
        rows = attention.tile_rows(n)
        tiles = -(-n // rows)
        assert tiles * rows >= n
        assert tiles * rows - n < tiles, "less than one row of padding a tile"
    assert attention.tile_rows(1568) == 392
    assert attention.tile_rows(257) == 257


def test_an_unknown_kind_of_attention_is_refused_by_name():
    with pytest.raises(UsageError, match="expected one of tiled, fused, einsum, got 'flash'"):
        attention.choose("flash")
    assert attention.choose() == "tiled"  # the tests run on a CPU
