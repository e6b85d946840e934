"""The frozen protocol: how readouts are trained on cached features, and how the best is chosen.

Every number that the paper fixes or leaves open is a field, so that a record can hold it. Importing
this module imports no array library. "Paper" is Scaling 4D Representations (arXiv 2412.15212).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, gt, in_, instance_of, le, lt, min_len

from probe4d.contracts import Layer

__all__ = ["FrozenProtocol"]


def _count(default: int, least: int = 1) -> Any:
    return field(default=default, validator=and_(instance_of(int), ge(least)))


def _rate(default: float) -> Any:
    return field(default=default, converter=float, validator=ge(0.0))


def _rates(*default: float) -> Any:
    def floats(values: Any) -> tuple[float, ...]:
        return tuple(float(value) for value in values)

    return field(default=default, converter=floats, validator=[deep_iterable(gt(0.0)), min_len(1)])


def _by_kind(value: Mapping[str, Any]) -> dict[str, tuple[Layer, ...]]:
    return {kind: tuple(layers) for kind, layers in value.items()}


@frozen(kw_only=True)
class FrozenProtocol:
    """Readouts on features of a frozen backbone.

    Attributes:
        steps, batch_size: 1.28 M examples. Source: paper A.2.
        learning_rates: of the sweep; the whole sweep is trained in one pass. Source: paper A.2.
        weight_decay: AdamW's, on kernels only (DECIDE). Source: paper A.2.
        betas, epsilon: AdamW's. Source: DECIDE the usual 0.9, 0.999, 1e-8; the paper is silent.
        warmup_steps: linear from 0; then cosine to `end_learning_rate`. Source: paper A.2.
        clip_norm: of the gradient; 0 does not clip. Source: DECIDE none.
        select_on: which split chooses the member that stands for the cell. `evaluate` is the split that is
            reported, as in the paper; `holdout` a part of the training split that is not trained on.
        holdout: that part, as a fraction of the training samples.
        views: augmented views cached of each training clip; 0 caches nothing and streams: clips are cut,
            augmented and encoded once per step for the whole sweep, each epoch in a new view.
            Source: DECIDE 1; the paper augments online and is silent on caching.
        layers, layers_by_kind: where features are read, as depth. Source: paper 4.1: 95 %, and 75 % for SSv2.
        dtype: of cached features.
        tracks: per clip in training, `eval_tracks` at most in evaluation (one more is an error).
            Source: paper A.2.3 (64).
        boxes: at most, per clip; the largest. Source: paper A.2.4 (25).
        min_box_area: of a box on the first frame, as a fraction. Source: paper A.2.4 (0.5 %).
        readout: options of every readout that differ from its own, as `width`.
        extract_batch_size: clips of one call of the backbone; part of what makes features bit-equal.
        eval_batch_size: clips of one call of the readout in evaluation.
        max_broken: fraction of a split that may be missing or broken before it is an error.
        seed: of parameters, order of examples and views.
    """

    steps: int = _count(40_000)
    batch_size: int = _count(32)
    learning_rates: tuple[float, ...] = _rates(1e-4, 3e-4, 1e-3)
    weight_decay: float = _rate(1e-4)
    betas: tuple[float, ...] = _rates(0.9, 0.999)
    epsilon: float = _rate(1e-8)
    warmup_steps: int = _count(1_000, least=0)
    end_learning_rate: float = _rate(1e-7)
    clip_norm: float = _rate(0.0)
    select_on: str = field(default="evaluate", validator=in_(("evaluate", "holdout")))
    holdout: float = field(default=0.1, converter=float, validator=and_(gt(0.0), lt(1.0)))
    views: int = _count(1, least=0)
    layers: tuple[Layer, ...] = field(default=(0.95,), converter=tuple, validator=min_len(1))
    layers_by_kind: Mapping[str, tuple[Layer, ...]] = field(factory=dict, converter=_by_kind)
    dtype: str = field(default="float16", validator=in_(("float16", "bfloat16", "float32")))
    tracks: int = _count(64)
    eval_tracks: int = _count(256)
    boxes: int = _count(25)
    min_box_area: float = field(default=0.005, converter=float, validator=and_(ge(0.0), le(1.0)))
    readout: Mapping[str, Any] = field(factory=dict, converter=dict)
    extract_batch_size: int = _count(8)
    eval_batch_size: int = _count(32)
    max_broken: float = field(default=0.1, converter=float, validator=and_(ge(0.0), le(1.0)))
    seed: int = _count(0, least=0)

    def examples(self) -> int:
        """Return how many clips a sweep is trained on, repeats counted."""
        return self.steps * self.batch_size

    def layers_for(self, kind: str) -> tuple[Layer, ...]:
        """Return where the features for a kind are read."""
        return tuple(self.layers_by_kind.get(kind, self.layers))

    def target_settings(self, split: str) -> dict[str, dict[str, Any]]:
        """Return how the targets of each kind are stacked, for `train` or `evaluate`."""
        evaluate = split == "evaluate"
        return {
            "points": {"tracks": self.eval_tracks, "all": True} if evaluate else {"tracks": self.tracks},
            "boxes": {"boxes": self.boxes, "min_area": self.min_box_area},
        }
