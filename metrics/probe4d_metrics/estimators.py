"""How a metric's values come from the columns that it keeps per sample.

A *column* is one number per sample: a count or a sum. NaN says that the sample does not have it.
An estimator answers three questions of the same columns: the value of each sample by itself, the
value of the whole set, and the value under resampling. Sums over samples are added by
`math.fsum`, so the value of a set has the same bits in whatever order the samples stand.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

__all__ = ["Average", "Columns", "Estimator", "Largest", "Mean", "Median", "Ratio", "Root", "Total"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Columns: TypeAlias = Mapping[str, Array]  # by name, (n,) float64 each


class Estimator(Protocol):
    """A value over columns. Write your own where the ones below do not do."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns that it needs."""
        ...

    def of_samples(self, columns: Columns) -> Array:
        """Return each sample's own value `(n,)`; NaN where it has none."""
        ...

    def of_set(self, columns: Columns) -> float:
        """Return the value of all samples together; NaN where nothing defines it."""
        ...

    def of_resamples(self, columns: Columns, counts: Array) -> Array:
        """Return the value `(r,)` of each resample; `counts (r, n)` says how often it draws a sample."""
        ...


def quotient(numerator: Array, denominator: Array) -> Array:
    """Return `numerator / denominator`, NaN where the denominator is 0."""
    out = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=out, where=np.asarray(denominator != 0))
    return out


def _sum(values: Array) -> float:
    return math.fsum(values.tolist())  # exact, whatever the order


