"""Predicted depth maps beside the true one, as in the paper's Figure 11."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from probe4d.contracts import Array
from probe4d.records import Record
from probe4d_report.colours import ramp
from probe4d_report.html import render_text
from probe4d_report.pairs import Pair
from probe4d_report.pictures import Picture, picture_section, shrunk
from probe4d_report.png import data_uri, palette_png, rgb_png
from probe4d_report.view import RunView

__all__ = ["panel"]

STEPS = 96  # colours of a map
PALETTE = [(0, 0, 0), *ramp(STEPS)]


def panel(run: RunView) -> Markup | None:
    """Return a row per sample: the frame, the true map, and a map per backbone, all on the true map's scale."""
    text = (
        "The first frame of each clip, near dark to far pale, every map on the scale of the true one. "
        "Where depth is not known the map is clear."
    )

    def draw(first: Record, found: list[tuple[Record, Pair]], sample: str) -> list[Picture]:
        clip = run.clip(first, sample)
        target = found[0][1].targets
        depth, valid = np.asarray(target["depth"][0:1])[0], np.asarray(target["valid"][0:1])[0]
        scale = _scale(depth[valid])
        pictures = []
        if clip is not None:
            label = f"{sample}: the frame"
            pictures.append(Picture(figure=_image(data_uri(rgb_png(shrunk(clip[0]))), label), caption="frame"))
        caption = f"true · {scale[0]:.1f} – {scale[1]:.1f} m"
        pictures.append(Picture(figure=_map(depth, valid, scale, f"{sample}: true depth"), caption=caption))
        return pictures + [_predicted(record, pair, scale) for record, pair in found]

    return picture_section(run, "depth", draw, text=text, frames=True)


def _predicted(record: Record, pair: Pair, scale: tuple[float, float]) -> Picture:
    depth = np.asarray(pair.predictions["depth"][0:1])[0]
    true, valid = np.asarray(pair.targets["depth"][0:1])[0], np.asarray(pair.targets["valid"][0:1])[0]
    error = np.mean(np.abs(depth - true)[valid] / true[valid]) if valid.any() else np.nan
    label = f"{pair.id}: depth by {record.cell.backbone}, mean relative error {error:.3f}"
    return Picture(
        figure=_map(depth, np.isfinite(depth), scale, label),
        caption=f"{record.cell.backbone} · AbsRel {error:.3f}",
    )


def _scale(depth: Array) -> tuple[float, float]:
    """Return near and far of a map, the outermost 2 % left out; metres."""
    if not depth.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(depth, (2, 98)))
    return (low, high) if high > low else (low, low + 1.0)


def _map(depth: Array, valid: Array, scale: tuple[float, float], label: str) -> Markup:
    depth, valid = shrunk(depth), shrunk(valid)
    low, high = scale
    place = np.clip((np.where(valid, depth, low) - low) / (high - low), 0, 1)
    indices = np.where(valid, 1 + np.round(place * (STEPS - 1)), 0).astype(np.uint8)
    return _image(data_uri(palette_png(indices, PALETTE, transparent=True)), label)


def _image(uri: str, label: str) -> Markup:
    return render_text('<img src="{{ uri }}" alt="{{ label }}">', uri=uri, label=label)
