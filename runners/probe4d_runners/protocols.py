"""The protocols: how readouts are trained, on frozen features or with the backbone, and how the best is chosen.

Every number that the paper fixes or leaves open is a field, so that a record can hold it. Importing
this module imports no array library. "Paper" is Scaling 4D Representations (arXiv 2412.15212).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, gt, in_, instance_of, le, lt, min_len

from probe4d.contracts import Layer

__all__ = ["FinetuneProtocol", "FrozenProtocol"]

MESH_AXES = ("data", "fsdp", "tensor")


def _count(default: int, least: int = 1) -> Any:
    return field(default=default, validator=and_(instance_of(int), ge(least)))


def _rate(default: float) -> Any:
    return field(default=default, converter=float, validator=ge(0.0))


def _rates(*default: float, zero: bool = False) -> Any:
    def floats(values: Any) -> tuple[float, ...]:
        return tuple(float(value) for value in values)

    return field(default=default, converter=floats, validator=[deep_iterable(ge(0.0) if zero else gt(0.0)), min_len(1)])


def _by_kind(value: Mapping[str, Any]) -> dict[str, tuple[Layer, ...]]:
    return {kind: tuple(layers) for kind, layers in value.items()}


def _mesh(value: Mapping[str, Any]) -> dict[str, int]:
    for axis, size in value.items():
        if axis not in MESH_AXES or isinstance(size, bool) or not isinstance(size, int):
            raise ValueError(f"mesh: expected whole numbers for {', '.join(MESH_AXES)}, got {axis} = {size!r}.")
    return dict(value)


@frozen(kw_only=True)
class _Training:
    """What every training of readouts fixes, whatever else is trained.

    Attributes:
        steps, batch_size: how much is trained on.
        learning_rates: of the sweep.
        betas, epsilon: AdamW's. Source: DECIDE the usual 0.9, 0.999, 1e-8; the paper is silent.
        warmup_steps: linear from 0; then cosine to `end_learning_rate`. Source: paper A.2.
        clip_norm: of the gradient; 0 does not clip. Source: DECIDE none.
        decays: what AdamW's weight decay pulls at: `kernels`, or `all` parameters. Source: DECIDE kernels.
        select_on: which split chooses the member that stands for the cell. `evaluate` is the split that is
            reported, as in the paper; `holdout` a part of the training split that is not trained on.
        holdout: that part, as a fraction of the training samples.
        layers, layers_by_kind: where features are read, as depth.
        tracks: per clip in training, `eval_tracks` at most in evaluation (one more is an error).
            Source: paper A.2.3 (64).
        boxes: at most, per clip; the largest. Source: paper A.2.4 (25).
        min_box_area: of a box on the first frame, as a fraction. Source: paper A.2.4 (0.5 %).
        readout: options of every readout that differ from its own, as `width`.
        eval_batch_size: clips of one call of the readout in evaluation.
        max_broken: fraction of a split that may be missing or broken before it is an error.
        seed: of parameters, order of examples and views.
    """

    steps: int = _count(40_000)
    batch_size: int = _count(32)
    learning_rates: tuple[float, ...] = _rates(1e-4, 3e-4, 1e-3)
    betas: tuple[float, ...] = _rates(0.9, 0.999)
    epsilon: float = _rate(1e-8)
    warmup_steps: int = _count(1_000, least=0)
    end_learning_rate: float = _rate(1e-7)
    clip_norm: float = _rate(0.0)
    decays: str = field(default="kernels", validator=in_(("kernels", "all")))
    select_on: str = field(default="evaluate", validator=in_(("evaluate", "holdout")))
    holdout: float = field(default=0.1, converter=float, validator=and_(gt(0.0), lt(1.0)))
    layers: tuple[Layer, ...] = field(default=(0.95,), converter=tuple, validator=min_len(1))
    layers_by_kind: Mapping[str, tuple[Layer, ...]] = field(factory=dict, converter=_by_kind)
    tracks: int = _count(64)
    eval_tracks: int = _count(256)
    boxes: int = _count(25)
    min_box_area: float = field(default=0.005, converter=float, validator=and_(ge(0.0), le(1.0)))
    readout: Mapping[str, Any] = field(factory=dict, converter=dict)
    eval_batch_size: int = _count(32)
    max_broken: float = field(default=0.1, converter=float, validator=and_(ge(0.0), le(1.0)))
    seed: int = _count(0, least=0)

    def examples(self) -> int:
        """Return how many clips are trained on, repeats counted."""
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


@frozen(kw_only=True)
class FrozenProtocol(_Training):
    """Readouts on features of a frozen backbone; 1.28 M examples in the paper (A.2).

    Attributes:
        learning_rates: the whole sweep is trained in one pass. Source: paper A.2: 1e-4, 3e-4, 1e-3.
        weight_decay: AdamW's. Source: paper A.2.
        views: augmented views cached of each training clip; 0 caches nothing and streams: clips are cut,
            augmented and encoded once per step for the whole sweep, each epoch in a new view.
            Source: DECIDE 1; the paper augments online and is silent on caching.
        layers, layers_by_kind: Source: paper 4.1: 95 %, and 75 % for SSv2.
        dtype: of cached features.
        extract_batch_size: clips of one call of the backbone; part of what makes features bit-equal.
    """

    weight_decay: float = _rate(1e-4)
    views: int = _count(1, least=0)
    dtype: str = field(default="float16", validator=in_(("float16", "bfloat16", "float32")))
    extract_batch_size: int = _count(8)


@frozen(kw_only=True)
class FinetuneProtocol(_Training):
    """Backbone and readout trained together from clips, one training for each member of the sweep.

    Every epoch cuts the clips anew, as the task says; no augmentation is added. Source: paper A.2.

    Attributes:
        steps: 20k, 40k or 80k. Source: paper A.2 (short, medium, long).
        learning_rates, weight_decays: of the sweep, each with each. Source: paper A.2.
        warmup_steps: Source: paper A.2 (3k).
        backbone_rate: the backbone's learning rate as a share of the readout's. Source: paper A.2.
        layers: Source: paper 4.1: 95 % for all finetuning; a baseline's last block, which its spec says.
        accumulate: parts that a batch is computed in, one after the other, with the loss and gradient of the
            whole; for less memory. Source: DECIDE 1.
        dtype: that the backbone computes in, where it takes that option; weights, loss and readout are
            float32. Source: protocol of 4DS's own training.
        mesh: devices of each mesh axis (`data`, `fsdp`, `tensor`); all on `fsdp` without. Source: DECIDE.
        checkpoint_every: steps between checkpoints, from which an interrupted training goes on. DECIDE 1000.
        views: none is cached.
    """

    steps: int = _count(20_000)
    learning_rates: tuple[float, ...] = _rates(1e-4, 3e-4)
    weight_decays: tuple[float, ...] = _rates(1e-4, 5e-2, zero=True)
    warmup_steps: int = _count(3_000, least=0)
    backbone_rate: float = _rate(0.003)
    accumulate: int = _count(1)
    dtype: str = field(default="bfloat16", validator=in_(("bfloat16", "float32")))
    mesh: Mapping[str, int] = field(factory=dict, converter=_mesh)
    checkpoint_every: int = _count(1_000)
    views: int = field(default=0, validator=in_((0,)))

    @property
    def extract_batch_size(self) -> int:
        """Clips of one call of the backbone where nothing is trained."""
        return self.eval_batch_size

    def __attrs_post_init__(self) -> None:
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"accumulate: expected parts that divide batch_size {self.batch_size}, got {self.accumulate}."
            )

    def members(self, layers: Sequence[Layer]) -> list[dict[str, Any]]:
        """Return the trainings of the sweep: layer, learning rate and weight decay of each, layer by layer."""
        return [
            {
                "name": f"layer-{layer!r}-lr-{rate:g}-wd-{decay:g}",
                "layer": layer,
                "learning_rate": rate,
                "weight_decay": decay,
            }
            for layer in layers
            for rate in self.learning_rates
            for decay in self.weight_decays
        ]
