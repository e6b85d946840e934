"""A pretraining run: data in, steps, checkpoints, a log. Stopped and started again it ends in the same bits."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np
from attrs import field, frozen
from jax.experimental import multihost_utils

from probe4d import atomic
from probe4d.errors import Probe4dError, UsageError
from probe4d_datasets.pretraining import ClipStream, open_stream
from probe4d_fourds.export import write_npz, write_safetensors
from probe4d_fourds.flops import train_flops
from probe4d_fourds.run_log import RunLog
from probe4d_fourds.step import TrainStep, mesh_for
from probe4d_fourds.training_config import TrainConfig
from probe4d_runners.jax.checkpoints import Checkpoints
from probe4d_runners.jax.mesh import describe, fsdp_size, unsharded
from probe4d_runners.jax.peak import matmul_peak

__all__ = ["TrainResult", "train"]

# What another run of the same folder may change without another result.
FREE = ("name", "mesh", "run", "compute.remat", "data.workers", "data.ahead", "data.max_broken")

# Fields that runs of earlier versions do not name, and what these did.
BEFORE = {"model.keep_rounding": "floor", "optimizer.schedule": "cosine", "optimizer.decay_biases": False}


@frozen(kw_only=True)
class TrainResult:
    """How a run ended.

    Attributes:
        step: steps done, all runs of the folder together.
        stopped: the name of the signal that ended it early, else None.
        skipped: updates left out, because they were not finite.
    """

    step: int
    stopped: str | None
    skipped: int


@frozen(kw_only=True)
class _Pending:
    """A step that the device may still be at: looked at while the next one is fed."""

    number: int
    metrics: Mapping[str, Any]
    ids: list[str] = field(repr=False)


def train(config: TrainConfig, folder: Path) -> TrainResult:
    """Train, from the newest checkpoint of the folder if it has one.

    Raises:
        UsageError: the folder is of another configuration; the message names the field.
        DataError: too many clips are broken, or a checkpoint is damaged.
        Probe4dError: the loss is not finite and the configuration says to stop.
    """
    return _Training(config, folder).run()


class _Training:
    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.lead = jax.process_index() == 0
        model = config.model.objective()
        self.step = TrainStep(model, config.recipe(), mesh_for(model, config.mesh))
        if config.data.batch_size % (self.step.shards * config.optimizer.accumulate):
            raise UsageError(
                f"data.batch_size: expected a multiple of {self.step.shards} shards x {config.optimizer.accumulate} "
                f"parts, got {config.data.batch_size}."
            )
        _claim(folder, config, self.lead)
        self.skipped = 0
        self.saved: int | None = None

    def run(self) -> TrainResult:
        run = self.config.run
        with Checkpoints(
            self.folder / "checkpoints", keep_last=run.keep_last, keep_every=run.keep_every
        ) as checkpoints:
            found = checkpoints.restore(self.step.abstract_state())
            state, extra = found if found is not None else (self.step.init(self.config.seed), None)
            first = 0 if extra is None else int(extra["step"])
            self.skipped = 0 if extra is None else int(extra["skipped"])
            self.saved = None if extra is None else first
            with (
                self._open_data(extra) as stream,
                RunLog(self.folder, first, tensorboard=run.tensorboard, lead=self.lead) as log,
                _stop_signals() as asked,
            ):
                self._say_what(log, first)
                return self._steps(state, first, stream, log, checkpoints, asked)

    def _open_data(self, extra: Mapping[str, Any] | None) -> ClipStream:
        start = None if extra is None else json.dumps(extra["data"]).encode()
        return open_stream(
            self.config.data, process_index=jax.process_index(), process_count=jax.process_count(), start=start
        )

    def _steps(
        self,
        state: Any,
        first: int,
        stream: ClipStream,
        log: RunLog,
        checkpoints: Checkpoints,
        asked: list[str],
    ) -> TrainResult:
        config, compiled = self.config, self.step.compiled()
        seed = np.uint32(config.seed)
        meter = _Meter(self.step, stream, config.data.batch_size)
        pending: _Pending | None = None
        number = first
        while number < config.optimizer.steps and not asked:
            batch = next(stream)
            state, metrics = compiled(state, self._global(batch["video"]), seed)
            if pending is not None:
                self._look(pending, log, meter)
            number += 1
            pending = _Pending(number=number, metrics=metrics, ids=batch["ids"])
            if number % config.run.checkpoint_every == 0 and number < config.optimizer.steps:
                self._look(pending, log, meter)
                pending = None
                self._save(checkpoints, number, state, stream)
        if pending is not None:
            self._look(pending, log, meter)
        if number > first:
            self._save(checkpoints, number, state, stream, wait=True)
        if asked:
            log.say(f"stopped by {asked[0]} after step {number}; the same command goes on from there")
        else:
            self._finish(state["params"], stream, number)
        return TrainResult(step=number, stopped=asked[0] if asked else None, skipped=self.skipped)

    def _global(self, video: Any) -> Any:
        """Return this process's part of the batch as part of the global one, on the devices."""
        shape = (self.config.data.batch_size, *video.shape[1:])
        return jax.make_array_from_process_local_data(self.step.batch_sharding, video, shape)

    def _look(self, pending: _Pending, log: RunLog, meter: _Meter) -> None:
        """Wait for a step, log it, and stop the run where it is not finite.

        Raises:
            Probe4dError: it is not, and updates may not be skipped, or not any more.
        """
        values = {name: float(value) for name, value in pending.metrics.items()}
        if not values.pop("finite"):
            self._not_finite(pending, values["loss"])
        meter.count()
        log.write({"step": pending.number, **{name: _finite(value) for name, value in values.items()}})
        if pending.number % self.config.run.log_every == 0 or pending.number == self.config.optimizer.steps:
            log.say(meter.line(pending.number, self.config.optimizer.steps, values, self.skipped))

    def _not_finite(self, pending: _Pending, loss: float) -> None:
        self.skipped += 1
        run = self.config.run
        if run.on_nonfinite == "skip" and self.skipped <= run.max_skipped:
            return
        shown = ", ".join(pending.ids[:8]) + (" …" if len(pending.ids) > 8 else "")
        last = "no checkpoint yet" if self.saved is None else f"the last good checkpoint is of step {self.saved}"
        if run.on_nonfinite == "skip":
            advice = f"{self.skipped} updates were not finite, run.max_skipped allows {run.max_skipped}."
        else:
            advice = 'Lower optimizer.learning_rate, or set run.on_nonfinite = "skip".'
        raise Probe4dError(
            f"training step {pending.number}: expected a finite loss and gradient, got loss {loss} "
            f"on the batch of {len(pending.ids)} examples {shown}; {last}. {advice}"
        )

    def _save(
        self, checkpoints: Checkpoints, number: int, state: Any, stream: ClipStream, *, wait: bool = False
    ) -> None:
        extra = {
            "step": number,
            "skipped": self.skipped,
            "data": json.loads(stream.get_state()),
            "config": self.config.tables(),
        }
        checkpoints.save(number, state, extra, wait=wait)
        self.saved = number

    def _finish(self, params: Any, stream: ClipStream, number: int) -> None:
        """Write the weights for others to read, and last that the run is done."""
        if jax.process_count() > 1:
            params = multihost_utils.process_allgather(params, tiled=True)
        if self.lead:
            write_npz(self.folder / "weights.npz", params)
            write_safetensors(self.folder / "weights.safetensors", params, dtype=self.config.run.weights_dtype)
            atomic.write_json(
                self.folder / "done.json", {"step": number, "skipped": self.skipped, "data": stream.health()}
            )

    def _say_what(self, log: RunLog, first: int) -> None:
        specs, shapes = self.step.split_parameters()
        sizes = describe(self.step.mesh)
        total = sum(math.prod(shape) for shape in shapes.values())
        log.say(
            f"{self.config.name}: {total:,} parameters, mesh {sizes} (data x fsdp x tensor), "
            f"steps {first} to {self.config.optimizer.steps}, batch {self.config.data.batch_size}"
        )
        if fsdp_size(self.step.mesh) > 1 and (copied := unsharded(specs, shapes)):
            log.say(f"not sharded, as no axis divides: {', '.join(copied)}")


