"""A sample as one picture: frames with boxes, frames with tracks, depth, and the camera's path."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from probe4d.contracts import Sample

COLUMNS = 8
CELL = 176  # width of a frame on the sheet, pixels
GAP = 4
LINE = 14  # height of a line of text, pixels
PAPER, INK, FAINT = (250, 250, 248), (20, 20, 20), (150, 150, 150)
TRAIL = 5  # frames that a track's tail shows
# Near to far, and grey where depth is not valid.
DEPTH_COLORS = np.array(((253, 231, 37), (94, 201, 98), (33, 145, 140), (59, 82, 139), (68, 1, 84)), np.float64)
NOT_VALID = (120, 120, 120)
Color = tuple[int, int, int]


def contact_sheet(sample: Sample, columns: int = COLUMNS) -> Image.Image:
    """Return the sheet: a column per frame shown, a row per kind of target that the sample has."""
    frames = len(sample.video)
    shown = sorted({round(i * (frames - 1) / max(columns - 1, 1)) for i in range(columns)})
    rows = [_row_of_boxes(sample, shown)]
    if "points" in sample.targets:
        rows.append(_row_of_tracks(sample, shown))
    if "depth" in sample.targets:
        rows.append(_row_of_depth(sample, shown))
    if "pose" in sample.targets:
        rows.append(_row_of_poses(sample, rows[0].width))
    head = _text_row(_headline(sample), rows[0].width)
    return _stack([head, *rows])


def contact_sheets(samples: Sequence[Sample]) -> Image.Image:
    """Return the sheets of samples, one above the other."""
    return _stack([contact_sheet(sample) for sample in samples])


def _headline(sample: Sample) -> str:
    frames, height, width = sample.video.shape[:3]
    words = [sample.id, f"{frames} frames of {width}x{height}"]
    if "labels" in sample.targets:
        label = int(sample.targets["labels"]["label"])
        words.append(
            f"label {label} ({sample.provenance['class']})" if "class" in sample.provenance else f"label {label}"
        )
    return "   ".join(words)


def _row_of_boxes(sample: Sample, shown: list[int]) -> Image.Image:
    boxes = sample.targets.get("boxes")
    cells = []
    for t in shown:
        cell, _ = _frame(sample, t)
        draw = ImageDraw.Draw(cell)
        if boxes is not None:
            for i, (box, present) in enumerate(zip(boxes["boxes"][:, t], boxes["present"][:, t], strict=True)):
                if present:
                    ymin, xmin, ymax, xmax = (float(x) for x in box)
                    corners = (xmin * cell.width, ymin * cell.height, xmax * cell.width - 1, ymax * cell.height - 1)
                    draw.rectangle(corners, outline=_color(i, len(boxes["boxes"])))
        cells.append(cell)
    return _row("frames and boxes" if boxes is not None else "frames", cells, [f"{t}" for t in shown])


def _row_of_tracks(sample: Sample, shown: list[int]) -> Image.Image:
    tracks, visible = sample.targets["points"]["tracks"], sample.targets["points"]["visible"]
    cells = []
    for t in shown:
        cell, zoom = _frame(sample, t)
        cell = Image.blend(cell, Image.new("RGB", cell.size, (0, 0, 0)), 0.35)
        draw = ImageDraw.Draw(cell)
        for i, track in enumerate(tracks):
            if not visible[i, t]:
                continue
            color = _color(i, len(tracks))
            # A hidden point may stand anywhere: the tail goes back to where the point was last hidden.
            hidden = np.flatnonzero(~visible[i, :t])
            start = max(t - TRAIL, int(hidden[-1]) + 1 if len(hidden) else 0)
            tail = [(float(x) * zoom, float(y) * zoom) for x, y in track[start : t + 1]]
            if len(tail) > 1:
                draw.line(tail, fill=color)
            x, y = tail[-1]
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
        cells.append(cell)
    seen = f"{int(visible.sum())} of {visible.size} visible"
    return _row(f"{len(tracks)} tracks ({seen}; hidden points are not drawn)", cells, [])


def _row_of_depth(sample: Sample, shown: list[int]) -> Image.Image:
    depth, valid = sample.targets["depth"]["depth"], sample.targets["depth"]["valid"].astype(bool)
    if not valid.any():
        return _text_row("depth: no valid pixel", len(shown) * (CELL + GAP))
    near, far = float(depth[valid].min()), float(depth[valid].max())
    cells = []
    for t in shown:
        place = np.where(valid[t], (depth[t] - near) / max(far - near, 1e-6), 0.0)
        steps = np.linspace(0.0, 1.0, len(DEPTH_COLORS))
        colors = np.stack([np.interp(place, steps, DEPTH_COLORS[:, c]) for c in range(3)], -1).astype(np.uint8)
        colors[~valid[t]] = NOT_VALID
        cells.append(_scaled(colors)[0])
    return _row(f"depth, {near:.2f} m (yellow) to {far:.2f} m (violet)", cells, [])


def _row_of_poses(sample: Sample, width: int) -> Image.Image:
    """Draw the camera's path from above and from the side, in the first camera's axes."""
    extrinsics = sample.targets["pose"]["extrinsics"].astype(np.float64)
    first = extrinsics[0]
    centers, views = [], []
    for pose in extrinsics:
        eye = -_times(pose[:, :3].T, pose[:, 3])
        centers.append(_times(first[:, :3], eye) + first[:, 3])
        views.append(_times(first[:, :3], pose[2, :3]))
    turn, way = _turn(first, extrinsics[-1]), float(np.sqrt((centers[-1] ** 2).sum()))
    unit = "units of the clip" if sample.provenance.get("metric") is False else "m"
    title = f"camera in the first frame's axes, first to last: {way:.2f} {unit}, {turn:.1f} degrees"
    panels = [
        _plot(np.array(centers), np.array(views), (0, 2), "from above: right, forward", unit, flip=True),
        _plot(np.array(centers), np.array(views), (2, 1), "from the left: forward, down", unit, flip=False),
    ]
    row = _row(title, panels, [])
    wide = Image.new("RGB", (max(width, row.width), row.height), PAPER)
    wide.paste(row)
    return wide


def _plot(
    centers: npt.NDArray[np.float64],
    views: npt.NDArray[np.float64],
    axes: tuple[int, int],
    title: str,
    unit: str,
    flip: bool,
) -> Image.Image:
    width, height = CELL * 2 + GAP, CELL
    panel = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(panel)
    flat, view = centers[:, axes], views[:, axes]
    middle = (flat.min(0) + flat.max(0)) / 2
    span = max(float((flat.max(0) - flat.min(0)).max()), 0.05) * 1.8
    zoom = height / span

    def at(point: npt.NDArray[np.float64]) -> tuple[float, float]:
        x, y = (point - middle) * zoom
        return width / 2 + x, height / 2 + (-y if flip else y)

    for i, (point, direction) in enumerate(zip(flat, view, strict=True)):
        color = _color(i, len(flat) * 1.4)
        draw.line((at(point), at(point + direction * span * 0.12)), fill=color)
        x, y = at(point)
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
    bar = 10.0 ** math.floor(math.log10(span * 0.5))
    draw.line((8, height - 8, 8 + bar * zoom, height - 8), fill=INK)
    draw.text((8, height - 22), f"{bar:g} {unit}", fill=INK)
    draw.text((8, 4), title, fill=FAINT)
    return panel


def _turn(first: npt.NDArray[np.float64], last: npt.NDArray[np.float64]) -> float:
    """Return the angle between two cameras in degrees."""
    cosine = (float((first[:, :3] * last[:, :3]).sum()) - 1) / 2
    return math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))


def _times(matrix: npt.NDArray[np.float64], vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    product: npt.NDArray[np.float64] = (matrix * vector).sum(1)
    return product


def _frame(sample: Sample, t: int) -> tuple[Image.Image, float]:
    return _scaled(np.asarray(sample.video[t]))


def _scaled(pixels: npt.NDArray[Any]) -> tuple[Image.Image, float]:
    """Return an image of the width of a cell, and by how much it grew."""
    height, width = pixels.shape[:2]
    zoom = CELL / width
    size = (CELL, max(round(height * zoom), 1))
    method = Image.Resampling.NEAREST if zoom > 1 else Image.Resampling.BOX
    return Image.fromarray(pixels).resize(size, method), zoom


def _row(title: str, cells: list[Image.Image], captions: list[str]) -> Image.Image:
    height = max(cell.height for cell in cells)
    row = Image.new("RGB", (sum(cell.width + GAP for cell in cells), LINE + height), PAPER)
    ImageDraw.Draw(row).text((2, 0), title, fill=INK)
    x = 0
    for i, cell in enumerate(cells):
        if captions:
            ImageDraw.Draw(cell).text((3, 2), captions[i], fill=(255, 255, 255), stroke_width=1, stroke_fill=INK)
        row.paste(cell, (x, LINE))
        x += cell.width + GAP
    return row


def _text_row(text: str, width: int) -> Image.Image:
    row = Image.new("RGB", (width, LINE + 2), PAPER)
    ImageDraw.Draw(row).text((2, 2), text, fill=INK)
    return row


def _stack(rows: list[Image.Image]) -> Image.Image:
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width + 2 * GAP, sum(row.height + GAP for row in rows) + GAP), PAPER)
    y = GAP
    for row in rows:
        sheet.paste(row, (GAP, y))
        y += row.height + GAP
    return sheet


def _color(i: int, n: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(i / max(n, 1), 0.85, 1.0)
    return int(red * 255), int(green * 255), int(blue * 255)
