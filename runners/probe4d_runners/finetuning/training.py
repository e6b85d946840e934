"""The training of one member, from checkpoint to checkpoint. Killed and started again it ends in the same bits.

Where several processes train together, each draws and reads the whole batch, and its devices take their part: so which
clips are broken, and what takes their place, needs no word between them.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from attrs import define, field, frozen

from probe4d.contracts import Array, Layer, Readout, TrainableBackbone
from probe4d.errors import DataError
from probe4d.store.batches import made_ahead
from probe4d_runners.finetuning.step import FinetuneStep, as_video, first_params
from probe4d_runners.jax.checkpoints import Checkpoints
from probe4d_runners.jax.mesh import MeshShape, make_mesh
from probe4d_runners.jax.processes import placed, same_everywhere
from probe4d_runners.probing.pixels import PixelBatch, PixelStream, Place
from probe4d_runners.protocols import FinetuneProtocol

__all__ = ["Finetuned", "Model", "finetune_member"]

LOOK = 50  # steps between looks at the losses, at which a training that diverged ends


@frozen(kw_only=True)
class Model:
    """What is trained.

    Attributes:
        layer: where features are read; `seed` of the backbone's random values, where it has no weights.
    """

    backbone: TrainableBackbone
    readout: Readout
    layer: Layer
    seed: int


@define
class Finetuned:
    """A trained member.

    Attributes:
        step: what can predict with `params`.
        losses: of every step; a training that diverged has fewer.
        left_out: clips of the training split that were found broken.
        seconds: of this process's steps; `resumed` at which step it went on.
    """

    step: FinetuneStep
    params: Any = field(repr=False)
    losses: Array = field(repr=False)
    left_out: Mapping[str, str]
    seconds: float
    resumed: int

    @property
    def sound(self) -> bool:
        """Whether every loss was finite."""
        return bool(np.isfinite(self.losses).all())


def finetune_member(
    model: Model,
    protocol: FinetuneProtocol,
    member: Mapping[str, Any],
    clips: PixelStream,
    rows: Array,
    checkpoints: Path,
) -> Finetuned:
    """Return the member after `protocol.steps` steps, or when its loss is not finite.

    Args:
        member: `learning_rate` and `weight_decay`.
        rows: of the clips to train on.
        checkpoints: folder of this training's own.

    Raises:
        UsageError: the batch does not divide over the devices.
        DataError: too many clips are broken, or a checkpoint is damaged.
    """
    mesh = make_mesh(MeshShape(**protocol.mesh))
    params = first_params(model.backbone, model.layer, model.seed)
    example = next(clips.random(rows, protocol.batch_size, protocol.seed, Place()))
    step = FinetuneStep(
        model.backbone,
        model.readout,
        protocol,
        model.layer,
        mesh,
        params,
        as_video(example.videos),
        example.targets,
    )
    with Checkpoints(checkpoints, keep_last=1) as kept:
        found = kept.restore(step.abstract_state())
        if found is None:
            state, place, losses = step.init(params, protocol.seed), Place(), []
        else:
            state, extra = found
            place = Place(drawn=extra["drawn"], left_out=tuple((name, why) for name, why in extra["left_out"]))
            losses = list(extra["losses"])
        del params  # of a whole model; the state has its own
        return _Steps(step, member, clips, rows, kept).run(state, place, losses)


class _Steps:
    def __init__(
        self, step: FinetuneStep, member: Mapping[str, Any], clips: PixelStream, rows: Array, kept: Checkpoints
    ) -> None:
        self.step, self.protocol, self.kept = step, step.protocol, kept
        self.clips, self.rows = clips, rows
        self._rates = np.float32(member["learning_rate"]), np.float32(member["weight_decay"])
        self._check = getattr(step.readout, "check_targets", None)

    def run(self, state: Any, place: Place, losses: list[float]) -> Finetuned:
        """Return the member after the last step."""
        protocol, compiled, first = self.protocol, self.step.compiled(), len(losses)
        pending: list[Any] = []
        started = time.perf_counter()
        batches: Any = made_ahead(self.clips.random(self.rows, protocol.batch_size, protocol.seed, place))
        try:
            for number in range(first + 1, protocol.steps + 1):
                batch = next(batches)
                place = batch.place
                state, loss = compiled(state, *self._placed(batch), *self._rates)
                pending.append(loss)
                saved = number % protocol.checkpoint_every == 0 and number < protocol.steps
                if saved or number % LOOK == 0 or number == protocol.steps:
                    self._check_agreement(place)
                    losses += [float(one) for one in pending]
                    pending = []
                    if not np.isfinite(losses).all():
                        break
                if saved:
                    self._save(number, state, place, losses)
        finally:
            batches.close()
        return Finetuned(
            step=self.step,
            params=state["params"],
            losses=np.array(losses, np.float32),
            left_out=dict(place.left_out),
            seconds=time.perf_counter() - started,
            resumed=first,
        )

    def _placed(self, batch: PixelBatch) -> tuple[Any, Any]:
        """Return pixels and targets, each device holding its own part."""
        if self._check is not None:
            self._check(batch.targets)
        video, targets = as_video(batch.videos), dict(batch.targets)
        batch_on_devices: tuple[Any, Any] = placed((video, targets), self.step.batch_sharding)
        return batch_on_devices

    def _check_agreement(self, place: Place) -> None:
        """Refuse to go on where processes have drawn other clips: each reads the whole batch, and may fail to.

        Raises:
            DataError: they have.
        """
        if not same_everywhere(zlib.crc32(repr(place).encode())):
            raise DataError(
                f"process {jax.process_index()} of {jax.process_count()}: expected to leave out the clips that the "
                f"others leave out, got {dict(place.left_out) or 'none'}. Look at the data of each host; the same "
                "command goes on from the last checkpoint."
            )

    def _save(self, number: int, state: Any, place: Place, losses: list[float]) -> None:
        extra = {"drawn": place.drawn, "left_out": [list(item) for item in place.left_out], "losses": losses}
        # Waits: the next step may overwrite what the background would still be writing.
        self.kept.save(number, state, extra, wait=True)
