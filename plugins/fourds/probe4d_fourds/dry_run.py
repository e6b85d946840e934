"""`probe4d train --dry-run`: the real step compiled for chips that are not here, and what it would cost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import jax
import jax.numpy as jnp
from attrs import frozen

from probe4d.errors import Probe4dError
from probe4d_fourds.flops import train_flops
from probe4d_fourds.step import TrainStep, mesh_for
from probe4d_fourds.training_config import TrainConfig
from probe4d_runners.jax.collectives import Traffic, collectives
from probe4d_runners.jax.mesh import describe, fsdp_size, unsharded
from probe4d_runners.jax.topology import Topology

__all__ = ["DryRun", "dry_run"]

GIB = 2**30
DAY = 86_400


@frozen(kw_only=True)
class DryRun:
    """What a step needs and costs on a topology.

    Attributes:
        real: compiled by the chips' own compiler; else by the CPU's, whose peak means nothing.
        arguments, outputs, temporaries, peak: bytes per chip; `limit`: what a chip has.
        flops: of a step, per chip, recomputation not counted.
        traffic: by kind of collective, per chip and step.
        seconds: at the stated utilisation of the chip's peak; `wire_seconds`: of the traffic at full bandwidth.
        steps: of the whole training.
        copied: parameters that no axis of the mesh divides.
    """

    topology: str
    mesh: str
    real: bool
    remat: str
    arguments: int
    outputs: int
    temporaries: int
    peak: int
    limit: int
    flops: float
    traffic: Mapping[str, Traffic]
    utilisation: float
    seconds: float
    wire_seconds: float
    steps: int
    compile_seconds: float
    copied: list[str]

    def lines(self) -> Iterator[str]:
        """Yield the report."""
        yield f"topology      {self.topology}, mesh {self.mesh} (data x fsdp x tensor), remat {self.remat}"
        by = "the TPU compiler" if self.real else "the CPU compiler: libtpu is not installed, peak is only a sum"
        yield f"compiled      in {self.compile_seconds:.0f} s by {by}"
        yield f"arguments     {self.arguments / GIB:.2f} GiB a chip"
        yield f"outputs       {self.outputs / GIB:.2f} GiB, in place of the arguments where donated"
        yield f"temporaries   {self.temporaries / GIB:.2f} GiB"
        yield f"peak          {self.peak / GIB:.2f} GiB of {self.limit / GIB:.2f} GiB"
        yield f"arithmetic    {self.flops / 1e12:.3f} TFLOP a chip and step"
        for kind, traffic in self.traffic.items():
            yield f"{kind:<13} {traffic.count} a step, {traffic.wire / 1e6:,.1f} MB received a chip"
        yield f"a step        {self.seconds:.3f} s of arithmetic at {self.utilisation:.0%} of the peak, "
        yield f"              {self.wire_seconds:.3f} s of traffic at full bandwidth"
        low, high = max(self.seconds, self.wire_seconds), self.seconds + self.wire_seconds
        yield (
            f"training      {low * self.steps / DAY:.1f} days for {self.steps:,} steps if both overlap, "
            f"{high * self.steps / DAY:.1f} if neither does"
        )
        if self.copied:
            yield f"not sharded   {', '.join(self.copied)}"

    def record(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        traffic = {kind: {"count": each.count, "bytes": each.wire} for kind, each in self.traffic.items()}
        return {**attrs.asdict(self, recurse=False), "traffic": traffic}


def dry_run(config: TrainConfig, topology: Topology, *, utilisation: float = 0.4, fast: bool = False) -> DryRun:
    """Return what a step of the configuration costs on a topology.

    Nothing is allocated and nothing is run.

    Args:
        utilisation: share of the chip's peak that the arithmetic is assumed to reach.
        fast: compile with less effort; peak and traffic may be a little worse than the full compiler's.

    Raises:
        Probe4dError: the step does not fit the chip; the message is the compiler's.
        UsageError: the mesh or the batch does not fit the topology.
    """
    devices, real = topology.devices()
    recipe = attrs.evolve(
        config.recipe(),
        dtype=config.compute.dtype or "bfloat16",
        attention=config.compute.attention or ("fused" if real else "einsum"),
    )
    model = config.model.objective()
    step = TrainStep(model, recipe, mesh_for(model, config.mesh, devices))
    began = time.perf_counter()
    effort = {"exec_time_optimization_effort": -1.0} if fast and real else None
    compiled = _compiled(step, config.data.batch_size, effort, f"{config.name} on {topology.name}")
    compile_seconds = time.perf_counter() - began
    traffic = collectives(compiled.as_text())
    flops = train_flops(step.config) * config.data.batch_size / topology.chips
    specs, shapes = step.split_parameters()
    return DryRun(
        topology=topology.name,
        mesh=describe(step.mesh),
        real=real,
        remat=recipe.remat,
        **_memory(compiled, real),
        limit=topology.chip.memory,
        flops=flops,
        traffic=traffic,
        utilisation=utilisation,
        seconds=flops / (utilisation * topology.chip.flops),
        wire_seconds=sum(each.wire for each in traffic.values()) / topology.chip.wire,
        steps=config.optimizer.steps,
        compile_seconds=compile_seconds,
        copied=unsharded(specs, shapes) if fsdp_size(step.mesh) > 1 else [],
    )


def _compiled(step: TrainStep, batch: int, options: Mapping[str, float] | None, where: str) -> Any:
    """Return the step compiled for videos of so many clips.

    Raises:
        Probe4dError: it does not fit the chip.
    """
    video = jax.ShapeDtypeStruct((batch, *step.config.vit.clip, 3), jnp.uint8, sharding=step.batch_sharding)
    lowered = step.compiled().lower(step.abstract_state(), video, jax.ShapeDtypeStruct((), jnp.uint32))  # type: ignore[attr-defined]
    try:
        return lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise Probe4dError(
            f"{where}: expected a step that fits the chip, got: {reason} "
            "Set compute.remat to dots or full, or take more chips."
        ) from error


def _memory(compiled: Any, real: bool) -> dict[str, int]:
    """Return the bytes of `DryRun` that a chip needs; without the chips' own compiler the peak is a sum."""
    memory = compiled.memory_analysis()
    in_place = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    peak = getattr(memory, "peak_memory_in_bytes", 0) if real else 0
    return {
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "peak": peak or in_place + memory.temp_size_in_bytes,
    }
