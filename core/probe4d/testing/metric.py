"""Checks of a metric: exact sums that merge in any order, and the values that the spec declares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from probe4d import contracts
from probe4d.testing.arrays import equal, is_float, names, require_refusal
from probe4d.testing.battery import Checks
from probe4d.testing.examples import read_example, read_worst
from probe4d.testing.result import require, skip
from probe4d.testing.subject import Subject

__all__ = ["METRIC", "MetricSubject"]

SAMPLES = 5
Pair = tuple[str, Mapping[str, Any], Mapping[str, Any]]


class MetricSubject(Subject):
    """A metric with samples of its kind, as the kind's own reader gives them."""

    @cached_property
    def perfect(self) -> list[Pair]:
        """Samples whose predictions are perfect: `(id, predictions, targets)`."""
        kind, spec = self.kind(self.spec.kind)
        return [(f"sample-{seed}", *read_example(kind, spec, seed)) for seed in range(SAMPLES)]

    @cached_property
    def imperfect(self) -> list[Pair]:
        """The same samples with disturbed predictions, so that sums have digits to lose."""
        rng = np.random.default_rng(0)
        pairs = [(id_, _disturbed(predictions, rng), targets) for id_, predictions, targets in self.perfect]
        return [("worst", *read_worst(*self.kind(self.spec.kind), 0)), *pairs]

    def state(self, pairs: Sequence[Pair]) -> contracts.MetricState:
        """Return the state after these samples, in this order."""
        state: contracts.MetricState = self.product.empty()
        for id_, predictions, targets in pairs:
            state = state.update(id_, predictions, targets)
        return state


