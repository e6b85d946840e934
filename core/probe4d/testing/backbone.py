"""Checks of a backbone: the features are what the spec says, every time, whatever the batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from probe4d.contracts import FrozenBackbone, Layer, TrainableBackbone
from probe4d.errors import Probe4dError
from probe4d.testing.arrays import (
    equal,
    is_float,
    need_jax,
    require_axes,
    require_finite,
    require_gradients,
    require_refusal,
    trees_equal,
)
from probe4d.testing.battery import Checks
from probe4d.testing.result import require, skip
from probe4d.testing.subject import Subject
from probe4d.testing.writes import no_writes

__all__ = ["AGREEMENT", "FROZEN", "TRAINABLE", "BackboneSubject"]

LARGE = 50_000_000  # parameters; above it, a random initialisation costs more than a check may


class BackboneSubject(Subject):
    """A backbone with random weights, in its small configuration where one is given."""

    def construct(self, **kwargs: Any) -> Any:
        """Return a new backbone with random weights of seed 0."""
        if self.spec.params >= LARGE:
            skip(f"{self.spec.params:,} parameters: give small={{{self.spec.name!r}: {{…}}}} to check it smaller")
        return super().construct(**{"weights": None, "seed": 0, **kwargs})

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Half and full depth, where there are blocks to choose from."""
        return (0.5, 1.0) if self.spec.depth > 1 else (1.0,)

    def clips(self, seed: int, batch: int = 2) -> np.ndarray:
        """Return random clips `(b, t, h, w, 3)` float32 in [0, 1]."""
        size = self.spec.input
        shape = (batch, size.frames, size.height, size.width, 3)
        return np.random.default_rng(seed).random(shape, dtype=np.float32)

    def encode(self, video: np.ndarray, layers: Sequence[Layer] | None = None) -> tuple[np.ndarray, ...]:
        """Return the features of the checked backbone as numpy arrays."""
        return tuple(np.asarray(one) for one in self.product.encode(video, self.layers if layers is None else layers))

    @cached_property
    def features(self) -> tuple[np.ndarray, ...]:
        """The features of `clips(0)`."""
        return self.encode(self.clips(0))

    @cached_property
    def params(self) -> Any:
        """The parameters of key 0."""
        return self.product.init(need_jax().random.key(0))


FROZEN: Checks[BackboneSubject] = Checks()


@FROZEN()
def target_constructs(subject: BackboneSubject) -> None:
    """The target, called with weights=None and seed=0, makes what the spec declares."""
    for declared, contract in ((subject.spec.frozen, FrozenBackbone), (subject.spec.trainable, TrainableBackbone)):
        if declared:
            require(isinstance(subject.product, contract), f"expected a {contract.__name__}, got {subject.product!r}")


@FROZEN("target_constructs")
def token_grid_is_as_declared(subject: BackboneSubject) -> None:
    """There is one `(b, t, k, c)` array per layer, of the spec's TokenGrid."""
    grid = subject.spec.tokens
    want = (2, grid.time, grid.space, grid.channels)
    require(
        len(subject.features) == len(subject.layers),
        f"expected {len(subject.layers)} arrays for layers {subject.layers}, got {len(subject.features)}",
    )
    for layer, array in zip(subject.layers, subject.features, strict=True):
        require(array.shape == want, f"layer {layer}: expected (b, t, k, c) = {want}, got {array.shape}")


@FROZEN("target_constructs")
def features_are_floats(subject: BackboneSubject) -> None:
    """The features' dtype is a float."""
    for array in subject.features:
        require(is_float(array), f"expected a float dtype, got {array.dtype}")


@FROZEN("target_constructs")
def features_are_finite(subject: BackboneSubject) -> None:
    """The features hold neither NaN nor infinity."""
    for layer, array in zip(subject.layers, subject.features, strict=False):
        require_finite(f"layer {layer}", array)


