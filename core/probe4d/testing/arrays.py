"""Small questions about arrays and trees that several checks ask."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from probe4d.testing.result import require, skip

__all__ = [
    "equal",
    "is_float",
    "names",
    "need_jax",
    "require_axes",
    "require_finite",
    "require_gradients",
    "require_refusal",
    "trees_equal",
]


def equal(one: Any, other: Any) -> bool:
    """Return whether two values are the same to the last bit, NaN being equal to NaN."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, str) or isinstance(other, str) or one is None or other is None:
        return bool(one == other)
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if is_float(a):
        return bool(np.array_equal(a.astype(np.float64), b.astype(np.float64), equal_nan=True))
    return bool(np.array_equal(a, b))


def is_float(array: np.ndarray) -> bool:
    """Return whether the array is of floats, bfloat16 included (which numpy files under void)."""
    return array.dtype.kind == "f" or array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def require_finite(where: str, array: Any) -> None:
    """Fail where a float array holds NaN or infinity."""
    values = np.asarray(array)
    if is_float(values):
        bad = int(np.size(values) - np.count_nonzero(np.isfinite(values.astype(np.float64))))
        require(bad == 0, f"{where}: expected finite values, got {bad} of {values.size} that are not")


def require_refusal(what: str, error: type[Exception], call: Any) -> None:
    """Fail unless the call raises this error."""
    try:
        call()
    except error:
        return
    except Exception as other:  # noqa: BLE001 - the finding is what it raises instead
        require(False, f"{what}: expected {error.__name__}, got {type(other).__name__}: {other}")
    require(False, f"{what}: expected {error.__name__}, got an answer")


def need_jax() -> Any:
    """Return the jax module, or skip the check where it is not installed."""
    if importlib.util.find_spec("jax") is None:
        skip("needs jax: pip install 'probe4d[jax]'")
    import jax

    return jax


def trees_equal(jax: Any, one: Any, other: Any) -> bool:
    """Return whether two pytrees have the same structure and the same leaves to the last bit."""
    if jax.tree.structure(one) != jax.tree.structure(other):
        return False
    return all(equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def require_axes(jax: Any, params: Any, axes: Any) -> None:
    """Fail unless `axes` is a tree like `params` whose leaves name one logical axis (or None) per dimension."""

    def is_leaf(node: Any) -> bool:
        return isinstance(node, tuple) and all(name is None or isinstance(name, str) for name in node)

    have, want = jax.tree.structure(axes, is_leaf=is_leaf), jax.tree.structure(params)
    require(have == want, f"param_axes: expected the tree of the params {want}, got {have}")
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    for (path, leaf), names in zip(leaves, jax.tree.leaves(axes, is_leaf=is_leaf), strict=True):
        where = jax.tree_util.keystr(path)
        require(is_leaf(names), f"param_axes{where}: expected a tuple of axis names, got {names!r}")
        require(
            len(names) == np.ndim(leaf), f"param_axes{where}: expected {np.ndim(leaf)} names, got {len(names)}: {names}"
        )


def require_gradients(jax: Any, gradients: Any) -> None:
    """Fail where a gradient is not finite, or zero all over a parameter."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(gradients)[0]:
        where = f"gradient of params{jax.tree_util.keystr(path)}"
        require_finite(where, leaf)
        require(np.any(np.asarray(leaf) != 0), f"{where}: expected it to reach the parameter, got zero everywhere")


def names(items: Iterable[object]) -> str:
    """Return the items, sorted, for a message."""
    return ", ".join(sorted(map(str, items))) or "nothing"
