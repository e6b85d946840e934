"""The laws of a metric's state, for each first-party metric and for one of a third party."""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.metric_cases import CASES, one_by_one, samples, stacked
from probe4d_metrics import Average, Largest, Mean, Median, Metric, Ratio, Root, Total, Undefined

few = settings(max_examples=25, deadline=None)
names = st.sampled_from(sorted(CASES))


def same(one, other):
    """Every number has the same bits, and NaN is NaN."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert np.float64(value).tobytes() == np.float64(other[name]).tobytes(), name


@few
@given(name=names, seed=st.integers(0, 10_000), count=st.integers(0, 12), data=st.data())
def test_any_order_split_and_batching_gives_the_same_number_to_the_last_bit(name, seed, count, data):
    metric, found = samples(name, seed, count)
    whole = one_by_one(metric, found)
    order = data.draw(st.permutations(range(count)))
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=3)))
    state = metric.empty()
    for start, stop in zip([0, *cuts], [*cuts, count], strict=True):
        part = [found[i] for i in order[start:stop]]
        batched = bool(part) and data.draw(st.booleans())
        one = metric.empty().update_batch(*stacked(part)) if batched else one_by_one(metric, part)
        state = state.merge(one) if data.draw(st.booleans()) else one.merge(state)
    same(state.compute(), whole.compute())
    same(state.counts(), whole.counts())
    assert state == whole
    assert state.left_out == whole.left_out
    assert list(state.per_sample()) == sorted(state.per_sample())
    for sample_id, values in whole.per_sample().items():
        same(state.per_sample()[sample_id], values)


@few
@given(name=names, seed=st.integers(0, 10_000), sizes=st.tuples(*[st.integers(0, 5)] * 3))
def test_merge_is_associative_and_commutative_and_the_empty_state_is_neutral(name, seed, sizes):
    metric, found = samples(name, seed, sum(sizes))
    cuts = np.cumsum((0, *sizes))
    a, b, c = (one_by_one(metric, found[start:stop]) for start, stop in itertools.pairwise(cuts))
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(b) == b.merge(a)
    same(a.merge(b).compute(), b.merge(a).compute())
    assert a.merge(metric.empty()) == a == metric.empty().merge(a)


@pytest.mark.parametrize("name", sorted(CASES))
def test_update_leaves_the_old_state_as_it_was(name):
    metric, found = samples(name, 1, 6)
    old = one_by_one(metric, found[:3])
    before = old.compute()
    one, other = old.update(*found[3]), old.update(*found[4])  # two futures of one state
    assert len(old) == 3
    assert len(one) == len(other) == 4
    same(old.compute(), before)
    assert one.merge(metric.empty().update(*found[4])) == other.merge(metric.empty().update(*found[3]))


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_state_survives_pickling(name):
    metric, found = samples(name, 2, 5)
    state = one_by_one(metric, found)
    again = pickle.loads(pickle.dumps(state))
    assert again == state
    same(again.compute(), state.compute())


@pytest.mark.parametrize("name", sorted(CASES))
def test_drawing_each_sample_once_resamples_to_the_value_itself(name):
    metric, found = samples(name, 3, 11)
    state = one_by_one(metric, found)
    drawn = state.resample(np.ones((2, len(state.per_sample())), dtype=np.int64))
    for value, expected in state.compute().items():
        assert drawn[value] == pytest.approx([expected, expected], rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", sorted(CASES))
def test_resampling_agrees_with_a_state_that_holds_the_copies(name):
    metric, found = samples(name, 4, 9)
    state = one_by_one(metric, found)
    inputs = {sample_id: (predictions, targets) for sample_id, predictions, targets in found}
    counts = np.random.default_rng(0).integers(0, 4, (3, len(state.per_sample())))
    drawn = state.resample(counts)
    for row, count in enumerate(counts):
        copies = [
            (f"{sample_id} copy {k}", *inputs[sample_id])
            for sample_id, times in zip(state.per_sample(), count, strict=True)
            for k in range(times)
        ]
        for value, expected in one_by_one(metric, copies).compute().items():
            assert drawn[value][row] == pytest.approx(expected, rel=1e-12, nan_ok=True), value


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_sample_that_comes_twice_is_refused_by_name(name):
    metric, found = samples(name, 5, 4)
    state = one_by_one(metric, found)
    for twice in (found[0], found[3]):  # of some kinds the last has no value
        with pytest.raises(ValueError, match=twice[0]):
            state.update(*twice)
        with pytest.raises(ValueError, match=twice[0]):
            state.merge(metric.empty().update(*twice))
        with pytest.raises(ValueError, match=twice[0]):
            metric.empty().update_batch(*stacked([twice, twice]))


@pytest.mark.parametrize("name", sorted(CASES))
def test_nothing_is_nan_not_zero(name):
    values = CASES[name][0].empty().compute()
    assert values
    assert all(math.isnan(value) for value in values.values())
    assert CASES[name][0].empty().per_sample() == {}


class Counter(Metric):
    """A metric of a third party, with every estimator there is."""

    values = {  # noqa: RUF012
        "pooled": Ratio("hits", "shots"),
        "nested": Mean(Ratio("hits", "shots")),
        "median": Median("hits"),
        "both": Average((Ratio("hits", "shots"), Mean("hits"))),
        "root": Root(Ratio("hits", "shots")),
    }
    notes = {"shots": Total("shots"), "most": Largest("hits")}  # noqa: RUF012

    def __init__(self, at_least=0):
        self.at_least = at_least

    def measure(self, predictions, targets):
        if not len(targets["shots"]):
            return Undefined("nobody shot")
        hits = (predictions["shots"] == targets["shots"]).sum()
        return {"hits": max(hits, self.at_least), "shots": len(targets["shots"])}


def shots(*values):
    return {"shots": np.array(values, dtype=int)}


def test_a_third_partys_metric_is_one_small_class():
    state = Counter().empty()
    for name, predicted, target in (("a", (1, 2), (1, 3)), ("b", (1, 1, 1), (1, 1, 1)), ("c", (), ())):
        state = state.update(name, shots(*predicted), shots(*target))
    assert state.compute() == {
        "pooled": 4 / 5,
        "nested": 0.75,
        "median": 2.0,
        "both": (4 / 5 + 2.0) / 2,
        "root": math.sqrt(4 / 5),
    }
    assert state.counts() == {"shots": 5, "most": 3.0}
    assert isinstance(state.counts()["shots"], int)
    assert state.left_out == (("c", "nobody shot"),)
    assert list(state.per_sample()) == ["a", "b"]
    drawn = state.resample(np.array([[2, 1], [0, 0]]))
    assert drawn["median"].tolist() == pytest.approx([1.0, math.nan], nan_ok=True)
    assert drawn["both"][0] == pytest.approx((5 / 7 + 5 / 3) / 2)
    assert drawn["root"][0] == pytest.approx(math.sqrt(5 / 7))


def test_its_batches_are_measured_one_by_one():
    ids, predictions, targets = ["a", "b"], {"shots": np.array([[1, 2], [3, 3]])}, {"shots": np.array([[1, 1], [3, 3]])}
    batched = Counter().empty().update_batch(ids, predictions, targets)
    assert batched == Counter().empty().update("a", shots(1, 2), shots(1, 1)).update("b", shots(3, 3), shots(3, 3))


def test_states_of_metrics_with_other_options_do_not_merge():
    with pytest.raises(ValueError, match="at_least=1"):
        Counter().empty().merge(Counter(at_least=1).empty())
    assert Counter().empty() == Counter().empty() != Counter(at_least=1).empty()


def test_a_class_without_a_measure_is_refused_when_it_is_made():
    with pytest.raises(TypeError, match="measure"):
        type("Nothing", (Metric,), {"values": {"x": Mean("x")}})


def test_columns_that_are_missing_or_infinite_are_refused_with_the_samples_name():
    class Wrong(Metric):
        values = {"x": Mean("x")}  # noqa: RUF012

        def measure(self, predictions, targets):
            return predictions

    with pytest.raises(ValueError, match=r"sample 'a': measure: expected the columns \['x'\], got \['y'\]"):
        Wrong().empty().update("a", {"y": 1.0}, {})
    with pytest.raises(ValueError, match=r"sample 'a': x: expected a finite sum"):
        Wrong().empty().update("a", {"x": math.inf}, {})


def test_arrays_of_another_length_than_the_ids_are_refused():
    metric, found = samples("labels", 0, 3)
    ids, predictions, targets = stacked(found)
    with pytest.raises(ValueError, match="label: expected 2 samples"):
        metric.empty().update_batch(ids[:2], {"logits": predictions["logits"][:2]}, targets)


def test_many_updates_copy_little():
    state = Counter().empty()
    for i in range(3000):
        state = state.update(f"{i}", shots(1), shots(1))
    assert len(state) == 3000
    assert len(state._blocks) <= 12  # a handful of blocks that double in size
    assert state.compute()["pooled"] == 1.0


def test_a_sum_that_floating_point_loses_is_exact():
    class Plain(Metric):
        values = {"mean": Mean("x")}  # noqa: RUF012

        def measure(self, predictions, targets):
            return {"x": predictions["x"]}

    state = Plain().empty()
    for i, x in enumerate([1e16, 1.0, -1e16, 1.0]):
        state = state.update(f"{i}", {"x": x}, {})
    assert state.compute()["mean"] == 0.5  # left to right in float64 it is 0.25
