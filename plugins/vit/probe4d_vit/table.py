"""One table says what a model's parameters are: shape, logical axes and initial values of each.

`model`, `checkpoints` and the Flax module read it; nobody else knows the tree. Logical axes are
`layers`, `embed` (width), `heads`, `head_dim`, `mlp`; None is never sharded. The blocks of a stack
are one array each, `layers` first, so that they can be scanned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from probe4d_vit.config import VitConfig

Tree: TypeAlias = dict[str, Any]


@frozen
class Param:
    """One array of parameters.

    Attributes:
        shape: without padding.
        axes: logical name of each axis.
        init: `zeros`, `ones`, `normal` (0.02), `lecun`, `xavier`, `sinusoid`, `sincos`,
            `sincos_uniform`, or a constant.
        fan: `(in, out)` of the matrix that a kernel is, for `lecun` and `xavier`.
        trainable: False for tables that the family never trains.
        decay: whether weight decay is meant for it (kernels only).
    """

    shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    init: str | float
    fan: tuple[int, int] = (1, 1)
    trainable: bool = True
    decay: bool = field(default=False, kw_only=True)


def param_table(config: VitConfig) -> Tree:
    """Return the tree of `Param` of a model."""
    d, (t, h, w) = config.width, config.table_grid
    pixels = prod(config.patch) * 3
    tree: Tree = {
        "embed": {
            "kernel": _kernel((*config.patch, 3, d), (None, None, None, None, "embed"), "lecun", (pixels, d)),
            "bias": Param((d,), ("embed",), "zeros"),
        }
    }
    if config.has_table:
        init = {"sinusoid": "sinusoid", "sincos": "sincos_uniform" if config.uniform_power else "sincos"}.get(
            config.position, "normal"
        )
        trainable = config.position == "learned"
        tree["position"] = Param((t, h, w, d), (None, None, None, "embed"), init, trainable=trainable)
    if config.cls:
        tree["cls"] = Param((1, d), (None, "embed"), "normal")
    if config.cls_position:
        tree["cls_position"] = Param((1, d), (None, "embed"), "normal")
    if config.registers:
        tree["registers"] = Param((config.registers, d), (None, "embed"), "normal")
    tree |= _stack(config, config.depth)
    if config.temporal_depth:
        position = {"position": Param((config.grid[0], d), (None, "embed"), "normal")} if config.has_table else {}
        tree["temporal"] = {**position, **_stack(config, config.temporal_depth)}
    return tree


def _stack(config: VitConfig, depth: int) -> Tree:
    stacked = map_table(
        lambda param: evolve(param, shape=(depth, *param.shape), axes=("layers", *param.axes)), block_table(config)
    )
    return {"blocks": stacked} | ({"norm": _norm(config)} if config.final_norm else {})


def block_table(config: VitConfig) -> Tree:
    """Return the tree of `Param` of one block."""
    d, heads, size, mlp = config.width, config.heads, config.head_dim, config.mlp
    inner = heads * size
    tree: Tree = {"norm1": _norm(config), "norm2": _norm(config)}
    for name in "qkv":
        tree[name] = {"kernel": _kernel((d, heads, size), ("embed", "heads", "head_dim"), "lecun", (d, inner))}
        if name in config.bias:
            tree[name]["bias"] = Param((heads, size), ("heads", "head_dim"), "zeros")
    tree["o"] = _dense((heads, size, d), ("heads", "head_dim", "embed"), "lecun", (inner, d))
    tree["up"] = _dense((d, mlp), ("embed", "mlp"), "xavier", (d, mlp))
    if config.activation == "swiglu":
        tree["gate"] = _dense((d, mlp), ("embed", "mlp"), "xavier", (d, mlp))
    tree["down"] = _dense((mlp, d), ("mlp", "embed"), "xavier", (mlp, d))
    if config.layer_scale is not None:
        tree["scale1"] = Param((d,), ("embed",), config.layer_scale)
        tree["scale2"] = Param((d,), ("embed",), config.layer_scale)
    return tree


def _kernel(shape: tuple[int, ...], axes: tuple[str | None, ...], init: str, fan: tuple[int, int]) -> Param:
    return Param(shape, axes, init, fan, decay=True)


def _dense(shape: tuple[int, ...], axes: tuple[str | None, ...], init: str, fan: tuple[int, int]) -> Tree:
    return {"kernel": _kernel(shape, axes, init, fan), "bias": Param(shape[-1:], axes[-1:], "zeros")}


def _norm(config: VitConfig) -> Tree:
    scale = "zeros" if config.scale_offset else "ones"
    return {"scale": Param((config.width,), ("embed",), scale), "bias": Param((config.width,), ("embed",), "zeros")}


def map_table(change: Callable[[Param], Any], tree: Mapping[str, Any]) -> Tree:
    """Return the tree with each `Param` replaced by `change(param)`."""
    return {name: change(node) if isinstance(node, Param) else map_table(change, node) for name, node in tree.items()}


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Param]]:
    """Yield `("blocks/q/kernel", Param)` for each parameter."""
    for name, node in tree.items():
        if isinstance(node, Param):
            yield prefix + name, node
        else:
            yield from leaves(node, f"{prefix}{name}/")


def truncate(tree: Mapping[str, Any], blocks: int, config: VitConfig) -> Tree:
    """Return the table of a model that stops after `blocks` blocks; what follows them is left out."""
    cut: Tree = dict(tree)
    spatial = min(blocks, config.depth)
    cut["blocks"] = map_table(lambda param: evolve(param, shape=(spatial, *param.shape[1:])), tree["blocks"])
    if blocks <= config.depth and config.temporal_depth:
        del cut["temporal"]
    elif config.temporal_depth:
        cut["temporal"] = dict(tree["temporal"])
        cut["temporal"]["blocks"] = map_table(
            lambda param: evolve(param, shape=(blocks - config.depth, *param.shape[1:])), tree["temporal"]["blocks"]
        )
        if blocks < config.total_depth:
            cut["temporal"].pop("norm", None)
    if blocks < config.depth:
        cut.pop("norm", None)
    return cut


def count(config: VitConfig, *, trainable_only: bool = False) -> int:
    """Return the exact number of parameters."""
    params = (param for _, param in leaves(param_table(config)))
    return sum(prod(param.shape) for param in params if param.trainable or not trainable_only)
