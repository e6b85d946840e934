"""Accuracy by class, two backbones side by side as in the paper's Figure 10, and what is taken for what."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from markupsafe import Markup

from probe4d.contracts import Array
from probe4d.errors import Probe4dError
from probe4d.records import Record
from probe4d_report.html import Key, legend, render
from probe4d_report.matrix import matrix
from probe4d_report.svg import drawing, el, text
from probe4d_report.view import RunView

__all__ = ["confusion_of", "panel"]

MOST_CLASSES = 40  # in a confusion matrix that can be read


@frozen(kw_only=True)
class _Found:
    """One backbone's answers: `counts[true, predicted]`; the last column is for no answer at all."""

    record: Record
    counts: Array

    @property
    def accuracy(self) -> Array:
        """Share of right answers by class, NaN for a class without samples."""
        classes = len(self.counts)
        total = self.counts.sum(axis=1)
        right = self.counts[np.arange(classes), np.arange(classes)]
        found: Array = np.divide(right, total, out=np.full(classes, np.nan), where=total > 0)
        return found


def panel(run: RunView) -> Markup | None:
    """Return, per task of labels, the accuracy by class of the best and the worst backbone, and confusions."""
    groups = [_group(run, run.name(column), records) for column, records in run.of_kind("labels").items()]
    return render("labels.html", groups=groups) if groups else None


def _group(run: RunView, name: str, records: list[Record]) -> dict[str, Any]:
    shown = run.some(records)
    try:
        names = _names(run, shown)
        found = [_Found(record=record, counts=confusion_of(run, record, len(names))) for record in shown]
    except Probe4dError as error:
        return {"name": name, "problem": str(error)}
    two = [found[-1], found[0]] if len(found) > 1 else found
    keys = [Key(label=one.record.cell.backbone, colour=run.colour(one.record.cell.backbone), shape=1) for one in two]
    return {
        "name": name,
        "problem": "",
        "bars": _bars(run, two, names),
        "legend": legend(keys),
        "matrices": [_matrix(one, names) for one in found] if len(names) <= MOST_CLASSES else [],
        "classes": len(names),
        "most": MOST_CLASSES,
        "first": two[0].record.cell.backbone,
    }


def _names(run: RunView, records: list[Record]) -> list[str]:
    """Return the names of the classes: as the files state them, else their numbers."""
    count = 0
    for record in records:
        pairs = run.pairs(record)
        for role in ("targets", "predictions"):
            stated = pairs.meta[role].get("classes")
            if isinstance(stated, list | tuple):
                return [str(name) for name in stated]
            count = max(count, int(stated or 0))
        for pair in pairs:
            count = max(count, int(pair.targets["label"]) + 1, np.size(pair.predictions.get("logits", ())))
    return [str(number) for number in range(count)]


def confusion_of(run: RunView, record: Record, classes: int) -> Array:
    """Return `(classes, classes + 1)` counts of true by predicted class; the last column is for NaN."""
    counts = np.zeros((classes, classes + 1), int)
    for pair in run.pairs(record):
        logits = pair.predictions.get("logits")
        if logits is None:
            answer = int(pair.predictions["label"])
        else:
            answer = int(np.argmax(logits)) if not np.isnan(logits).any() else classes
        counts[int(pair.targets["label"]), answer] += 1
    return counts


def _bars(run: RunView, two: list[_Found], names: list[str]) -> Markup:
    """Return bars by class, in the order of the first backbone's accuracy."""
    first = np.nan_to_num(two[0].accuracy, nan=-1.0)
    order = [int(k) for k in np.argsort(first, kind="stable")]
    wide = max(14.0, min(46.0, 900.0 / len(names)))
    height, left, top = 180.0, 40.0, 12.0
    few = len(names) <= MOST_CLASSES
    longest = max((len(names[k]) for k in order), default=0) if few else 0
    parts = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = top + height * (1 - value)
        parts.append(el("line", x1=left, x2=left + wide * len(order), y1=y, y2=y, class_="grid"))
        parts.append(text(left - 6, y + 3.5, f"{value:.0%}", anchor="end", class_="tick"))
    for place, k in enumerate(order):
        x = left + place * wide
        for side, one in enumerate(two):
            share = float(np.nan_to_num(one.accuracy[k]))
            bar = (wide - 6) / len(two)
            parts.append(
                el(
                    "rect",
                    el("title", f"{names[k]}, {one.record.cell.backbone}: {share:.1%} of {int(one.counts[k].sum())}"),
                    x=x + 3 + side * bar,
                    y=top + height * (1 - share),
                    width=bar - 1,
                    height=height * share,
                    rx=1.5,
                    style=f"fill:{run.colour(one.record.cell.backbone)}",
                )
            )
        if few:
            at = (x + wide / 2 + 3, top + height + 12)
            parts.append(
                text(*at, names[k], anchor="end", class_="tick", transform=f"rotate(-50 {at[0]:.1f} {at[1]:.1f})")
            )
    said = "; ".join(f"{one.record.cell.backbone} {np.nanmean(one.accuracy):.1%} on average" for one in two)
    return drawing(
        left + wide * len(order) + 8, top + height + 22 + longest * 4.6, *parts, label=f"Accuracy by class: {said}"
    )


def _matrix(one: _Found, names: list[str]) -> tuple[str, Markup]:
    counts = one.counts if one.counts[:, -1].any() else one.counts[:, :-1]
    columns = names if counts.shape[1] == len(names) else [*names, "none"]
    totals = np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure = matrix(
        (counts / totals).tolist(),
        names,
        columns,
        label=f"Confusion of {one.record.cell.backbone}: rows are true classes, columns predicted ones",
        strength=lambda share: share,
        words=lambda share: f"{share * 100:.0f}" if share >= 0.005 else "",
        cell=max(14.0, min(30.0, 420.0 / len(names))),
        left=16.0 + 6.0 * max(map(len, names)),
        tilt=max(map(len, names)) > 2,
    )
    return one.record.cell.backbone, figure
