"""What the sections with pictures share: a frame or a grid to draw on, and rows of figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen
from markupsafe import Markup

from probe4d.contracts import Array
from probe4d.errors import Probe4dError
from probe4d.records import Record
from probe4d.results import Column
from probe4d_report.html import Key, render
from probe4d_report.pairs import Pair
from probe4d_report.png import data_uri, rgb_png
from probe4d_report.svg import el
from probe4d_report.view import RunView

__all__ = ["Picture", "Row", "ground", "one_each", "picture_section", "shrunk"]

AT_ONCE = 3  # samples that are seen without opening more
MOST_PIXELS = 128  # of a frame's longer side, so that a page stays small


@frozen(kw_only=True)
class Picture:
    """A figure and the line under it."""

    figure: Markup
    caption: str


@frozen(kw_only=True)
class Row:
    """The pictures of one sample."""

    id: str
    pictures: Sequence[Picture]


def picture_section(
    run: RunView,
    kind: str,
    draw: Callable[[Record, list[tuple[Record, Pair]], str], list[Picture]],
    *,
    text: str,
    keys: Sequence[Key] = (),
    frames: bool = False,
) -> Markup | None:
    """Return the samples of every task of a kind, a row of pictures each; None where the run has no such task.

    Args:
        draw: the pictures of one sample, from the first record and every record with its pair.
        frames: whether the pictures stand on frames, so that it is said where there are none.
    """
    groups = []
    drawn = {column for protocol in run.protocols for column in run.main_columns(protocol)}
    for column, records in run.of_kind(kind).items():
        if column not in drawn:
            continue  # another layer of a task that is drawn
        shown = run.some(records)
        try:
            rows = [
                Row(id=sample, pictures=draw(shown[0], [(r, run.pairs(r).load(sample)) for r in shown], sample))
                for sample in run.sample_ids(shown)
            ]
            problem = "" if rows else "no sample has predictions of every backbone shown"
        except Probe4dError as error:
            rows, problem = [], str(error)
        without = run.why_no_frames(shown[0]) if frames else ""
        groups.append((_title(run, column), rows, problem, without, len(records) - len(shown)))
    if not groups:
        return None
    return render("pictures.html", groups=groups, text=text, keys=keys, at_once=AT_ONCE)


def one_each(
    run: RunView, picture: Callable[[Record, Pair, Array | None], Picture]
) -> Callable[[Record, list[tuple[Record, Pair]], str], list[Picture]]:
    """Return what draws a sample as one picture per record, on the sample's clip `(t, h, w, 3)` or on None."""

    def draw(first: Record, found: list[tuple[Record, Pair]], sample: str) -> list[Picture]:
        clip = run.clip(first, sample)
        return [picture(record, pair, clip) for record, pair in found]

    return draw


def _title(run: RunView, column: Column) -> str:
    return run.name(column)


def ground(frame: Array | None, width: float, height: float) -> Markup:
    """Return a frame `(h, w, 3)` uint8 as an image of this size, or a grid where there is none."""
    if frame is not None:
        uri = data_uri(rgb_png(shrunk(frame)))
        return el("image", href=uri, width=width, height=height, preserveAspectRatio="none", opacity=0.75)
    lines = [el("line", x1=width * k / 8, x2=width * k / 8, y1=0, y2=height, class_="grid") for k in range(9)]
    lines += [el("line", x1=0, x2=width, y1=height * k / 8, y2=height * k / 8, class_="grid") for k in range(9)]
    return el("g", *lines)


def shrunk(frame: Array, most: int = MOST_PIXELS) -> Array:
    """Return the picture at most so many pixels long, by leaving out rows and columns."""
    step = max(1, -(-max(frame.shape[:2]) // most))
    return np.ascontiguousarray(frame[::step, ::step])