@FROZEN("target_constructs")
def encode_is_deterministic(subject: BackboneSubject) -> None:
    """The same clips give the same features to the last bit, whatever was encoded in between."""
    subject.encode(subject.clips(1))
    require(equal(subject.encode(subject.clips(0)), subject.features), "expected the same features twice, got others")


@FROZEN("encode_is_deterministic")
def seed_fixes_the_weights(subject: BackboneSubject) -> None:
    """Two backbones made with the same seed give the same features."""
    again = subject.construct().encode(subject.clips(0), subject.layers)
    require(equal(tuple(map(np.asarray, again)), subject.features), "expected the features of seed 0, got others")


@FROZEN("encode_is_deterministic")
def batch_makes_no_difference(subject: BackboneSubject) -> None:
    """A clip alone has the features that it has in a batch, within the tolerance."""
    video = subject.clips(0)
    for index in range(len(video)):
        alone = subject.encode(video[index : index + 1])
        for layer, one, batch in zip(subject.layers, alone, subject.features, strict=True):
            _require_close(f"layer {layer}, clip {index}", one[0], batch[index], subject.given.tolerance)


@FROZEN("encode_is_deterministic")
def layers_come_in_the_order_asked(subject: BackboneSubject) -> None:
    """The i-th array is the i-th layer asked for, and a layer asked for twice comes twice."""
    backwards = subject.encode(subject.clips(0), (*reversed(subject.layers), 1.0))
    want = (*reversed(subject.features), subject.features[-1])
    require(len(backwards) == len(want), f"expected {len(want)} arrays, got {len(backwards)}")
    for one, other in zip(backwards, want, strict=True):
        _require_close("layers reversed", one, other, subject.given.tolerance)


@FROZEN("encode_is_deterministic")
def a_layer_is_named_by_number_too(subject: BackboneSubject) -> None:
    """The integer `depth` is the layer 1.0."""
    (last,) = subject.encode(subject.clips(0), (subject.spec.depth,))
    _require_close(f"layer {subject.spec.depth}", last, subject.features[-1], subject.given.tolerance)


@FROZEN("target_constructs")
def a_layer_that_does_not_exist_is_refused(subject: BackboneSubject) -> None:
    """Layers above the depth, or outside (0, 1], raise a Probe4dError."""
    for layer in (subject.spec.depth + 1, 0.0, 1.5, -1):
        require_refusal(
            f"layer {layer}", Probe4dError, lambda layer=layer: subject.encode(subject.clips(0, batch=1), (layer,))
        )


@FROZEN("target_constructs")
def a_clip_of_another_shape_is_refused(subject: BackboneSubject) -> None:
    """A wrong rank, height or number of channels raises a Probe4dError."""
    video = subject.clips(0, batch=1)
    wrong = {"rank 4": video[0], "height - 1": video[:, :, 1:], "2 channels": video[..., :2]}
    for what, clip in wrong.items():
        require_refusal(f"{what} {clip.shape}", Probe4dError, lambda clip=clip: subject.encode(clip))


@FROZEN("encode_is_deterministic")
def train_mode_has_no_effect(subject: BackboneSubject) -> None:
    """Where there is a train switch, turning it on changes no feature: frozen is frozen."""
    switch = getattr(subject.product, "train", None)
    if not callable(switch):
        skip("it has no train() switch")
    switch()
    require(equal(subject.encode(subject.clips(0)), subject.features), "after train(): expected the same features")


@FROZEN("target_constructs")
def encode_leaves_the_clip_alone(subject: BackboneSubject) -> None:
    """The caller's array is not written to."""
    video = subject.clips(0)
    subject.encode(video)
    require(np.array_equal(video, subject.clips(0)), "expected the video unchanged, got it overwritten")


