"""Projections of tokens that are never made equal those of made ones, with their gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probe4d_readouts.resample import cubic_matrix, resample, to_resample
from probe4d_readouts.tokens import Tokens, projected
from readouts.whole_tokens import whole

EPS = 1e-6


def made(params, features, times):
    """Return the tokens `(b, t k, c)` as the paper words them: resampled, normalised, with their embedding."""
    x = features if times is None else jnp.einsum("ts,bskc->btkc", times, features)
    normed = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + EPS)
    tokens = normed * params["norm"]["scale"] + params["norm"]["bias"] + params["temporal"]["embedding"]
    return tokens.reshape(len(tokens), -1, tokens.shape[-1])


def params_of(rng, t, k):
    shapes = {
        "norm": {"scale": (6,), "bias": (6,)},
        "temporal": {"embedding": (t, k, 6)},
        "key": {"kernel": (6, 2, 4)},
        "value": {"kernel": (6, 2, 4), "bias": (2, 4)},
    }
    return {
        layer: {name: rng.normal(size=shape).astype(np.float32) for name, shape in leaves.items()}
        for layer, leaves in shapes.items()
    }


@pytest.mark.parametrize("space", [1, 3], ids=["time", "time_space"])
@pytest.mark.parametrize("source", [2, 4, 8])
def test_a_projection_equals_that_of_the_made_tokens(compiled, source, space):
    rng = np.random.default_rng(source)
    features = 50 + rng.normal(size=(2, source, 3, 6)).astype(np.float32)  # far from 0, as trunks without a norm are
    params = params_of(rng, 8, space)
    times = None if source == 8 else cubic_matrix(source, 8)
    weights = rng.normal(size=(2, 24, 2, 4)).astype(np.float32)

    def ours(params, features, name):
        tokens = Tokens.of(features, times, EPS)
        return whole(projected(tokens, params, name, jnp.float32), tokens).swapaxes(1, 2)

    def theirs(params, features, name):
        out = jnp.einsum("bnc,chd->bnhd", made(params, features, times), params[name]["kernel"])
        return out + params[name].get("bias", 0.0)

    @compiled
    def both(params, features):
        def graded(form, name):
            value = form(params, features, name)
            slope = jax.grad(lambda p, f: (form(p, f, name) * weights).sum(), argnums=(0, 1))(params, features)
            return value, slope

        return [(graded(ours, name), graded(theirs, name)) for name in ("key", "value")]

    for got, expected in both(params, features):
        for mine, plain in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(mine, plain, rtol=1e-3, atol=1e-4 * (1 + np.abs(plain).max()))


@pytest.mark.parametrize(("source", "keep"), [(4, None), (4, (0, -1)), (8, (0, -1)), (8, None), (16, None)])
def test_features_are_resampled_late_only_where_times_become_more(source, keep):
    features = np.random.default_rng(0).normal(size=(1, source, 2, 3)).astype(np.float32)
    early, times = to_resample(features, 8, keep)
    assert (times is None) == (source >= 8 or keep is not None)
    late = early if times is None else np.einsum("ts,bskc->btkc", times, early)
    np.testing.assert_allclose(late, resample(features, 8, keep), rtol=0, atol=1e-6)