class _Meter:
    """Speed since the last line."""

    def __init__(self, step: TrainStep, stream: ClipStream, batch_size: int) -> None:
        self._batch_size = batch_size
        self._flops = train_flops(step.config)
        self._stream = stream
        self._peak = matmul_peak(step.recipe.dtype)
        self._steps, self._began, self._waited = 0, time.perf_counter(), stream.wait_seconds

    def count(self) -> None:
        self._steps += 1

    def line(self, number: int, total: int, values: Mapping[str, float], skipped: int) -> str:
        """Return a line for people; begins to measure anew."""
        now = time.perf_counter()
        seconds, waited = now - self._began, self._stream.wait_seconds - self._waited
        clips = self._steps * self._batch_size / seconds
        line = (
            f"step {number}/{total}  loss {values['loss']:.5f}  gradient {values['gradient_norm']:.3g}  "
            f"rate {values['learning_rate']:.2e}  {seconds / self._steps:.3f} s/step  {clips:.1f} clips/s  "
            f"wait {waited / seconds:.0%}  utilisation {clips * self._flops / self._peak:.0%}"
        )
        self._steps, self._began, self._waited = 0, now, self._stream.wait_seconds
        return line + (f"  skipped {skipped}" if skipped else "")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _claim(folder: Path, config: TrainConfig, lead: bool) -> None:
    """Say in the folder which configuration it is of, or find that it is this one."""
    file = folder / "config.json"
    here = config.tables()
    if file.exists():
        now, began = _flat(here), BEFORE | _flat(json.loads(file.read_text(encoding="utf-8")))
        for name in sorted(now.keys() | began.keys()):
            free = any(name == prefix or name.startswith(prefix + ".") for prefix in FREE)
            got, want = now.get(name), began.get(name)
            if not free and got != want:
                raise UsageError(
                    f"{file}: expected {name} = {want!r}, as the run began with, got {got!r}. "
                    "Name another folder by -o."
                )
    elif lead:
        atomic.write_json(file, here)


def _flat(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in tables.items():
        name = f"{prefix}{key}"
        out |= _flat(value, name + ".") if isinstance(value, Mapping) else {name: value}
    return out


@contextmanager
def _stop_signals() -> Iterator[list[str]]:
    """Yield a list that gets the name of SIGTERM or SIGINT when it comes; a second one acts as it would."""
    asked: list[str] = []
    before: dict[signal.Signals, Any] = {}

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(signal.Signals(number).name)
        signal.signal(number, before[signal.Signals(number)])

    for sign in (signal.SIGTERM, signal.SIGINT):
        before[sign] = signal.signal(sign, ask)
    try:
        yield asked
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
