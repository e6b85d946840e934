"""The specs of the two backbones that learn nothing, `pixels` and `flow`, and what their options make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, evolve, frozen

from probe4d import BackboneSpec, TokenGrid, VideoInput
from probe4d.errors import UsageError, did_you_mean

__all__ = ["FLOW", "PIXELS", "PLACE", "Sizes", "configure", "flow", "pixels"]

PLACE = 16  # channels that say where a patch is
_OF_A_CELL = {"pixels": 3, "flow": 7}  # colours; with motion since the frame before and since the first


@frozen
class Sizes:
    """What a floor's options say: side of the square frames, of a patch of them, and cells along a patch."""

    size: int
    patch: int
    cells: int


PIXELS = Sizes(size=224, patch=16, cells=4)
FLOW = Sizes(size=64, patch=8, cells=2)
_DEFAULTS = {"pixels": PIXELS, "flow": FLOW}
_CONFIGURE = "probe4d_fourds.floors:configure"


def pixels() -> BackboneSpec:
    """Return the spec of the patch colours."""
    return _with_sizes(
        BackboneSpec(
            name="pixels",
            target="probe4d_fourds.pixels:Pixels",
            summary="the place of each 16 x 16 patch and its colours on a 4 x 4 grid: a floor, nothing is learned",
            tags=("image", "floor"),
            input=VideoInput(frames=16, height=PIXELS.size, width=PIXELS.size, resize="area"),
            tokens=TokenGrid(time=16, space=1, channels=1),
            params=0,
            depth=1,
            modality="image",
            configure=_CONFIGURE,
        ),
        PIXELS,
    )


def flow() -> BackboneSpec:
    """Return the spec of the optical flow."""
    return _with_sizes(
        BackboneSpec(
            name="flow",
            target="probe4d_fourds.flow:Flow",
            summary="colours, place and optical flow of each 8 x 8 patch: a yardstick for motion, nothing is learned",
            tags=("video", "floor"),
            input=VideoInput(frames=16, height=FLOW.size, width=FLOW.size, resize="area"),
            tokens=TokenGrid(time=16, space=1, channels=1),
            params=0,
            depth=1,
            configure=_CONFIGURE,
            requires=("opencv-python-headless>=4.9",),
            extra="probe4d[flow]",
        ),
        FLOW,
    )


def configure(spec: BackboneSpec, options: Mapping[str, Any]) -> tuple[BackboneSpec, dict[str, Any]]:
    """Return the spec as `size` (of square frames), `patch` and `cells` (along a patch) make it, and the options.

    Raises:
        UsageError: another option, or sizes that do not divide.
    """
    sizes = asdict(_DEFAULTS[spec.name])
    for name, value in options.items():
        if name not in sizes:
            raise UsageError(
                f"{spec.name}: expected options among {', '.join(sizes)}, got {name!r}.{did_you_mean(name, sizes)}"
            )
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{spec.name}: expected a whole number of at least 1 for {name}, got {value!r}.")
        sizes[name] = value
    if sizes["size"] % sizes["patch"] or sizes["patch"] % sizes["cells"]:
        raise UsageError(f"{spec.name}: expected cells that divide patch, and patch that divides size, got {sizes}.")
    return _with_sizes(spec, Sizes(**sizes)), dict(options)


def _with_sizes(spec: BackboneSpec, sizes: Sizes) -> BackboneSpec:
    side = sizes.size
    channels = _OF_A_CELL[spec.name] * sizes.cells**2 + PLACE
    return evolve(
        spec,
        input=evolve(spec.input, height=side, width=side),
        tokens=TokenGrid(time=spec.tokens.time, space=(side // sizes.patch) ** 2, channels=channels),
    )
