"""The five readouts, and targets of the paper's sizes for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from probe4d_readouts.boxes import BoxesReadout
from probe4d_readouts.depth import DepthReadout
from probe4d_readouts.labels import LabelsReadout
from probe4d_readouts.points import PointsReadout
from probe4d_readouts.pose import PoseReadout

READOUTS: dict[str, Any] = {
    "labels": LabelsReadout,
    "pose": PoseReadout,
    "points": PointsReadout,
    "boxes": BoxesReadout,
    "depth": DepthReadout,
}


def targets_of(kind: str, readout: Any, clips: int) -> dict[str, np.ndarray]:
    """Return targets of clips of 16 frames of 224 x 224 pixels, with 64 tracks or 25 boxes."""
    if kind == "depth":
        clip = (clips, 16, 224, 224)
        return {"depth": np.full(clip, 2.0, np.float32), "valid": np.ones(clip, bool)}
    batch = {name: value for name, value in readout.example_batch(0, clips).items() if name != "query_mode"}
    rows = {"points": 64, "boxes": 25}.get(kind, 0)
    return {
        name: value if not rows or name == "frame_size" else np.resize(value, (clips, rows, *value.shape[2:]))
        for name, value in batch.items()
    }
