"""A metric and its state: exact numbers per sample, added up only when a value is asked for.

A metric of your own is one class. It says what it measures of one sample, and how the values come
from these columns; merging, exact sums, resampling and bookkeeping follow from that.

>>> import numpy as np
>>> from probe4d_metrics import Median, Ratio
>>> class Sharpness(Metric):
...     values = {"sharp": Ratio("sharp_pixels", "pixels"), "typical": Median("sharp_pixels")}
...
...     def measure(self, predictions, targets):
...         seen = targets["valid"]
...         if not seen.any():
...             return Undefined("no valid pixel")
...         return {"sharp_pixels": (predictions["edge"][seen] > 0.5).sum(), "pixels": seen.sum()}
>>> state = Sharpness().empty()
>>> state = state.update("a", {"edge": np.array([0.9, 0.1])}, {"valid": np.array([True, True])})
>>> state = state.update("b", {"edge": np.array([0.9, 0.9])}, {"valid": np.array([False, False])})
>>> state.compute()
{'sharp': 0.5, 'typical': 1.0}
>>> state.left_out
(LeftOut(id='b', reason='no valid pixel'),)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from probe4d_metrics.blocks import Block, appended, common_id
from probe4d_metrics.estimators import Array, Columns, Estimator, Mean, Ratio, Total, quotient

__all__ = ["LeftOut", "Measured", "Metric", "State", "Undefined"]

Fields: TypeAlias = Mapping[str, Any]  # arrays by name; a convention (`query_mode`) may be a string


class LeftOut(NamedTuple):
    """A sample without a value, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Undefined:
    """What `measure` returns of a sample that it cannot measure.

    Attributes:
        reason: why, in words for a report.
        columns: what counts nevertheless; empty leaves the whole sample out.
    """

    reason: str
    columns: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What `measure_batch` returns of `b` samples.

    Attributes:
        columns: `(b,)` numbers by name.
        reasons: by position in the batch, why a sample is left out.
        without: `(b,)` bool, the samples of which nothing counts; None for none.
    """

    columns: Columns
    reasons: Mapping[int, str] = field(default_factory=dict)
    without: Array | None = None


class Metric:
    """A score: columns of each sample, and values of the columns.

    Subclass it, name the `values`, and write `measure`, or `measure_batch` for speed: each answers by the
    other where it is not written. Options are attributes set in `__init__`; two metrics are equal
    where their classes and attributes are.

    Attributes:
        values: the numbers that `compute` answers, by name.
        notes: numbers beside them, that `State.counts` answers: NaN predictions, absent boxes, …
    """

    values: ClassVar[Mapping[str, Estimator]]
    notes: ClassVar[Mapping[str, Estimator]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.measure is Metric.measure and cls.measure_batch is Metric.measure_batch:
            raise TypeError(f"{cls.__name__}: expected a method measure or measure_batch, got neither.")

    @classmethod
    def column_names(cls) -> tuple[str, ...]:
        """Return the names of all columns that the values and the notes need."""
        estimators = (*cls.values.values(), *cls.notes.values())
        return tuple(dict.fromkeys(name for estimator in estimators for name in estimator.columns))

    def measure(self, predictions: Fields, targets: Fields) -> Mapping[str, float] | Undefined:
        """Return the columns of one sample, or why there are none.

        Raises:
            ValueError: the arrays are not what the metric takes.
        """
        measured = self.measure_batch(_batch_of_one(predictions), _batch_of_one(targets), 1)
        alone = measured.without is not None and bool(measured.without[0])
        columns = {} if alone else {name: float(column[0]) for name, column in measured.columns.items()}
        return Undefined(measured.reasons[0], columns) if measured.reasons else columns

    def measure_batch(self, predictions: Fields, targets: Fields, size: int) -> Measured:
        """Return the columns of `size` samples, whose arrays have a leading sample axis.

        Raises:
            ValueError: the arrays are not what the metric takes.
        """
        found = [self.measure(_row(predictions, i), _row(targets, i)) for i in range(size)]
        return _gathered(found, self.column_names())

    def empty(self) -> State:
        """Return the state of no samples: the neutral element of `merge`."""
        return State(self)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class State:
    """Exact columns by sample id. Immutable: `update` and `merge` return a new state.

    The result has the same bits whatever the order, the batches and the splits between samples.
    Appending a sample copies a logarithmic number of rows on average.
    """

    __slots__ = ("_blocks", "_sorted", "metric")

    def __init__(self, metric: Metric, blocks: tuple[Block, ...] = ()) -> None:
        self.metric = metric
        self._blocks = blocks
        self._sorted: tuple[tuple[str, ...], Columns] | None = None

    def update(self, sample_id: str, predictions: Fields, targets: Fields) -> State:
        """Return the state with one more sample.

        Raises:
            ValueError: the id is already in the state, or the metric refuses the arrays; names the id.
        """
        try:
            found = self.metric.measure(predictions, targets)
            measured = _gathered([found], self.metric.column_names())
            return self._with((sample_id,), measured)
        except ValueError as error:
            raise ValueError(f"sample {sample_id!r}: {error}") from error

    def update_batch(self, sample_ids: Sequence[str], predictions: Fields, targets: Fields) -> State:
        """Return the state with several more samples, whose arrays have a leading sample axis.

        The same to the last bit as one `update` after the other, and faster.

        Raises:
            ValueError: an id is twice there, or the metric refuses the arrays.
        """
        ids = tuple(sample_ids)
        _check_leading(len(ids), predictions, targets)
        if not ids:
            return self
        return self._with(ids, self.metric.measure_batch(predictions, targets, len(ids)))

    def merge(self, other: State) -> State:
        """Return the union: associative, commutative, exact.

        Raises:
            ValueError: the states are of different metrics or have a sample in common.
        """
        if self.metric != other.metric:
            raise ValueError(f"merge: expected a state of {self.metric!r}, got one of {other.metric!r}.")
        common = common_id(self._blocks, other._blocks)
        if common is not None:
            raise ValueError(f"merge: expected each sample in one of the states, got {common!r} in both.")
        blocks: tuple[Block, ...] = ()
        for block in sorted(self._blocks + other._blocks, key=lambda block: -len(block.known)):
            blocks = appended(blocks, block)
        return State(self.metric, blocks)

    def compute(self) -> dict[str, float]:
        """Return every value; NaN for one that nothing defines."""
        columns = self._view()[1]
        return {name: estimator.of_set(columns) for name, estimator in self.metric.values.items()}

    def counts(self) -> dict[str, float]:
        """Return the metric's notes: how many predictions were NaN, how many boxes absent, …"""
        columns = self._view()[1]
        found = {name: (estimator, estimator.of_set(columns)) for name, estimator in self.metric.notes.items()}
        return {name: int(value) if isinstance(how, Total) else value for name, (how, value) in found.items()}

    def per_sample(self) -> dict[str, dict[str, float]]:
        """Return the values of each sample by itself, by id in sorted order; NaN for one that it lacks."""
        ids, columns = self._view()
        rows = {name: how.of_samples(columns).tolist() for name, how in self.metric.values.items()}
        return {sample_id: {name: row[i] for name, row in rows.items()} for i, sample_id in enumerate(ids)}

    def resample(self, counts: Array) -> dict[str, Array]:
        """Return each value `(r,)` under `counts (r, n)`, how often a resample draws each sample.

        The samples stand in the order of `per_sample()`.
        """
        ids, columns = self._view()
        if counts.ndim != 2 or counts.shape[1] != len(ids):
            raise ValueError(f"counts: expected shape (r, n={len(ids)}), got {counts.shape}.")
        weights = counts.astype(np.float64, copy=False)
        linear = {name: how for name, how in self.metric.values.items() if isinstance(how, (Ratio, Mean))}
        sums = _weighted_sums([part for how in linear.values() for part in how.summands(columns)], weights)
        out = {}
        for name, how in self.metric.values.items():
            if name in linear:
                numerator, denominator = next(sums), next(sums)
                out[name] = quotient(numerator, denominator)
            else:
                out[name] = how.of_resamples(columns, weights)
        return out

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The samples without a value, in sorted order, with the reason."""
        reasons = {sample_id: reason for block in self._blocks for sample_id, reason in block.reasons.items()}
        return tuple(LeftOut(sample_id, reasons[sample_id]) for sample_id in sorted(reasons))

    @property
    def ids(self) -> tuple[str, ...]:
        """The samples that have values, in the order of `per_sample()`."""
        return self._view()[0]

    @property
    def columns(self) -> Columns:
        """The columns `(n,)` in the order of `per_sample()`."""
        return self._view()[1]

    def __len__(self) -> int:
        """Return the number of samples, those left out included."""
        return sum(len(block.known) for block in self._blocks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State) or self.metric != other.metric or self.left_out != other.left_out:
            return False
        (ids, columns), (other_ids, other_columns) = self._view(), other._view()
        return ids == other_ids and all(
            np.array_equal(column, other_columns[name], equal_nan=True) for name, column in columns.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"State({self.metric!r}, {len(self)} samples)"

    def _with(self, ids: tuple[str, ...], measured: Measured) -> State:
        block = _block(ids, measured, self.metric.column_names())
        present = common_id(self._blocks, (block,))
        if present is not None:
            raise ValueError(f"id: expected each sample once, got {present!r} a second time.")
        return State(self.metric, appended(self._blocks, block))

    def _view(self) -> tuple[tuple[str, ...], Columns]:
        """Return the ids that have a row, sorted, and the columns in that order; made once."""
        if self._sorted is None:
            names = self.metric.column_names()
            ids = [sample_id for block in self._blocks for sample_id in block.ids]
            order = sorted(range(len(ids)), key=ids.__getitem__)
            table = np.concatenate([np.empty((0, len(names))), *(block.table for block in self._blocks)])[order]
            columns = dict(zip(names, np.ascontiguousarray(table.T), strict=True))
            self._sorted = (tuple(ids[i] for i in order), columns)
        return self._sorted


def _gathered(found: Sequence[Mapping[str, float] | Undefined], names: Sequence[str]) -> Measured:
    """Return the results of `measure` as columns, with NaN in the rows of samples without one."""
    rows = [item.columns if isinstance(item, Undefined) else item for item in found]
    without = np.array([not row for row in rows], dtype=bool)
    for row in rows:
        if row and row.keys() != set(names):
            raise ValueError(f"measure: expected the columns {sorted(names)}, got {sorted(row)}.")
    columns = {name: np.array([row[name] if row else np.nan for row in rows], dtype=float) for name in names}
    reasons = {i: item.reason for i, item in enumerate(found) if isinstance(item, Undefined)}
    return Measured(columns, reasons, without)


def _block(ids: tuple[str, ...], measured: Measured, names: Sequence[str]) -> Block:
    if len(set(ids)) != len(ids):
        twice = min(sample_id for sample_id, times in Counter(ids).items() if times > 1)
        raise ValueError(f"id: expected each sample once, got {twice!r} a second time.")
    table = np.stack([np.asarray(measured.columns[name], dtype=np.float64) for name in names], axis=1)
    for name, column in zip(names, table.T, strict=True):
        if np.isinf(column).any():
            where = ids[int(np.argmax(np.isinf(column)))]
            raise ValueError(f"{name}: expected a finite sum, got infinity in {where!r}. The inputs are too large.")
    reasons = {ids[i]: reason for i, reason in measured.reasons.items()}
    if measured.without is None or not measured.without.any():
        return Block.of(ids, table, reasons)
    kept = np.flatnonzero(~measured.without)
    return Block.of(tuple(ids[i] for i in kept), table[kept], reasons)


def _check_leading(size: int, *sides: Fields) -> None:
    for fields in sides:
        for name, value in fields.items():
            if not isinstance(value, str) and (not np.shape(value) or np.shape(value)[0] != size):
                raise ValueError(f"{name}: expected {size} samples on its first axis, got shape {np.shape(value)}.")


def _batch_of_one(fields: Fields) -> Fields:
    return {name: value if isinstance(value, str) else np.asarray(value)[None] for name, value in fields.items()}


def _row(fields: Fields, i: int) -> Fields:
    return {name: value if isinstance(value, str) else value[i] for name, value in fields.items()}


def _weighted_sums(parts: Sequence[Array], weights: Array) -> Iterator[Array]:
    """Yield `weights @ part (r,)` for every part, from one product."""
    return iter((weights @ np.stack(parts, axis=1)).T) if parts else iter(())
