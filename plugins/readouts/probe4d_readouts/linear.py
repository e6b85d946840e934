"""Linear layers whose gradients come out as an optimizer reads them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["product", "project"]


def project(x: Any, layer: Mapping[str, Any], dtype: Any, inputs: int = 1) -> Any:
    """Return a linear layer from the last `inputs` axes of `x` to the layer's outputs, one axis or more."""
    kernel = layer["kernel"].astype(dtype)
    into = kernel.shape[inputs:]
    out = product(x.reshape(-1, prod(kernel.shape[:inputs])), kernel.reshape(-1, prod(into)))
    out = out.reshape(*x.shape[: x.ndim - inputs], *into)
    return out + layer["bias"].astype(dtype) if "bias" in layer else out


@jax.custom_vjp  # type: ignore[untyped-decorator]
def product(x: Any, kernel: Any) -> Any:
    """Return `x @ kernel` for x `(n, i)` and a kernel `(i, o)`.

    Differentiated by itself, the kernel's gradient is made as `(o, i)` and then turned: on a CPU each moment of Adam
    then reads it across its rows, which costs more than the product where rows are few.
    """
    return x @ kernel


def _forward(x: Any, kernel: Any) -> tuple[Any, tuple[Any, Any]]:
    return x @ kernel, (x, kernel)


def _backward(kept: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
    x, kernel = kept
    return gradient @ kernel.T, jnp.matmul(x.T, gradient)


product.defvjp(_forward, _backward)
