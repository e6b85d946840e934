"""The entry point: five readout specs, nothing heavier."""

from __future__ import annotations

from collections.abc import Iterable

from probe4d.hookspecs import hookimpl
from probe4d.specs import ReadoutSpec

PROBE4D_PLUGIN_API = 1

# Options by which a protocol may size a readout, or make a short training of it useful.
SIZES = ("width", "heads", "embedding_std", "output_start")


def _readout(kind: str, target: str, summary: str) -> ReadoutSpec:
    return ReadoutSpec(
        name=kind,
        kind=kind,
        target=f"probe4d_readouts.{kind}:{target}",
        summary=summary,
        requires=("jax>=0.6",),
        extra="probe4d[jax]",
        sizes=SIZES,
        flops=f"probe4d_readouts.costs:{kind}",
    )


READOUTS = (
    _readout("labels", "LabelsReadout", "one learned query -> class logits; softmax cross-entropy"),
    _readout("pose", "PoseReadout", "one learned query on the first and last frame -> [R|t]; L2"),
    _readout(
        "points",
        "PointsReadout",
        "a query point, one query per 2 frames -> x, y, visibility, certainty; Huber + BCE",
    ),
    _readout("depth", "DepthReadout", "one query per 2x8x8 patch -> metres per pixel; masked L2"),
    _readout("boxes", "BoxesReadout", "a first-frame box -> one box per frame; masked L2"),
)


@hookimpl
def probe4d_readouts() -> Iterable[ReadoutSpec]:
    """Return the five readouts."""
    return READOUTS
