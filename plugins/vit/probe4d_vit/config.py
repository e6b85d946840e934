"""What a video ViT is: one frozen record that the published families are values of.

All have pre-norm blocks, `x += scale1 · attention(norm1(x)); x += scale2 · mlp(norm2(x))`, on
non-overlapping patches. What differs between them is a field here. Nothing here imports numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.errors import UsageError

ACTIVATIONS = ("gelu", "gelu_tanh", "swiglu")
ATTENDS = ("video", "frame", "factorized")
BIASES = ("qkv", "qv", "none")
POSITIONS = ("learned", "stored", "sinusoid", "sincos", "rope", "none")
RESAMPLE = (
    "cubic_antialias",
    "cubic_torch",
    "cubic_torch_offset",
    "cubic_torch_then_linear",
    "linear_antialias",
    "linear_corners",
    "linear_torch",
    "recompute",
)
LAYER_RULES = ("released", "paper")


def _one_of(choices: tuple[str, ...]) -> Any:
    def check(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in choices:
            raise UsageError(f"VitConfig.{attribute.name}: expected one of {', '.join(choices)}, got {value!r}.")

    return check


def _at_least(least: int) -> Any:
    def check(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"VitConfig.{attribute.name}: expected an integer of at least {least}, got {value!r}.")

    return check


def _above_zero(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise UsageError(f"VitConfig.{attribute.name}: expected a number above 0, got {value!r}.")


def _flag(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise UsageError(f"VitConfig.{attribute.name}: expected true or false, got {value!r}.")


def _three(_instance: object, attribute: attrs.Attribute[Any], value: tuple[int, ...]) -> None:
    if len(value) != 3 or not all(isinstance(size, int) and size > 0 for size in value):
        raise UsageError(f"VitConfig.{attribute.name}: expected three sizes (t, h, w) of at least 1, got {value!r}.")


def _triple(value: Iterable[int]) -> tuple[int, int, int]:
    return tuple(value)  # type: ignore[return-value]  # `_three` checks the number


_optional = attrs.validators.optional


@frozen(kw_only=True)
class VitConfig:
    """A video ViT.

    Attributes:
        width, depth, heads, mlp: channels, blocks, heads and hidden channels of the MLP (of each of
            the two halves, for `swiglu`).
        head_dim: channels of a head; `width / heads` where it is not given.
        patch: `(t, h, w)` of a tubelet; `t` is 1 for published image models.
        grid: tokens `(t, h, w)` of the input it runs on.
        attends: `video` all tokens jointly; `frame` each frame (each tubelet) by itself (image models); `factorized`
            `depth` blocks on each frame, then `temporal_depth` blocks on each position over time.
        temporal_depth: see `attends`.
        position: what tells tokens apart. `learned` a table over the grid (over one frame's, where
            frames are apart; and one over time, for `factorized`); `stored` the same, never trained
            (V-JEPA); `sinusoid` over the flattened index (VideoMAE); `sincos` per axis (V-JEPA 1);
            `rope` rotates q and k (V-JEPA 2); `none`.
        resample: how a table of another grid becomes one of this (`probe4d_vit.resample`).
        rope_grid: the grid that rotary positions are counted in; `grid` where it is not given.
        uniform_power: `sincos` gives each axis a third of the channels instead of 1/2, 1/4, 1/4.
        cls, cls_position, registers: prefix tokens; whether the class token has a position of its own.
        activation: of the MLP. `gelu` is the exact one (erf), `swiglu` is gated by silu.
        eps: of every LayerNorm.
        scale_offset: LayerNorm multiplies by `scale + 1` (VideoPrism).
        final_norm: a LayerNorm follows the last block (and the last spatial block, for `factorized`).
        bias: which of q, k, v have one; the others are zero and are no parameters.
        layer_scale: initial value of the per-channel scale of each branch; none without it.
        softcap: of the attention logits.
        layer_rule: how a depth in (0, 1] becomes a number of blocks (`blocks_to_run`).
    """

    width: int = field(validator=_at_least(1))
    depth: int = field(validator=_at_least(1))
    heads: int = field(validator=_at_least(1))
    mlp: int = field(validator=_at_least(1))
    head_dim: int = field(validator=_at_least(1))
    patch: tuple[int, int, int] = field(converter=_triple, validator=_three)
    grid: tuple[int, int, int] = field(converter=_triple, validator=_three)
    attends: str = field(default="video", validator=_one_of(ATTENDS))
    temporal_depth: int = field(default=0, validator=_at_least(0))
    position: str = field(default="learned", validator=_one_of(POSITIONS))
    resample: str = field(default="cubic_antialias", validator=_one_of(RESAMPLE))
    rope_grid: tuple[int, int, int] | None = field(default=None, validator=_optional(_three))
    uniform_power: bool = field(default=True, validator=_flag)
    cls: bool = field(default=False, validator=_flag)
    cls_position: bool = field(default=False, validator=_flag)
    registers: int = field(default=0, validator=_at_least(0))
    activation: str = field(default="gelu", validator=_one_of(ACTIVATIONS))
    eps: float = field(default=1e-6, validator=_above_zero)
    scale_offset: bool = field(default=False, validator=_flag)
    final_norm: bool = field(default=True, validator=_flag)
    bias: str = field(default="qkv", validator=_one_of(BIASES))
    layer_scale: float | None = field(default=None, validator=_optional(_above_zero))
    softcap: float | None = field(default=None, validator=_optional(_above_zero))
    layer_rule: str = field(default="paper", validator=_one_of(LAYER_RULES))

    @head_dim.default
    def _head_dim(self) -> int:
        if not all(isinstance(size, int) and size > 0 for size in (self.width, self.heads)):
            return 1  # the validators, which come after defaults, refuse them by name
        if self.width % self.heads:
            raise UsageError(f"VitConfig.heads: expected a divisor of width {self.width}, got {self.heads}.")
        return self.width // self.heads

    def __attrs_post_init__(self) -> None:
        self._check(
            self.attends != "factorized" or self.patch[0] == 1, "patch", "1 frame in a factorized encoder", self.patch
        )
        self._check(
            (self.attends == "factorized") == (self.temporal_depth > 0),
            "temporal_depth",
            "blocks if and only if attends is 'factorized'",
            self.temporal_depth,
        )
        self._check(self.cls or not self.cls_position, "cls_position", "no position without a class token", True)
        whole = self.attends == "video" or self.position not in ("rope", "sinusoid", "sincos")
        self._check(whole, "position", "one that needs no time axis where frames are apart", self.position)
        bare = self.attends != "factorized" or not self.prefix
        self._check(bare, "cls", "no prefix tokens in a factorized encoder", self.prefix)
        pairs = self.position != "rope" or self.rope_segment > 0
        self._check(pairs, "head_dim", "at least 6 for rotary positions", self.head_dim)

    def _check(self, holds: bool, name: str, expected: str, got: object) -> None:
        if not holds:
            raise UsageError(f"VitConfig.{name}: expected {expected}, got {got!r}.")

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches."""
        return int(self.cls) + self.registers

    @property
    def tokens(self) -> int:
        """Number of patches of a whole clip."""
        t, h, w = self.grid
        return t * h * w

    @property
    def clip(self) -> tuple[int, int, int]:
        """Frames, height and width of the input."""
        t, h, w = (cells * size for cells, size in zip(self.grid, self.patch, strict=True))
        return t, h, w

    @property
    def total_depth(self) -> int:
        """Number of blocks that a layer may name."""
        return self.depth + self.temporal_depth

    @property
    def table_grid(self) -> tuple[int, int, int]:
        """Grid of the position table: one frame's, where frames are apart."""
        t, h, w = self.grid
        return (t if self.attends == "video" else 1), h, w

    @property
    def has_table(self) -> bool:
        """Whether positions are added to the tokens."""
        return self.position not in ("rope", "none")

    @property
    def rope_segment(self) -> int:
        """Channels of a head that one axis rotates; an even number."""
        return 2 * (self.head_dim // 3 // 2)


def blocks_to_run(layer: float, depth: int, rule: str) -> int:
    """Return how many of `depth` blocks run for a layer.

    Args:
        layer: an integer names the number of blocks itself; a float in (0, 1] is a share of the depth.
        rule: `paper` runs `int(depth · layer)` blocks. `released` is what the authors' code does: of
            its depth + 1 features, the tokens and then the *input* of each block, it takes number
            `int((depth + 1) · layer) - 1`, so that 1.0 leaves the last block out.

    Raises:
        UsageError: a layer that the model does not have.
    """
    if isinstance(layer, bool) or not isinstance(layer, (int, float)):
        raise UsageError(f"layer: expected a number of blocks or a share of the depth, got {layer!r}.")
    if isinstance(layer, int):
        if not 0 <= layer <= depth:
            raise UsageError(f"layer: expected 0 to {depth} blocks, got {layer}. Write 1.0 for the full depth.")
        return layer
    if not 0 < layer <= 1:
        raise UsageError(f"layer: expected a share of the depth in (0, 1], got {layer}. Write an integer for blocks.")
    if rule == "paper":
        return int(depth * layer)
    index = int((depth + 1) * layer) - 1
    if index < 0:
        raise UsageError(f"layer: expected a share of at least 1/{depth + 1} of {depth} blocks, got {layer}.")
    return max(index - 1, 0)


def per_channel(mean: Any, std: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of an input, as tuples.

    Raises:
        UsageError: they are no three numbers each, or a deviation is not above 0.
    """
    for name, values in (("mean", mean), ("std", std)):
        numbers = isinstance(values, Sequence) and all(isinstance(number, int | float) for number in values)
        if not numbers or len(values) != 3:
            raise UsageError(f"{name}: expected three numbers, one per channel, got {values!r}.")
    if min(std) <= 0:
        raise UsageError(f"std: expected numbers above 0, got {std!r}.")
    return tuple(mean), tuple(std)