def _disturbed(predictions: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Scale floats by up to 5 %, and flip a tenth of the booleans."""
    changed = dict(predictions)
    for name, value in predictions.items():
        if isinstance(value, np.ndarray) and is_float(value):
            changed[name] = (value * (1 + 0.05 * rng.standard_normal(value.shape))).astype(value.dtype)
        elif isinstance(value, np.ndarray) and value.dtype == bool:
            changed[name] = value ^ (rng.random(value.shape) < 0.1)
    return changed


METRIC: Checks[MetricSubject] = Checks()


@METRIC()
def target_constructs(subject: MetricSubject) -> None:
    """The target makes a Metric, and its kind has an example that can be read."""
    require(isinstance(subject.product, contracts.Metric), f"expected a Metric, got {subject.product!r}")
    empty = subject.product.empty()
    require(isinstance(empty, contracts.MetricState), f"empty(): expected a MetricState, got {empty!r}")
    require(len(subject.perfect) == SAMPLES, "expected examples of the kind, got none")


@METRIC("target_constructs")
def values_are_as_declared(subject: MetricSubject) -> None:
    """`compute()` has exactly the values of the spec."""
    declared = {value.name for value in subject.spec.values}
    got = set(subject.state(subject.perfect).compute())
    require(got == declared, f"expected exactly {names(declared)}, got {names(got)}")


@METRIC("values_are_as_declared")
def an_empty_state_has_no_value(subject: MetricSubject) -> None:
    """`empty().compute()` has every value, each NaN."""
    values = subject.product.empty().compute()
    declared = {value.name for value in subject.spec.values}
    require(set(values) == declared, f"expected exactly {names(declared)}, got {names(values)}")
    defined = {name: value for name, value in values.items() if not math.isnan(value)}
    require(not defined, f"of no samples: expected NaN, got {defined}")


@METRIC("values_are_as_declared")
def a_perfect_prediction_is_best(subject: MetricSubject) -> None:
    """The kind's example scores `best`, for each value that states one."""
    stated = [value for value in subject.spec.values if value.best is not None]
    if not stated:
        skip("no value states its best")
    got = subject.state(subject.perfect).compute()
    for value in stated:
        close = math.isclose(got[value.name], value.best, rel_tol=1e-6, abs_tol=1e-4)
        require(close, f"{value.name}: expected {value.best} for a perfect prediction, got {got[value.name]}")


@METRIC("values_are_as_declared")
def values_stay_in_their_range(subject: MetricSubject) -> None:
    """Disturbed predictions score between `best` and `worst`, where the spec states them."""
    for name, got in subject.state(subject.imperfect).compute().items():
        value = next(one for one in subject.spec.values if one.name == name)
        ends = [end for end in (value.best, value.worst) if end is not None]
        if len(ends) == 2:
            require(min(ends) <= got <= max(ends), f"{name}: expected {min(ends)} to {max(ends)}, got {got}")


@METRIC("target_constructs")
def update_returns_a_new_state(subject: MetricSubject) -> None:
    """`update` and `merge` leave the states that they were given as they were."""
    one, other = subject.state(subject.imperfect[:2]), subject.state(subject.imperfect[2:])
    before = dict(one.compute()), dict(other.compute())
    one.update(*subject.perfect[-1])
    one.merge(other)
    require(equal((one.compute(), other.compute()), before), "expected the old states unchanged, got others")


@METRIC("target_constructs")
def merge_is_commutative(subject: MetricSubject) -> None:
    """a + b is b + a, to the last bit."""
    one, other = subject.state(subject.imperfect[:2]), subject.state(subject.imperfect[2:])
    _require_same("a + b and b + a", one.merge(other), other.merge(one))


@METRIC("target_constructs")
def merge_is_associative(subject: MetricSubject) -> None:
    """(a + b) + c is a + (b + c), to the last bit."""
    a, b, c = (subject.state(subject.imperfect[part]) for part in (slice(0, 2), slice(2, 4), slice(4, None)))
    _require_same("(a + b) + c and a + (b + c)", a.merge(b).merge(c), a.merge(b.merge(c)))


@METRIC("target_constructs")
def the_empty_state_is_neutral(subject: MetricSubject) -> None:
    """Merging nothing changes nothing."""
    state, empty = subject.state(subject.imperfect), subject.product.empty()
    _require_same("a + 0 and a", state.merge(empty), state)
    _require_same("0 + a and a", empty.merge(state), state)


@METRIC("merge_is_commutative", "merge_is_associative", "the_empty_state_is_neutral")
def any_split_gives_the_same(subject: MetricSubject) -> None:
    """One state for all samples, one per sample, and any order of them: the same to the last bit."""
    pairs = subject.imperfect
    whole = subject.state(pairs)
    _require_same("samples backwards", subject.state(pairs[::-1]), whole)
    single = subject.product.empty()
    for pair in pairs[::2] + pairs[1::2]:
        single = single.merge(subject.state([pair]))
    _require_same("one state per sample", single, whole)


@METRIC("target_constructs")
def an_id_twice_is_refused(subject: MetricSubject) -> None:
    """A sample that is already in the state raises ValueError, in `update` and in `merge`."""
    state = subject.state(subject.perfect[:2])
    require_refusal("update with an id twice", ValueError, lambda: state.update(*subject.perfect[0]))
    require_refusal("merge with an id twice", ValueError, lambda: state.merge(subject.state(subject.perfect[1:3])))


@METRIC("values_are_as_declared")
def per_sample_covers_every_sample(subject: MetricSubject) -> None:
    """Each sample is in `per_sample()` or in `left_out`, with values that the spec declares."""
    state = subject.state(subject.imperfect)
    rows, left_out = state.per_sample(), {id_ for id_, _ in state.left_out}
    want = {id_ for id_, _, _ in subject.imperfect}
    require(set(rows) | left_out == want, f"expected samples {names(want)}, got {names(set(rows) | left_out)}")
    declared = {value.name for value in subject.spec.values}
    for id_, values in rows.items():
        require(set(values) <= declared, f"sample {id_!r}: expected values of {names(declared)}, got {names(values)}")


@METRIC("per_sample_covers_every_sample", "any_split_gives_the_same")
def a_resample_of_ones_is_compute(subject: MetricSubject) -> None:
    """`resample` with every count 1 gives `compute()`, once per row."""
    state = subject.state(subject.imperfect)
    counts = np.ones((2, len(state.per_sample())), dtype=np.int64)
    drawn, whole = state.resample(counts), state.compute()
    require(set(drawn) == set(whole), f"expected {names(whole)}, got {names(drawn)}")
    for name, column in drawn.items():
        require(np.shape(column) == (2,), f"{name}: expected shape (2,), got {np.shape(column)}")
        same = np.allclose(column, whole[name], rtol=1e-9, atol=1e-12, equal_nan=True)
        require(same, f"{name}: expected {whole[name]} under counts of one, got {column}")


@METRIC("a_perfect_prediction_is_best")
def nan_never_helps(subject: MetricSubject) -> None:
    """A prediction of NaN raises ValueError or scores worse than a perfect one; it is never silently left out."""
    id_, predictions, targets = subject.perfect[0]
    floats = {name for name, value in predictions.items() if isinstance(value, np.ndarray) and is_float(value)}
    if not floats:
        skip("its predictions hold no float")
    broken = {name: np.full_like(value, np.nan) if name in floats else value for name, value in predictions.items()}
    try:
        state = subject.state([(id_, broken, targets), *subject.perfect[1:]])
    except ValueError:
        return
    require(id_ not in dict(state.left_out), "a prediction of NaN: expected an error or a bad score, got it left out")
    primary = subject.spec.values[0]
    got, best = state.compute()[primary.name], subject.state(subject.perfect).compute()[primary.name]
    worse = got < best if primary.higher_is_better else got > best
    require(worse, f"{primary.name}: expected NaN to score worse than {best}, got {got}")


@METRIC("target_constructs")
def a_prediction_of_another_shape_is_refused(subject: MetricSubject) -> None:
    """A field that targets have too, one row short, raises ValueError."""
    id_, predictions, targets = subject.perfect[0]
    shared = [name for name in predictions if np.ndim(predictions[name]) and name in targets]
    shared = [name for name in shared if np.shape(predictions[name]) == np.shape(targets[name])]
    if not shared:
        skip("predictions and targets share no field of one shape")
    for name in shared:
        short = {**predictions, name: predictions[name][:-1]}
        require_refusal(f"{name} one short", ValueError, lambda short=short: subject.state([(id_, short, targets)]))


def _require_same(what: str, one: contracts.MetricState, other: contracts.MetricState) -> None:
    a, b = dict(one.compute()), dict(other.compute())
    require(equal(a, b), f"{what}: expected the same values to the last bit, got {a} and {b}")
    rows, others = dict(one.per_sample()), dict(other.per_sample())
    require(equal(rows, others), f"{what}: expected the same values per sample, got others")
