"""Predicted and true motion of the camera, seen from above, as in the paper's Figure 5."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from markupsafe import Markup

from probe4d.contracts import Array
from probe4d.records import Record
from probe4d_metrics import end_point_error, project_so3
from probe4d_report.html import Key
from probe4d_report.pairs import Pair
from probe4d_report.pictures import Picture, picture_section
from probe4d_report.svg import drawing, el, path, text
from probe4d_report.view import RunView

__all__ = ["panel"]

SIZE = 220.0
MARGIN = 30.0


@frozen(kw_only=True)
class _Camera:
    """A camera from above, in the first camera's frame: x to the right, z ahead; metres."""

    place: Array  # (2,)
    right: Array  # (2,)
    ahead: Array  # (2,)
    colour: str
    label: str
    dashed: bool = False


def panel(run: RunView) -> Markup | None:
    """Return a picture per sample with the first camera, the true last one, and a predicted one per backbone."""
    backbones = dict.fromkeys(
        record.cell.backbone for records in run.of_kind("pose").values() for record in run.some(records)
    )
    keys = [
        Key(label="first camera", colour="var(--muted)", shape=None),
        Key(label="true last camera", colour="var(--ink)", shape=None, dashed=True),
        *(Key(label=b, colour=run.colour(b), shape=None) for b in backbones),
    ]
    heading = "Seen from above, the first camera looks up the page. Predicted rotations are projected to SO(3)."

    def draw(_first: Record, found: list[tuple[Record, Pair]], sample: str) -> list[Picture]:
        return [_picture(run, found, sample)]

    return picture_section(run, "pose", draw, text=heading, keys=keys)


def _picture(run: RunView, found: list[tuple[Record, Pair]], sample: str) -> Picture:
    true = np.asarray(found[0][1].targets["pose"])
    start = np.concatenate([np.eye(3), np.zeros((3, 1))], axis=1)
    cameras = [
        _camera(start, "var(--muted)", "first camera"),
        _camera(true, "var(--ink)", "true last camera", dashed=True),
    ]
    errors = []
    for record, pair in found:
        pred = np.array(pair.predictions["pose"], float)
        pred[:, :3] = project_so3(pred[None, :, :3])[0][0]
        errors.append(f"{record.cell.backbone} {float(end_point_error(pred[None], true[None])[0]):.2f} m")
        cameras.append(_camera(pred, run.colour(record.cell.backbone), record.cell.backbone))
    caption = f"end point error: {', '.join(errors)}"
    return Picture(figure=_scene(cameras, f"{sample}, {caption}"), caption=caption)


def _camera(pose: Array, colour: str, label: str, *, dashed: bool = False) -> _Camera:
    """Return the camera that a pose `(3, 4)` of first-camera to last-camera points stands for."""
    rotation, translation = pose[:, :3], pose[:, 3]
    centre = -rotation.T @ translation
    return _Camera(
        place=centre[[0, 2]],
        right=rotation[0, [0, 2]],
        ahead=rotation[2, [0, 2]],
        colour=colour,
        label=label,
        dashed=dashed,
    )


def _scene(cameras: list[_Camera], label: str) -> Markup:
    places = np.array([camera.place for camera in cameras])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    span = max(float(np.ptp(places, axis=0).max()), 0.2)
    scale = (SIZE - 2 * MARGIN - 24) / span

    def at(point: Array) -> tuple[float, float]:
        x, z = (point - middle) * scale
        return SIZE / 2 + float(x), SIZE / 2 - float(z)

    length = 22.0 / scale  # of a drawn camera, in metres
    parts: list[Markup] = [el("rect", x=0.5, y=0.5, width=SIZE - 1, height=SIZE - 1, rx=4, class_="grid")]
    for camera in cameras:
        ends = [camera.place + length * (camera.ahead + side * 0.55 * camera.right) for side in (-1, 1)]
        style = f"fill:{camera.colour};fill-opacity:.1;stroke:{camera.colour};stroke-width:1.8;stroke-linejoin:round"
        style += ";stroke-dasharray:4 3" * camera.dashed
        title = el("title", camera.label)
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(camera.place), *map(at, ends)))
        parts.append(el("polygon", title, points=corners, style=style))
    bar = _round_length(0.3 * span)
    bottom = SIZE - 10
    parts.append(path([(10, bottom), (10 + bar * scale, bottom)], class_="axis"))
    parts.append(text(14 + bar * scale, bottom + 3.5, f"{bar:g} m", class_="tick"))
    return drawing(SIZE, SIZE, *parts, label=label)


def _round_length(rough: float) -> float:
    power = 10.0 ** np.floor(np.log10(rough))
    return float(max(power * step for step in (1, 2, 5) if power * step <= rough * (1 + 1e-9)))
