"""The nearest rotation to a 3x3 matrix, with a derivative that stays finite near rotations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["nearest_rotation"]

SMALLEST_SUM = 1e-6  # of two singular values, below which the nearest rotation is not unique


def _mul(a: Any, b: Any) -> Any:
    # HIGHEST: three-term products are free, and bfloat16 would leave SO(3) at the third digit.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


@jax.custom_jvp  # type: ignore[untyped-decorator]
def nearest_rotation(matrix: Any) -> Any:
    """Return the rotations `(…, 3, 3)` nearest to `(…, 3, 3)` matrices (orthogonal Procrustes)."""
    return _polar(matrix)[0]


def _polar(matrix: Any) -> tuple[Any, Any, Any]:
    """Return R, and V and the signed singular values of the symmetric factor: `M = R V diag(s) V^T`."""
    u, s, vt = jnp.linalg.svd(matrix.astype(jnp.float32))
    sign = jnp.where(jnp.linalg.det(_mul(u, vt)) < 0, -1.0, 1.0)
    signs = jnp.stack([jnp.ones_like(sign), jnp.ones_like(sign), sign], axis=-1)
    return _mul(u * signs[..., None, :], vt), jnp.swapaxes(vt, -1, -2), s * signs


@nearest_rotation.defjvp  # type: ignore[untyped-decorator]
def _nearest_rotation_jvp(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    """Return R and dR = R W, where W is skew and solves `W P + P W = R^T dM - dM^T R`.

    The derivative of an SVD divides by differences of singular values, which vanish at a rotation;
    this one divides by sums.
    """
    rotation, v, s = _polar(primals[0])
    tangent = _mul(jnp.swapaxes(rotation, -1, -2), tangents[0].astype(jnp.float32))
    skew = tangent - jnp.swapaxes(tangent, -1, -2)
    sums = s[..., :, None] + s[..., None, :]
    sums = jnp.where(jnp.abs(sums) < SMALLEST_SUM, SMALLEST_SUM, sums)
    v_t = jnp.swapaxes(v, -1, -2)
    solved = _mul(_mul(v, _mul(_mul(v_t, skew), v) / sums), v_t)
    return rotation, _mul(rotation, solved)
