"""A batch in parts is the whole batch; a sweep over parameters in one pass is the loop over it."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d_readouts.depth import DepthReadout
from probe4d_readouts.microbatch import value_and_grad

GIB = 2**30


@pytest.mark.parametrize("kind", ["points", "depth"])
def test_a_batch_in_parts_has_the_loss_and_gradient_of_the_whole(make, start, compiled, kind):
    readout, features, batch = make(kind)
    whole = compiled(partial(value_and_grad, readout))(start(kind), features, batch)
    parts = compiled(partial(value_and_grad, readout, parts=2))(start(kind), features, batch)
    for got, expected in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6 * (1 + np.abs(expected).max()))


def test_parts_are_divided_by_what_the_whole_batch_holds_not_by_their_own(make):
    readout, _, batch = make("points")
    parts = [{name: value[part] for name, value in batch.items()} for part in (slice(0, 1), slice(1, 4))]
    counts = [float(readout.weights(part)["visible"]) for part in parts]
    assert counts[0] != counts[1]  # so that a mean of means would be another number
    assert sum(counts) == float(readout.weights(batch)["visible"])


def test_parts_that_do_not_divide_the_batch_are_refused(make, start):
    readout, features, batch = make("labels")
    with pytest.raises(UsageError, match="expected parts that divide the batch of 4, got 3"):
        value_and_grad(readout, start("labels"), features, batch, parts=3)


def test_a_sweep_over_parameters_in_one_pass_equals_the_loop(make, start, compiled):
    """Both ways of attention: labels absorb it, points project."""
    for kind, function in (("labels", value_and_grad), ("points", _loss)):
        readout, features, batch = make(kind)
        members = [jax.tree.map(lambda x, scale=scale: x * scale, start(kind)) for scale in (1.0, 0.5, 2.0)]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
        step = partial(function, readout)
        together = compiled(jax.vmap(step, in_axes=(0, None, None)))(stacked, features, batch)
        alone = compiled(step)
        for index, params in enumerate(members):
            got = jax.tree.map(lambda x, index=index: x[index], together)
            for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(alone(params, features, batch)), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5 * (1 + np.abs(theirs).max()))


def _loss(readout, params, features, batch):
    return readout.loss(readout.apply(params, features, batch), batch)


def compiled_bytes(readout, batch_size, parts):
    """Return arguments + temporaries of the compiled loss-and-gradient program at the paper's sizes."""
    spec = jax.ShapeDtypeStruct
    features = spec((batch_size, 16, 196, 1024), np.float32)  # a ViT-L
    clip = (batch_size, 16, 224, 224)
    batch = {"depth": spec(clip, np.float32), "valid": spec(clip, np.bool_)}
    params = jax.eval_shape(readout.init, jax.random.key(0), features, batch)
    step = jax.jit(partial(value_and_grad, readout, parts=parts))
    memory = step.lower(params, features, batch).compile().memory_analysis()
    return memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes


def test_depth_at_paper_size_fits_24_gib_at_batch_32():
    """6272 queries, 3136 tokens, 16 heads: the scores of one pass alone would be 37 GiB."""
    assert compiled_bytes(DepthReadout(), 32, 1) < 12 * GIB


@pytest.mark.slow
def test_depth_in_eight_parts_fits_3_gib():
    assert compiled_bytes(DepthReadout(), 32, 8) < 3 * GIB
