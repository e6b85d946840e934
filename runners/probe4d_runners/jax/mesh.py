"""The device mesh and the one rule that says which axis of a parameter is split over which of its axes.

Three sizes say what a mesh is: `data` copies the parameters, `fsdp` shards parameters, optimizer state and batch,
`tensor` splits heads and hidden channels of one layer. The mesh itself has a fourth axis: `fsdp` is folded into
`fsdp` x `ring`, so that each is one direction of a torus of chips (see `gather`). Logical axes of a parameter come
from its table (`probe4d_vit.table`, a readout's `param_axes()`); nothing else knows about devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt, prod
from typing import Any, TypeAlias

import jax
from attrs import evolve, field, frozen
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from probe4d.errors import UsageError

__all__ = [
    "BATCH",
    "FSDP",
    "MESH_AXES",
    "MeshShape",
    "batch_shards",
    "copies",
    "describe",
    "fsdp_size",
    "make_mesh",
    "shardings",
    "spec_of",
    "unsharded",
]

Axes: TypeAlias = Sequence[str | None]

MESH_AXES = ("data", "fsdp", "ring", "tensor")
FSDP = ("fsdp", "ring")  # what one axis of a parameter is split over, in this order
BATCH = ("data", *FSDP)  # what examples are split over

# Logical axes that `tensor` splits; any axis but `layers` may be split by `fsdp`.
TENSOR = ("heads", "mlp", "pixels")
PREFERRED = ("embed", "mlp", "pixels")
# Below this many numbers a parameter is copied: gathering it costs more than keeping it.
SMALLEST = 16_384
# Of all numbers of a model, those that may be copied before the mesh is given another shape.
COPIED = 0.01


@frozen(kw_only=True)
class MeshShape:
    """How many devices each mesh axis has; one may be -1, the rest of the devices.

    `data` 0 is 1, or where nothing is said of `fsdp` either, the smallest number for which the parameters are split
    (`make_mesh`).
    """

    data: int = field(default=0)
    fsdp: int = field(default=-1)
    tensor: int = field(default=1)

    def sizes(self, devices: int) -> tuple[int, int, int]:
        """Return the three sizes for so many devices.

        Raises:
            UsageError: they do not multiply to the number of devices.
        """
        sizes = [self.data or 1, self.fsdp, self.tensor]
        open_axes = [i for i, size in enumerate(sizes) if size == -1]
        known = prod(size for size in sizes if size != -1)
        if len(open_axes) == 1 and known > 0 and devices % known == 0:
            sizes[open_axes[0]] = devices // known
        if any(size < 1 for size in sizes) or prod(sizes) != devices:
            raise UsageError(
                f"mesh: expected data x fsdp x tensor = {devices} devices, "
                f"got {self.data} x {self.fsdp} x {self.tensor}. At most one may be -1, for the rest."
            )
        return sizes[0], sizes[1], sizes[2]


def make_mesh(
    shape: MeshShape, devices: Sequence[Any] | None = None, params: Sequence[tuple[Sequence[int], Axes]] = ()
) -> Mesh:
    """Return the mesh over the devices; all of the process group's by default.

    Args:
        params: shape and logical axes of each parameter. A width that 256 devices do not divide (4ds-g: 1664) may be
            divided by 128: two copies of all parameters, each in 128 parts, hold less than 256 copies of most of them.

    Raises:
        UsageError: the shape does not fit the number of devices.
    """
    given = list(jax.devices() if devices is None else devices)
    if (shape.data, shape.fsdp) == (0, -1) and params:
        shape = evolve(shape, data=copies(params, len(given) // max(shape.tensor, 1), shape.tensor))
    data, fsdp, tensor = shape.sizes(len(given))
    ring = _nearest_to_square(fsdp)
    # Neighbours in the mesh are neighbours on the torus.
    arranged = mesh_utils.create_device_mesh((data, fsdp // ring, ring, tensor), given, allow_split_physical_axes=True)
    return Mesh(arranged, MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES))


def copies(params: Sequence[tuple[Sequence[int], Axes]], devices: int, tensor: int) -> int:
    """Return the smallest `data` for which hardly a number is copied within each part of it; 1 if there is none."""
    sizes = [prod(shape) for shape, _ in params]
    for data in range(1, devices):
        if devices % data:
            continue
        split = [any(_split(shape, axes, devices // data, tensor)) for shape, axes in params]
        copied = sum(size for size, done in zip(sizes, split, strict=True) if size >= SMALLEST and not done)
        if copied <= COPIED * sum(sizes):
            return data
    return 1


def _nearest_to_square(size: int) -> int:
    """Return the largest divisor that is not above the square root."""
    return max(divisor for divisor in range(1, isqrt(size) + 1) if size % divisor == 0)


def fsdp_size(mesh: Mesh) -> int:
    """Return how many parts a parameter is split into, `tensor` aside."""
    return int(prod(mesh.shape[name] for name in FSDP))


def batch_shards(mesh: Mesh) -> int:
    """Return how many parts a batch is split into."""
    return int(prod(mesh.shape[name] for name in BATCH))


def describe(mesh: Mesh) -> str:
    """Return the sizes of data, fsdp and tensor, as `1x256x1`."""
    return f"{mesh.shape['data']}x{fsdp_size(mesh)}x{mesh.shape['tensor']}"


def spec_of(shape: Sequence[int], axes: Axes, mesh: Mesh) -> P:
    """Return how a parameter is split.

    `tensor` takes the first of its logical axes that divides. `fsdp` takes the first axis that divides
    among `PREFERRED`, then the longest of the others; an axis that already is split by `tensor` is
    split by both where its length allows. A parameter that nothing divides, or that is small, is copied.

    Args:
        shape: of the parameter.
        axes: logical name of each axis; None is never split by `tensor`.
    """
    return P(*_split(shape, axes, fsdp_size(mesh), mesh.shape["tensor"]))


def _split(shape: Sequence[int], axes: Axes, fsdp: int, tensor: int) -> list[Any]:
    split: list[Any] = [None] * len(shape)
    if prod(shape) < SMALLEST:
        return split
    if tensor > 1:
        by_tensor = [i for i, name in enumerate(axes) if name in TENSOR and shape[i] % tensor == 0]
        if by_tensor:
            split[by_tensor[0]] = "tensor"
    if fsdp > 1:
        _split_by_fsdp(split, shape, axes, fsdp, tensor)
    return split


def _split_by_fsdp(split: list[Any], shape: Sequence[int], axes: Axes, fsdp: int, tensor: int) -> None:
    free = [i for i, name in enumerate(axes) if name != "layers" and split[i] is None]
    order = [i for name in PREFERRED for i in free if axes[i] == name]
    order += sorted((i for i in free if i not in order), key=lambda i: -shape[i])
    for i in order:
        if shape[i] % fsdp == 0:
            split[i] = FSDP
            return
    for i, name in enumerate(split):
        if name == "tensor" and shape[i] % (fsdp * tensor) == 0:
            split[i] = (*FSDP, "tensor")
            return


def shardings(mesh: Mesh, specs: Any) -> Any:
    """Return a tree of `NamedSharding` from one of `PartitionSpec`."""
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=lambda node: isinstance(node, P))


def unsharded(specs: Mapping[str, P], shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Return the names of the parameters that are copied although they are not small, with their shapes."""
    return [
        f"{name} {tuple(shapes[name])}"
        for name, spec in specs.items()
        if not any(spec) and prod(shapes[name]) >= SMALLEST
    ]
