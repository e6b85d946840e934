"""One class per clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.contracts import Arrays, Field, MetaKey, Role
from probe4d.errors import DataError

__all__ = ["Labels"]

Meta = Mapping[Role, Mapping[str, Any]]

CLASSES = MetaKey(type="names", summary="the classes in the order of the logits, or how many there are")
PREDICTIONS = {
    "logits": Field(
        dims="c", dtypes="f", required=False, finite=False, summary="a score per class; a row with NaN is wrong"
    ),
    "label": Field(dims="", dtypes="iu", required=False, summary="the class, from 0"),
}
TARGETS = {"label": Field(dims="", dtypes="iu", summary="the class, from 0")}


class Labels:
    """The kind `labels`."""

    def fields(self, role: Role) -> Mapping[str, Field]:
        """Return the fields of a sample."""
        return PREDICTIONS if role == "predictions" else TARGETS

    def meta(self, role: Role) -> Mapping[str, MetaKey]:
        """Return the conventions of a file."""
        return {"classes": CLASSES}

    def read(self, predictions: Arrays, targets: Arrays, meta: Meta) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return logits `(c,)` or the label, and the target's label.

        Raises:
            DataError: there are both or neither, or a label is out of range.
        """
        given = [name for name in ("logits", "label") if name in predictions]
        if len(given) != 1:
            raise DataError(f"predictions.logits: expected either logits or label, got {given or 'neither'}.")
        classes = _stated(meta)
        if "logits" in predictions:
            classes.append(len(predictions["logits"]))
            if len(set(classes)) > 1:
                raise DataError(f"predictions.logits: expected {classes[0]}, as meta.classes says, got {classes[-1]}.")
        _check_range("targets", int(targets["label"]), min(classes, default=None))
        if "label" in predictions:
            _check_range("predictions", int(predictions["label"]), min(classes, default=None))
        return {given[0]: predictions[given[0]]}, {"label": targets["label"].astype(np.int64)}

    def worst(self, targets: Arrays, meta: Meta) -> Arrays:
        """Return logits of NaN, which are wrong for any label."""
        return {"logits": np.full(min(_stated(meta), default=int(targets["label"]) + 1), np.nan)}

    def example(self, seed: int) -> tuple[Arrays, Arrays, Meta]:
        """Return logits of seven classes with the right one ahead."""
        random = np.random.default_rng(seed)
        label = np.array(int(random.integers(7)))
        logits = random.normal(0, 1, 7)
        logits[int(label)] = 9.0
        return {"logits": logits}, {"label": label}, {"predictions": {}, "targets": {}}


def _stated(meta: Meta) -> list[int]:
    """Return how many classes each file says that there are, where it says so.

    Raises:
        DataError: they disagree.
    """
    stated = [meta[role]["classes"] for role in ("predictions", "targets") if "classes" in meta.get(role, {})]
    named = [classes for classes in stated if not isinstance(classes, int)]
    counts = [classes if isinstance(classes, int) else len(classes) for classes in stated]
    if len(set(counts)) > 1 or (len(named) == 2 and named[0] != named[1]):
        raise DataError("predictions.label: expected the classes of the targets in meta.classes, got others.")
    return counts


def _check_range(role: str, label: int, classes: int | None) -> None:
    if label < 0 or (classes is not None and label >= classes):
        upper = "" if classes is None else f" to {classes - 1}"
        raise DataError(f"{role}.label: expected a class from 0{upper}, got {label}.")
