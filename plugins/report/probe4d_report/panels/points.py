"""Predicted points against true ones on a late frame, as in the paper's Figure 9."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from probe4d.contracts import Array
from probe4d.records import Record
from probe4d_report.html import Key
from probe4d_report.pairs import Pair
from probe4d_report.pictures import Picture, ground, one_each, picture_section
from probe4d_report.svg import drawing, el, path
from probe4d_report.view import RunView

__all__ = ["panel"]

RASTER = 256.0  # tracks come in this raster
MOST = 24  # tracks in one picture
RING = (("var(--page)", 3.4), ("var(--ink)", 1.5))


def panel(run: RunView) -> Markup | None:
    """Return a picture per sample and backbone: rings are true positions, dots predicted ones, lines the errors."""
    keys = [
        Key(label="true position", colour="var(--ink)", shape=0),
        Key(label="predicted", colour="var(--s2)", shape=0),
        Key(label="error", colour="var(--s2)", shape=None),
        Key(label="true path", colour="var(--ink)", shape=None, dashed=True),
    ]
    text = (
        "The last frame on which a true point can be seen. Large rings are true positions, dots predicted ones; "
        "a line from one to the other is the error. A hollow dot was predicted to be hidden. "
        "Pixels are those of the 256x256 raster that the metric measures in."
    )
    return picture_section(run, "points", one_each(run, _picture), text=text, keys=keys, frames=True)


def _picture(record: Record, pair: Pair, clip: Array | None) -> Picture:
    true, seen = np.asarray(pair.targets["tracks"]), np.asarray(pair.targets["visible"], bool)
    pred = np.asarray(pair.predictions["tracks"])
    shown = np.asarray(pair.predictions.get("visible", np.ones(seen.shape, bool)), bool)
    frame = int(np.flatnonzero(seen.any(axis=0)).max(initial=0))
    rows = np.flatnonzero(seen[:, frame])
    rows = (
        rows[np.unique(np.linspace(0, len(rows) - 1, min(MOST, len(rows))).round().astype(int))] if len(rows) else rows
    )
    marks = [mark for n in rows for mark in _track(true[n], seen[n], pred[n, frame], bool(shown[n, frame]), frame)]
    errors = np.linalg.norm(pred[rows, frame] - true[rows, frame], axis=-1)
    error = f"median error {np.nanmedian(errors):.1f} px" if np.isfinite(errors).any() else "no finite prediction"
    place = ground(clip[frame] if clip is not None and frame < len(clip) else None, RASTER, RASTER)
    caption = f"{record.cell.backbone} · {error}"
    label = f"{pair.id}, frame {frame}, {record.cell.backbone}: {len(rows)} points, {error}"
    return Picture(figure=drawing(RASTER, RASTER, place, *marks, label=label), caption=caption)


def _track(true: Array, seen: Array, pred: Array, shown: bool, frame: int) -> list[Markup]:
    """Return the marks of one track: its true path up to the frame, both positions and the error."""
    x, y = (float(v) for v in true[frame])
    way = [(float(a), float(b)) for (a, b), visible in zip(true[: frame + 1], seen, strict=False) if visible]
    marks = [path(way, style="fill:none;stroke:var(--ink);stroke-width:1;stroke-dasharray:2 3;opacity:.7")]
    # Each mark has a rim in the colour of the ground, so that it stands out on any frame.
    marks += [el("circle", cx=x, cy=y, r=5, style=f"fill:none;stroke:{c};stroke-width:{w}") for c, w in RING]
    if np.isfinite(pred).all():
        px, py = (float(v) for v in np.clip(pred, -RASTER, 2 * RASTER))  # far outside is as good as outside
        marks.append(path([(x, y), (px, py)], style="stroke:var(--s2);stroke-width:1.8"))
        style = f"fill:var(--{'s2' if shown else 'page'});stroke:var(--{'page' if shown else 's2'});stroke-width:1"
        marks.append(el("circle", cx=px, cy=py, r=2.8, style=style))
    return marks
