"""The two ways to compute attention, in tiles or whole, are one function with one gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probe4d_readouts.attention import tiled_attention
from probe4d_readouts.resample import cubic_matrix
from probe4d_readouts.tokens import Projected, Tokens
from readouts.whole_tokens import whole


def plain(query, key, value, tokens):
    weights = jax.nn.softmax(jnp.einsum("bhqd,bhnd->bhqn", query, whole(key, tokens)), axis=-1)
    return jnp.einsum("bhqn,bhnd->bhqd", weights, whole(value, tokens))


def arrays(shared, source=2, places=1):
    """Return queries, keys, values, the spread of tokens at 4 times and 3 places, their times, and a gradient."""
    rng = np.random.default_rng(1)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    query, d_out = normal(1 if shared else 2, 3, 7, 4), normal(2, 3, 7, 4)
    key, value = (Projected(normal(2, 3, source * 3, 4), normal(3, 4 * places, 4)) for _ in range(2))
    spread = rng.uniform(0.5, 2, size=(2, 4, 3, 1)).astype(np.float32)
    return query, key, value, spread, None if source == 4 else cubic_matrix(source, 4), d_out


def tokens_of(spread, times):
    return Tokens(centred=None, spread=spread, times=times)


@pytest.mark.parametrize("shared", [False, True], ids=["own-queries", "shared-queries"])
@pytest.mark.parametrize("tile", [3, 100])
@pytest.mark.parametrize(("source", "places"), [(2, 1), (2, 3), (4, 1)], ids=["resampled", "by-place", "as-they-are"])
def test_tiled_attention_and_its_gradient_equal_the_plain_ones(compiled, tile, shared, source, places):
    query, key, value, spread, times, d_out = arrays(shared, source, places)
    wide = (lambda q: jnp.broadcast_to(q, (2, *q.shape[1:]))) if shared else (lambda q: q)

    @compiled
    def both(q, k, v, spread, d_out):
        expected, pull = jax.vjp(lambda q, k, v, s: plain(wide(q), k, v, tokens_of(s, times)), q, k, v, spread)
        tiled = lambda q, k, v, s: tiled_attention(q, k, v, tokens_of(s, times), tile)  # noqa: E731
        got, tiled_pull = jax.vjp(tiled, q, k, v, spread)
        return (got, tiled_pull(d_out)), (expected, pull(d_out))

    got, expected = both(query, key, value, spread, d_out)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)


def test_an_accelerators_way_through_the_heads_gives_the_same(compiled, monkeypatch):
    """There all heads go together; only the choice of the platform is replaced here."""
    query, key, value, spread, times, d_out = arrays(True)

    def differentiate(q, k, v, d_out):
        out, pull = jax.vjp(lambda q, k, v: tiled_attention(q, k, v, tokens_of(spread, times), 3), q, k, v)
        return out, pull(d_out)

    expected = compiled(lambda *each: differentiate(*each))(query, key, value, d_out)
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *each, cpu, default: default(*each))
    got = compiled(lambda *each: differentiate(*each))(query, key, value, d_out)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_scores_of_a_thousand_do_not_overflow(compiled):
    query, key, value, spread, times, d_out = arrays(False)
    attend = lambda *qkv: tiled_attention(*qkv, tokens_of(spread, times), 3)  # noqa: E731
    pulled = compiled(lambda q, k, v, d: jax.vjp(attend, q, k, v)[1](d))(1000 * query, key, value, d_out)
    assert all(np.isfinite(each).all() for each in jax.tree.leaves(pulled))


@pytest.mark.parametrize(
    ("kind", "embedding"), [("labels", "time_space"), ("boxes", "time")], ids=["learned-query", "given-queries"]
)
def test_absorbed_and_projected_attention_have_one_loss_and_one_gradient(make, start, compiled, kind, embedding):
    ways = ({"attention": "projected"}, {"attention": "projected", "query_tile": 2}, {"attention": "absorbed"})
    readouts = [make(kind, temporal_embedding=embedding, **way)[0] for way in ways]
    _, features, batch = make(kind)
    # Away from the start, so that scales, biases and embeddings all matter.
    params = jax.tree.map(
        lambda x: x + 0.1 * np.cos(np.arange(x.size, dtype=np.float32)).reshape(x.shape),
        start(kind, temporal_embedding=embedding),
    )

    @compiled
    def differentiate(params, features):
        def loss(readout, params, features):
            return readout.loss(readout.apply(params, features, batch), batch)[0]

        return [jax.value_and_grad(loss, argnums=(1, 2))(readout, params, features) for readout in readouts]

    first, *others = differentiate(params, 3 + features)
    for other in others:
        for got, expected in zip(jax.tree.leaves(other), jax.tree.leaves(first), strict=True):
            np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-5 * (1 + np.abs(expected).max()))


def test_auto_takes_the_cheaper_way(make, start):
    features = jax.ShapeDtypeStruct((4, 4, 3, 8), np.float32)
    for kind, projects in (("labels", False), ("points", True)):
        readout, _, batch = make(kind)
        program = str(jax.make_jaxpr(readout.apply)(start(kind), features, batch))
        assert ("name=_tiled" in program) == projects  # 1 query of 2 heads and 6 of 2, for width 8


@pytest.mark.parametrize("kind", ["labels", "points"])
def test_a_bfloat16_trunk_stays_near_float32_and_answers_in_float32(make, start, compiled, kind):
    readout, features, batch = make(kind)
    half = make(kind, dtype="bfloat16")[0]
    expected = jax.tree.leaves(compiled(readout.apply)(start(kind), features, batch))
    got = jax.tree.leaves(compiled(half.apply)(start(kind), features.astype(jnp.bfloat16), batch))
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, theirs, atol=0.06)