@FROZEN("target_constructs")
def nothing_is_written_outside_the_cache(subject: BackboneSubject) -> None:
    """Making the backbone and encoding write files nowhere but in PROBE4D_CACHE_DIR."""
    with no_writes() as outside:
        subject.construct().encode(subject.clips(0, batch=1), subject.layers)
    require(not outside, f"expected no file outside the cache, got {', '.join(outside)}")


def _require_close(where: str, one: np.ndarray, other: np.ndarray, tolerance: float) -> None:
    a, b = one.astype(np.float64), other.astype(np.float64)
    require(a.shape == b.shape, f"{where}: expected shape {b.shape}, got {a.shape}")
    # NaN and infinity are the finding of features_are_finite, not of this check.
    finite = np.isfinite(a) & np.isfinite(b)
    scale = float(np.max(np.abs(b[finite]), initial=0.0)) or 1.0
    difference = float(np.max(np.abs(a[finite] - b[finite]), initial=0.0)) / scale
    require(difference <= tolerance, f"{where}: expected at most {tolerance:g} of difference, got {difference:.3g}")


TRAINABLE: Checks[BackboneSubject] = Checks()
TRAINABLE.all.append(FROZEN.all[0])


@TRAINABLE("target_constructs")
def init_gives_params(subject: BackboneSubject) -> None:
    """A key gives a tree of arrays, and the same key the same tree."""
    jax = need_jax()
    require(jax.tree.leaves(subject.params), "expected a tree of arrays, got no leaf")
    again = subject.product.init(jax.random.key(0))
    require(trees_equal(jax, again, subject.params), "expected the same params for the same key, got others")


@TRAINABLE("init_gives_params")
def apply_gives_the_token_grid(subject: BackboneSubject) -> None:
    """Apply gives one `(b, t, k, c)` float array per layer, finite."""
    need_jax()
    outputs = subject.product.apply(subject.params, subject.clips(0), subject.layers)
    grid = subject.spec.tokens
    want = (2, grid.time, grid.space, grid.channels)
    require(len(outputs) == len(subject.layers), f"expected {len(subject.layers)} arrays, got {len(outputs)}")
    for layer, array in zip(subject.layers, outputs, strict=True):
        require(array.shape == want, f"layer {layer}: expected (b, t, k, c) = {want}, got {array.shape}")
        require(is_float(np.asarray(array)), f"layer {layer}: expected floats, got {array.dtype}")
        require_finite(f"layer {layer}", array)


@TRAINABLE("init_gives_params")
def param_axes_match_the_params(subject: BackboneSubject) -> None:
    """`param_axes()` has the tree of the params, one name (or None) per dimension."""
    require_axes(need_jax(), subject.params, subject.product.param_axes())


@TRAINABLE("init_gives_params")
def gradients_reach_every_parameter(subject: BackboneSubject) -> None:
    """The gradient of a random projection of the features is finite, and nowhere zero for a whole parameter."""
    jax = need_jax()
    video = subject.clips(0, batch=1)

    def projected(params: Any) -> Any:
        outputs = subject.product.apply(params, video, subject.layers)
        keys = jax.random.split(jax.random.key(1), len(outputs))
        return sum((jax.random.normal(key, out.shape) * out).sum() for key, out in zip(keys, outputs, strict=True))

    require_gradients(jax, jax.grad(projected)(subject.params))


AGREEMENT: Checks[BackboneSubject] = Checks()
AGREEMENT.all.extend([*FROZEN.all, *TRAINABLE.all[1:]])


@AGREEMENT("token_grid_is_as_declared", "encode_is_deterministic", "apply_gives_the_token_grid")
def encode_and_apply_agree(subject: BackboneSubject) -> None:
    """`encode` of seed 0 is `apply` of `init(jax.random.key(0))`."""
    outputs = subject.product.apply(subject.params, subject.clips(0), subject.layers)
    for layer, one, other in zip(subject.layers, outputs, subject.features, strict=True):
        _require_close(f"layer {layer}", np.asarray(one), other, subject.given.tolerance)
