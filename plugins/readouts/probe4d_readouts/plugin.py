"""The entry point: five readout specs, nothing heavier."""

from __future__ import annotations

from collections.abc import Iterable

from probe4d.hookspecs import hookimpl
from probe4d.specs import ReadoutSpec

PROBE4D_PLUGIN_API = 1

# Options by which a protocol may size a readout, or make a short training of it useful.
SIZES = ("width", "heads", "embedding_std", "output_start")

READOUTS = (
    ReadoutSpec(
        name="labels",
        kind="labels",
        target="probe4d_readouts.labels:LabelsReadout",
        summary="one learned query -> class logits; softmax cross-entropy",
        requires=("jax>=0.6",),
        extra="probe4d[jax]",
        sizes=SIZES,
        flops="probe4d_readouts.costs:labels",
    ),
    ReadoutSpec(
        name="pose",
        kind="pose",
        target="probe4d_readouts.pose:PoseReadout",
        summary="one learned query on the first and last frame -> [R|t]; L2",
        requires=("jax>=0.6",),
        extra="probe4d[jax]",
        sizes=SIZES,
        flops="probe4d_readouts.costs:pose",
    ),
    ReadoutSpec(
        name="points",
        kind="points",
        target="probe4d_readouts.points:PointsReadout",
        summary="a query point, one query per 2 frames -> x, y, visibility, certainty; Huber + BCE",
        requires=("jax>=0.6",),
        extra="probe4d[jax]",
        sizes=SIZES,
        flops="probe4d_readouts.costs:points",
    ),
    ReadoutSpec(
        name="depth",
        kind="depth",
        target="probe4d_readouts.depth:DepthReadout",
        summary="one query per 2x8x8 patch -> metres per pixel; masked L2",
        requires=("jax>=0.6",),
        extra="probe4d[jax]",
        sizes=SIZES,
        flops="probe4d_readouts.costs:depth",
    ),
    ReadoutSpec(
        name="boxes",
        kind="boxes",
        target="probe4d_readouts.boxes:BoxesReadout",
        summary="a first-frame box -> one box per frame; masked L2",
        requires=("jax>=0.6",),
        extra="probe4d[jax]",
        sizes=SIZES,
        flops="probe4d_readouts.costs:boxes",
    ),
)


@hookimpl
def probe4d_readouts() -> Iterable[ReadoutSpec]:
    """Return the five readouts."""
    return READOUTS
