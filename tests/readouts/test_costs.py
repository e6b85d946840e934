"""What a plan is told of a readout's cost is what its program multiplies."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("jax", reason="needs jax: readouts are written in it")

import jax
import jax.numpy as jnp
import numpy as np

from probe4d.registry import find, load_target, make
from probe4d.specs import ClipSampling, TokenGrid

GRID = TokenGrid(time=8, space=196, channels=768)
CLIP = ClipSampling(frames=16, size=(224, 224))
QUERIES = {"points": 64, "boxes": 25}
BATCHES = {
    "labels": lambda b: {"label": np.zeros(b, np.int32)},
    "pose": lambda b: {"pose": np.zeros((b, 3, 4), np.float32)},
    "depth": lambda b: {"depth": np.zeros((b, 16, 224, 224), np.float32)},
    "points": lambda b: {
        "query_points": np.zeros((b, 64, 3), np.float32),
        "frame_size": np.full((b, 2), 224, np.int32),
        "mask": np.ones((b, 64), bool),
    },
    "boxes": lambda b: {
        "boxes": np.zeros((b, 25, 16, 4), np.float32),
        "present": np.ones((b, 25, 16), bool),
        "mask": np.ones((b, 25), bool),
    },
}


def operations(jaxpr: Any) -> float:
    """Return two per multiplication and addition of all products of matrices, those of loops as often as they run."""
    total = 0.0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        inner = [operations(one) for value in equation.params.values() for one in jaxprs(value)]
        # One branch of those for several platforms is run; all do the same.
        total += times * (max(inner, default=0.0) if equation.primitive.name == "cond" else sum(inner))
    return total


def jaxprs(value: Any) -> list[Any]:
    if hasattr(value, "eqns"):
        return [value]
    if hasattr(value, "jaxpr"):
        return jaxprs(value.jaxpr)
    return [one for item in value for one in jaxprs(item)] if isinstance(value, tuple | list) else []


@pytest.mark.parametrize("options", [{}, {"width": 256, "heads": 4}], ids=["paper", "narrow"])
@pytest.mark.parametrize("kind", sorted(BATCHES))
def test_a_readouts_stated_operations_are_those_of_its_program(kind, options):
    entry = find("readouts", f"readouts/{kind}")
    stated = load_target(entry.spec.flops)(options, GRID, CLIP, QUERIES.get(kind, 1))
    readout, batch = make(entry, **options), BATCHES[kind](1)
    features = jax.ShapeDtypeStruct((1, GRID.time, GRID.space, GRID.channels), jnp.float32)
    shapes = jax.eval_shape(lambda x: readout.init(jax.random.key(0), x, batch), features)
    program = jax.make_jaxpr(lambda params, x: readout.apply(params, x, batch))(shapes, features)
    assert operations(program.jaxpr) == pytest.approx(stated, rel=0.02)