def _divide(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


class _Quotient(ABC):
    """A sum over samples divided by another one."""

    @abstractmethod
    def summands(self, columns: Columns) -> tuple[Array, Array]:
        """Return what is summed over samples, above and below the line: `(n,)` each."""

    def of_set(self, columns: Columns) -> float:
        """Return the quotient; NaN where the denominator is 0."""
        numerator, denominator = self.summands(columns)
        return _divide(_sum(numerator), _sum(denominator))

    def of_resamples(self, columns: Columns, counts: Array) -> Array:
        """Return the quotient of each resample `(r,)`."""
        numerator, denominator = self.summands(columns)
        return quotient(counts @ numerator, counts @ denominator)


@dataclass(frozen=True)
class _Of:
    """A value over one number per sample: a column, or each sample's own value of another estimator."""

    of: str | Estimator

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return (self.of,) if isinstance(self.of, str) else self.of.columns

    def of_samples(self, columns: Columns) -> Array:
        """Return each sample's value `(n,)`."""
        return columns[self.of] if isinstance(self.of, str) else self.of.of_samples(columns)


@dataclass(frozen=True)
class Ratio(_Quotient):
    """The pooled ratio of two columns: sum over samples divided by sum over samples.

    >>> import numpy as np
    >>> Ratio("hits", "shots").of_set({"hits": np.array([1.0, 3.0]), "shots": np.array([2.0, 3.0])})
    0.8
    """

    numerator: str
    denominator: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Return both names."""
        return (self.numerator, self.denominator)

    def of_samples(self, columns: Columns) -> Array:
        """Return each sample's ratio `(n,)`."""
        return quotient(columns[self.numerator], columns[self.denominator])

    def summands(self, columns: Columns) -> tuple[Array, Array]:
        """Return what is summed over samples, above and below the line: `(n,)` each."""
        numerator, denominator = columns[self.numerator], columns[self.denominator]
        defined = ~(np.isnan(numerator) | np.isnan(denominator))
        return np.where(defined, numerator, 0.0), np.where(defined, denominator, 0.0)


@dataclass(frozen=True)
class Mean(_Quotient, _Of):
    """The mean over samples of a column, or of each sample's own value of another estimator.

    Samples without the value (NaN) are left out of the mean.

    >>> import numpy as np
    >>> columns = {"hits": np.array([1.0, 3.0, 0.0]), "shots": np.array([2.0, 3.0, 0.0])}
    >>> Mean(Ratio("hits", "shots")).of_set(columns)
    0.75
    """

    def summands(self, columns: Columns) -> tuple[Array, Array]:
        """Return what is summed over samples, above and below the line: `(n,)` each."""
        values = self.of_samples(columns)
        defined = ~np.isnan(values)
        return np.where(defined, values, 0.0), defined.astype(float)


@dataclass(frozen=True)
class Median(_Of):
    """The median over samples of a column; the mean of the middle two of an even number.

    >>> import numpy as np
    >>> Median("angle").of_set({"angle": np.array([4.0, np.nan, 1.0])})
    2.5
    """

    def of_set(self, columns: Columns) -> float:
        """Return the median of the samples that have the value."""
        values = np.sort(self.of_samples(columns))  # NaN last
        values = values[~np.isnan(values)]
        if not values.size:
            return math.nan
        return float((values[(values.size - 1) // 2] + values[values.size // 2]) / 2)

    def of_resamples(self, columns: Columns, counts: Array) -> Array:
        """Return the median of each resample `(r,)`, whose counts are whole numbers."""
        values = self.of_samples(columns)
        order = np.argsort(values, kind="stable")
        order = order[~np.isnan(values[order])]
        if not order.size:
            return np.full(len(counts), np.nan)
        upto = np.cumsum(counts[:, order], axis=1)  # (r, n): how many drawn values are at most the i-th
        drawn = upto[:, -1:]
        lower = np.argmax(upto > (drawn - 1) // 2, axis=1)
        upper = np.argmax(upto > drawn // 2, axis=1)
        medians = (values[order][lower] + values[order][upper]) / 2
        return np.where(drawn[:, 0] > 0, medians, np.nan)


@dataclass(frozen=True)
class Average:
    """The plain mean of several estimators of the same columns; NaN where one of them is."""

    of: tuple[Estimator, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns of all."""
        return tuple(dict.fromkeys(name for part in self.of for name in part.columns))

    def of_samples(self, columns: Columns) -> Array:
        """Return each sample's average `(n,)`."""
        return _mean_last([part.of_samples(columns) for part in self.of])

    def of_set(self, columns: Columns) -> float:
        """Return the average of the set's values."""
        return float(np.mean([part.of_set(columns) for part in self.of]))

    def of_resamples(self, columns: Columns, counts: Array) -> Array:
        """Return the average of each resample's values `(r,)`."""
        return _mean_last([part.of_resamples(columns, counts) for part in self.of])


@dataclass(frozen=True)
class Root:
    """The square root of another estimator."""

    of: Estimator

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return self.of.columns

    def of_samples(self, columns: Columns) -> Array:
        """Return each sample's root `(n,)`."""
        return np.asarray(np.sqrt(self.of.of_samples(columns)))

    def of_set(self, columns: Columns) -> float:
        """Return the root of the set's value."""
        return math.sqrt(self.of.of_set(columns))

    def of_resamples(self, columns: Columns, counts: Array) -> Array:
        """Return the root of each resample's value `(r,)`."""
        return np.asarray(np.sqrt(self.of.of_resamples(columns, counts)))


@dataclass(frozen=True)
class Total(_Of):
    """The sum of a column: how often something happened."""

    of: str

    def of_set(self, columns: Columns) -> float:
        """Return the sum."""
        return _sum(np.nan_to_num(columns[self.of]))

    def of_resamples(self, columns: Columns, counts: Array) -> Array:
        """Return each resample's sum `(r,)`."""
        return np.asarray(counts @ np.nan_to_num(columns[self.of]))


@dataclass(frozen=True)
class Largest(_Of):
    """The largest of a column; NaN without samples."""

    of: str

    def of_set(self, columns: Columns) -> float:
        """Return the largest."""
        return float(np.fmax.reduce(columns[self.of], initial=np.nan))

    def of_resamples(self, columns: Columns, counts: Array) -> Array:
        """Return the largest of what each resample draws `(r,)`."""
        drawn = np.where(counts > 0, columns[self.of], np.nan)
        return np.asarray(np.fmax.reduce(drawn, axis=1, initial=np.nan))


def _mean_last(parts: Iterable[Array]) -> Array:
    # np.mean over a last axis adds in the order of tapnet's reference, which the Jaccards must match bit for bit.
    return np.asarray(np.mean(np.stack(list(parts), axis=-1), axis=-1))
