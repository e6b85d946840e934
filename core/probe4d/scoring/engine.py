"""One pass over the samples: read both sides, check, put into one frame, add to the metrics.

Only sums per sample are kept, so that memory is bounded by one sample (by one block of frames for
fields that stream), whatever the size of the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import define, field, frozen

from probe4d.contracts import Arrays, Kind, LeftOut, Metric, MetricState, Role
from probe4d.errors import DataError, UsageError
from probe4d.scoring.asides import ASIDES
from probe4d.scoring.batches import Batches
from probe4d.scoring.conventions import ROLES
from probe4d.scoring.fields import check_fields
from probe4d.scoring.lazy import is_lazy
from probe4d.scoring.source import Source

__all__ = ["MISSING", "Pairing", "Tally", "check_sample_ids", "tally"]

MISSING = ("error", "worst", "skip")
NAMED = 3  # ids that a message about many lists


@frozen(kw_only=True)
class Pairing:
    """Two files whose conventions are settled."""

    kind: Kind
    sources: Mapping[Role, Source]
    meta: Mapping[Role, Mapping[str, Any]]
    missing: str = "error"


@define(kw_only=True)
class Tally:
    """What one pass found.

    Attributes:
        states: by the metric's canonical name.
        compared: how many samples the metrics saw.
        skipped: samples that no metric saw, and why.
        filled: samples scored as wrong because they had no prediction.
    """

    states: dict[str, MetricState]
    compared: int = 0
    skipped: list[LeftOut] = field(factory=list)
    filled: set[str] = field(factory=set)


def check_sample_ids(pairing: Pairing) -> None:
    """Compare the ids of both files.

    Raises:
        DataError: there are predictions for unknown samples, none for some target (unless `missing`
            says what to do), or no sample in common.
        UsageError: `missing` is none of the choices.
    """
    if pairing.missing not in MISSING:
        raise UsageError(f"--missing: expected one of {', '.join(MISSING)}, got {pairing.missing!r}.")
    predictions, targets = pairing.sources["predictions"], pairing.sources["targets"]
    known, given = set(targets.ids), set(predictions.ids)
    if surplus := [sample_id for sample_id in predictions.ids if sample_id not in known]:
        raise DataError(
            f"{predictions.name}: expected samples that {targets.name} has, got {_some(surplus)} besides. "
            f"The targets' ids are {_some(list(targets.ids))}. Leave them out, or score against their targets."
        )
    lacking = [sample_id for sample_id in targets.ids if sample_id not in given]
    if pairing.missing == "error" and hasattr(targets, "readable"):
        # What the dataset itself cannot give is left out and named; nobody can have predicted it.
        lacking = [sample_id for sample_id in lacking if targets.readable(sample_id)]
    if lacking and pairing.missing == "error":
        raise DataError(
            f"{predictions.name}: expected a prediction for each of the {len(known)} samples of {targets.name}, "
            f"got none for {_some(lacking)}. Use --missing worst to score them as wrong, or --missing skip."
        )


def _some(ids: list[str]) -> str:
    shown = ", ".join(repr(sample_id) for sample_id in ids[:NAMED])
    return shown if len(ids) <= NAMED else f"{shown} and {len(ids) - NAMED} more"


def tally(pairing: Pairing, metrics: Mapping[str, Metric]) -> Tally:
    """Return the metrics' states over all samples of the targets.

    Raises:
        DataError: a sample is not what it should be; names file, sample and field.
    """
    found = Tally(states={name: metric.empty() for name, metric in metrics.items()})
    batches = Batches(found.states)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        for sample_id, predictions, targets in _canonical(pairing, found):
            with _Located(pairing, sample_id):
                batches.add(sample_id, predictions, targets)
                found.compared += 1
        with _Located(pairing, None):
            found.states = batches.finish()
    return found


def _canonical(pairing: Pairing, found: Tally) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    given = set(pairing.sources["predictions"].ids)
    readers = {role: _Reader(pairing, role) for role in ROLES}
    for sample_id in pairing.sources["targets"].ids:
        if sample_id not in given and pairing.missing == "skip":
            found.skipped.append(LeftOut(sample_id, "no prediction"))
            continue
        try:
            targets = readers["targets"].load(sample_id)
        except DataError as error:
            # A dataset's broken item costs itself; a file that the user wrote has to be right.
            if not getattr(pairing.sources["targets"], "tolerant", False):
                raise
            found.skipped.append(LeftOut(sample_id, f"target: {error}"))
            continue
        with _Located(pairing, sample_id):
            if sample_id in given:
                predictions = readers["predictions"].load(sample_id)
            else:
                predictions = pairing.kind.worst(targets, pairing.meta)
                found.filled.add(sample_id)
            canonical = pairing.kind.read(predictions, targets, pairing.meta)
        yield sample_id, *canonical


class _Reader:
    """Loads samples of one file, all with the same fields."""

    def __init__(self, pairing: Pairing, role: Role) -> None:
        self._source = pairing.sources[role]
        self._fields = pairing.kind.fields(role)
        self._asides = set(ASIDES) - set(self._fields) if role == "targets" else set()
        self._source.skipped = frozenset(self._asides)
        self._names: frozenset[str] | None = None
        self._first = ""

    def load(self, sample_id: str) -> Arrays:
        """Return the sample's arrays, checked; lazy ones only where the field streams."""
        where = f"{self._source.name}: sample {sample_id!r}"
        arrays = {name: value for name, value in self._source.load(sample_id).items() if name not in self._asides}
        check_fields(where, self._fields, arrays)
        names = frozenset(arrays)
        if self._names is None:
            self._names, self._first = names, sample_id
        if names != self._names:
            # One sample with visibility among others without would silently be another metric.
            raise DataError(
                f"{where}: expected the same fields as sample {self._first!r} ({', '.join(sorted(self._names))}), "
                f"got {', '.join(sorted(names))}. Give every sample of a file the same fields."
            )
        return {
            name: np.asarray(value) if is_lazy(value) and not self._fields[name].streams else value
            for name, value in arrays.items()
        }


class _Located:
    """Completes what kinds and metrics say of an array with the file and the sample."""

    def __init__(self, pairing: Pairing, sample_id: str | None) -> None:
        self._names = {role: source.name for role, source in pairing.sources.items()}
        self._sample = "" if sample_id is None else f" sample {sample_id!r}:"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DataError):
            raise DataError(self._message(str(error))) from error
        if isinstance(error, (ValueError, OverflowError, ArithmeticError)) and not isinstance(error, UsageError):
            raise DataError(self._message(str(error))) from error

    def _message(self, text: str) -> str:
        if any(text.startswith(f"{name}:") for name in self._names.values()):
            return text  # the reader has said where already
        if text.startswith("sample "):  # so have the batches
            return f"{self._names['predictions']} against {self._names['targets']}: {text}"
        for role in ROLES:
            if text.startswith(f"{role}."):
                return f"{self._names[role]}:{self._sample} {text.removeprefix(f'{role}.')}"
        return f"{self._names['predictions']} against {self._names['targets']}:{self._sample} {text}"
