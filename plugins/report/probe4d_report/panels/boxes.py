"""Predicted boxes solid, true ones dashed, on the last frame, as in the paper's Figure 12."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from probe4d.contracts import Array
from probe4d.records import Record
from probe4d_metrics import box_iou
from probe4d_report.colours import series_colour
from probe4d_report.html import Key
from probe4d_report.pairs import Pair
from probe4d_report.pictures import Picture, ground, one_each, picture_section
from probe4d_report.svg import drawing, el
from probe4d_report.view import RunView

__all__ = ["panel"]

SIZE = 256.0
MOST = 12  # boxes in one picture


def panel(run: RunView) -> Markup | None:
    """Return a picture per sample and backbone, a colour per box."""
    keys = [
        Key(label="predicted", colour="var(--ink)", shape=None),
        Key(label="true", colour="var(--ink)", shape=None, dashed=True),
    ]
    text = (
        "The last frame on which a true box is present: predicted boxes are solid, true ones dashed, "
        "a colour per object."
    )
    return picture_section(run, "boxes", one_each(run, _picture), text=text, keys=keys, frames=True)


def _picture(record: Record, pair: Pair, clip: Array | None) -> Picture:
    true, present = np.asarray(pair.targets["boxes"]), np.asarray(pair.targets["present"], bool)
    pred = np.asarray(pair.predictions["boxes"])
    given = np.asarray(pair.predictions["present"], bool)
    frame = int(np.flatnonzero(present.any(axis=0)).max(initial=0))
    rows = np.flatnonzero(present[:, frame])[:MOST]
    overlap = [float(box_iou(pred[n, frame], true[n, frame])) if given[n, frame] else 0.0 for n in rows]
    # Of pixels where the clip is known, else square: boxes come in [0, 1].
    pixels = clip[frame] if clip is not None and frame < len(clip) else None
    height = SIZE * pixels.shape[0] / pixels.shape[1] if pixels is not None else SIZE
    marks = [
        mark for n in rows for mark in _pair(true[n, frame], pred[n, frame] if given[n, frame] else None, n, height)
    ]
    mean = f"mean IoU {np.mean(overlap):.2f}" if overlap else "no box"
    label = f"{pair.id}, frame {frame}, {record.cell.backbone}: {len(rows)} boxes, {mean}"
    figure = drawing(SIZE, height, ground(pixels, SIZE, height), *marks, label=label)
    return Picture(figure=figure, caption=f"{record.cell.backbone} · {mean}")


def _pair(true: Array, pred: Array | None, number: int, height: float) -> list[Markup]:
    colour = series_colour(int(number))
    # A rim in the colour of the ground, so that dashes stand out on any frame.
    marks = [_box(true, height, "fill:none;stroke:var(--page);stroke-width:3.2;stroke-opacity:.75")]
    marks.append(_box(true, height, f"fill:none;stroke:{colour};stroke-width:1.8;stroke-dasharray:5 4"))
    if pred is not None and np.isfinite(pred).all():
        # Far outside is as good as outside: numbers of an SVG stay small.
        marks.append(
            _box(np.clip(pred, -1, 2), height, f"fill:{colour};fill-opacity:.07;stroke:{colour};stroke-width:2")
        )
    return marks


def _box(box: Array, height: float, style: str) -> Markup:
    y0, x0, y1, x1 = (float(v) for v in box)
    return el(
        "rect",
        x=SIZE * min(x0, x1),
        y=height * min(y0, y1),
        width=SIZE * abs(x1 - x0),
        height=height * abs(y1 - y0),
        style=style,
    )
