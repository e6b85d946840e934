"""The forward pass: layers, dtypes, prefix tokens, what is computed and what is not."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attrs import evolve

from probe4d.errors import UsageError
from probe4d_vit import model
from probe4d_vit.checkpoints import flatten
from probe4d_vit.config import VitConfig
from probe4d_vit.init import init_param, init_params
from probe4d_vit.layers import block, exact_gelu
from probe4d_vit.table import count, leaves, map_table, param_table, truncate

CONFIG = VitConfig(width=12, depth=4, heads=2, mlp=20, patch=(2, 4, 4), grid=(2, 2, 3), final_norm=False)
VIDEO = np.random.default_rng(0).random((2, 4, 8, 12, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def params(made_params):
    return jax.tree.map(jnp.asarray, made_params(CONFIG))


def test_each_layer_is_so_many_blocks_one_after_the_other(params):
    got = model.apply(params, VIDEO, (4, 0, 2, 2), CONFIG)
    x = model.embed(params, VIDEO, CONFIG, jnp.float32)
    after = [x]
    for number in range(4):
        x = block(jax.tree.map(lambda stacked, n=number: stacked[n], params["blocks"]), x, CONFIG, "einsum")
        after.append(x)
    for features, blocks in zip(got, (4, 0, 2, 2), strict=True):
        assert features.shape == (2, 2, 6, 12)
        np.testing.assert_allclose(features.reshape(2, 12, 12), after[blocks], atol=2e-6)


def test_blocks_above_the_layer_may_be_missing_and_are_not_touched(params, made_params):
    cut = made_params(CONFIG, blocks=2)
    assert cut["blocks"]["q"]["kernel"].shape[0] == 2
    want = model.apply(params, VIDEO, (2,), CONFIG)[0]
    np.testing.assert_allclose(model.apply(cut, VIDEO, (2,), CONFIG)[0], want, atol=5e-6)
    poisoned = jax.tree.map(lambda stacked: stacked.at[2:].set(jnp.nan), params["blocks"])
    assert np.isfinite(model.apply({**params, "blocks": poisoned}, VIDEO, (1, 2), CONFIG)[1]).all()
    with pytest.raises(UsageError, match="at most 2 blocks, the ones that are loaded, got 3"):
        model.apply(cut, VIDEO, (3,), CONFIG)


def test_a_float32_position_table_does_not_widen_a_bfloat16_trunk(params):
    assert params["position"].dtype == jnp.float32
    out = jax.eval_shape(lambda p: model.apply(p, VIDEO, (0, 1, 4), CONFIG, dtype="bfloat16"), params)
    assert [features.dtype for features in out] == [jnp.bfloat16] * 3
    low = model.apply(params, VIDEO, (4,), CONFIG, dtype="bfloat16")[0].astype(jnp.float32)
    np.testing.assert_allclose(low, model.apply(params, VIDEO, (4,), CONFIG)[0], atol=0.1)


def test_the_dtype_is_float32_on_a_cpu_and_nothing_but_two_is_taken():
    assert model.compute_dtype() == jnp.float32
    assert model.compute_dtype("bfloat16") == jnp.bfloat16
    with pytest.raises(UsageError, match="expected float32 or bfloat16, got 'float16'"):
        model.compute_dtype("float16")


def test_gradients_flow_through_every_layer_that_is_asked_for(params):
    def loss(params):
        return sum((features**2).sum() for features in model.apply(params, VIDEO, (1, 3), CONFIG))

    grads = jax.jit(jax.grad(loss))(params)
    norms = jnp.abs(grads["blocks"]["up"]["kernel"]).sum(axis=(1, 2))
    assert (norms[:3] > 0).all()
    assert norms[3] == 0  # above the last layer


def test_tokens_can_be_joined_between_two_runs_of_blocks(params):
    x = model.embed(params, VIDEO, CONFIG, jnp.float32)
    first = jax.tree.map(lambda stacked: stacked[:3], params["blocks"])
    last = jax.tree.map(lambda stacked: stacked[3:], params["blocks"])
    middle = model.run_blocks(first, x, [3], CONFIG, "einsum", remat=jax.checkpoint)[3]
    whole = model.run_blocks(last, jnp.concatenate([jnp.zeros((2, 5, 12)), middle], 1), [1], CONFIG, "einsum")[1]
    assert whole.shape == (2, 17, 12)
    alone = model.run_blocks(last, middle, [1], CONFIG, "einsum")[1]
    np.testing.assert_allclose(
        model.to_features(alone, (2, 2, 3), CONFIG), model.apply(params, VIDEO, (4,), CONFIG)[0], atol=2e-6
    )


def test_an_image_model_sees_each_frame_by_itself_and_drops_its_prefix_tokens(made_params):
    config = evolve(
        CONFIG,
        patch=(1, 4, 4),
        grid=(4, 2, 3),
        attends="frame",
        cls=True,
        cls_position=True,
        registers=2,
        final_norm=True,
    )
    params = made_params(config) | {"norm": {"scale": np.ones(12), "bias": np.zeros(12)}}
    (whole,) = model.apply(params, VIDEO, (4,), config)
    assert whole.shape == (2, 4, 6, 12)
    (frame,) = model.apply(params, VIDEO[:, 1:2], (4,), config)  # any number of frames
    np.testing.assert_allclose(frame[:, 0], whole[:, 1], atol=2e-6)
    np.testing.assert_allclose(np.asarray(whole).mean(-1), 0, atol=1e-5)  # the final norm


def test_a_video_of_another_size_is_refused_with_what_to_do(params):
    for shape in ((2, 4, 8, 8, 3), (2, 2, 8, 12, 3), (4, 8, 12, 3), (2, 4, 8, 12, 4)):
        with pytest.raises(UsageError, match=r"expected shape \(b, 4, 8, 12, 3\).*Resize the clip"):
            model.apply(params, np.zeros(shape, np.float32), (1,), CONFIG)
    rope = evolve(CONFIG, position="rope")
    assert model.token_grid((1, 2, 4, 16, 3), rope) == (1, 1, 4)
    with pytest.raises(UsageError, match="multiple of the patch"):
        model.token_grid((1, 2, 4, 15, 3), rope)


def test_the_table_says_shapes_axes_and_numbers_of_all_families():
    config = evolve(
        CONFIG, patch=(1, 4, 4), attends="factorized", temporal_depth=3, activation="swiglu", layer_scale=0.1,
        bias="qv", final_norm=True, scale_offset=True,
    )  # fmt: skip
    params = jax.eval_shape(partial(init_params, config=config), jax.random.key(0))
    table = dict(leaves(param_table(config)))
    paths = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    assert {path: leaf.shape for path, leaf in paths.items()} == {path: param.shape for path, param in table.items()}
    assert all(len(param.axes) == len(param.shape) for param in table.values())
    assert sum(leaf.size for leaf in paths.values()) == count(config)
    assert "blocks/k/bias" not in table
    assert "blocks/gate/kernel" in table
    assert table["blocks/scale1"].init == 0.1
    assert table["norm/scale"].init == "zeros"  # an offset from 1
    assert {path for path, param in table.items() if param.decay} == {path for path in table if path.endswith("kernel")}


def test_a_table_that_is_never_trained_is_counted_apart():
    config = evolve(CONFIG, position="sinusoid")
    assert count(config) - count(config, trainable_only=True) == 12 * 12
    assert count(CONFIG) == count(CONFIG, trainable_only=True)


@pytest.mark.parametrize("blocks", [1, 2, 3, 5])
def test_a_truncated_factorized_model_keeps_the_norm_of_what_it_finishes(blocks):
    config = evolve(
        CONFIG, depth=2, patch=(1, 4, 4), grid=(4, 2, 3), attends="factorized", temporal_depth=3, final_norm=True
    )
    cut = truncate(param_table(config), blocks, config)
    assert ("norm" in cut) == (blocks >= 2)
    assert ("temporal" in cut) == (blocks > 2)
    assert ("norm" in cut.get("temporal", {})) == (blocks == 5)
    params = map_table(lambda param: jnp.ones(param.shape), cut)
    out = jax.eval_shape(lambda params: model.apply(params, VIDEO, (blocks,), config), params)
    assert [features.shape for features in out] == [(2, 4, 6, 12)]


def test_random_values_have_the_spread_of_their_initializers_and_do_not_depend_on_the_depth():
    table = dict(leaves(param_table(evolve(CONFIG, width=96, heads=4, head_dim=24, mlp=384, layer_scale=0.1))))
    key = jax.random.key(0)
    q = init_param(key, table["blocks/q/kernel"])
    assert float(q.std()) == pytest.approx(96**-0.5, rel=0.03)
    assert not np.array_equal(q[0], q[1])
    shorter = evolve(table["blocks/q/kernel"], shape=(2, *q.shape[1:]))
    np.testing.assert_array_equal(init_param(key, shorter), q[:2])
    edge = (6 / (96 + 384)) ** 0.5
    assert edge * 0.99 < float(jnp.abs(init_param(key, table["blocks/up/kernel"])).max()) <= edge
    assert float(init_param(key, table["position"]).std()) == pytest.approx(0.02, rel=0.1)
    assert float(init_param(key, table["blocks/scale1"]).min()) == pytest.approx(0.1)


def test_every_parameter_has_random_values_of_its_own():
    params = init_params(jax.random.key(0), CONFIG)
    kernels = [array for path, array in flatten(params).items() if path.endswith(("q/kernel", "k/kernel", "v/kernel"))]
    assert len({float(kernel.ravel()[0]) for kernel in kernels}) == 3
    again = init_params(jax.random.key(0), CONFIG)
    np.testing.assert_array_equal(again["blocks"]["q"]["kernel"], params["blocks"]["q"]["kernel"])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_exact_gelu_is_that_of_the_error_function(dtype):
    x = jnp.linspace(-12, 12, 997).astype(dtype)
    wide = np.asarray(x, np.float64)
    want = [0.5 * value * (1 + math.erf(value / math.sqrt(2))) for value in wide]
    got = np.asarray(exact_gelu(x), np.float64)
    np.testing.assert_allclose(got, want, rtol={"float32": 3e-7, "bfloat16": 8e-3}[dtype], atol=6e-7)
