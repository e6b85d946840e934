"""The kit passes a sound metric, and finds each fault by the check that names it."""

import math

import numpy as np
import pytest

from probe4d import MetricSpec, MetricValue
from probe4d.testing import check_metric


class State:
    """Top-1 of logits and their mean margin, by sample id."""

    def __init__(self, rows=None):
        self.rows = dict(rows or {})

    @property
    def left_out(self):
        return ()

    def measure(self, predictions, targets):
        logits, label = predictions["logits"], int(targets["label"])
        if np.isnan(logits).any():
            return 0.0, 0.0
        probabilities = np.exp(logits - logits.max())
        return float(logits.argmax() == label), float(probabilities[label] / probabilities.sum())

    def update(self, sample_id, predictions, targets):
        return self.merge(type(self)({sample_id: self.measure(predictions, targets)}))

    def merge(self, other):
        if self.rows.keys() & other.rows.keys():
            raise ValueError("twice")
        return type(self)({**self.rows, **other.rows})

    def sums(self, rows):
        count = len(rows)
        values = [math.fsum(column) / count for column in zip(*rows, strict=True)] if count else [math.nan] * 2
        return dict(zip(("top", "share"), values, strict=True))

    def compute(self):
        return self.sums(list(self.rows.values()))

    def per_sample(self):
        return {id_: dict(zip(("top", "share"), row, strict=True)) for id_, row in sorted(self.rows.items())}

    def resample(self, counts):
        rows = [self.rows[id_] for id_ in sorted(self.rows)]
        drawn = [self.sums([row for row, times in zip(rows, n, strict=True) for _ in range(times)]) for n in counts]
        return {name: np.array([one[name] for one in drawn]) for name in ("top", "share")}


def metric(**changes):
    """Return a metric class whose state has some methods changed."""
    state = type("Changed", (State,), changes)
    return type("Toy", (), {"empty": lambda self: state()})


def _mutating(self, sample_id, predictions, targets):
    if sample_id in self.rows:
        raise ValueError("twice")
    self.rows[sample_id] = self.measure(predictions, targets)
    return self


def _added(self, sample_id, predictions, targets):
    if sample_id in self.rows:
        raise ValueError("twice")
    return type(self)({**self.rows, sample_id: self.measure(predictions, targets)})


def _rounding(self, other):
    if not self.rows:
        return type(self)(other.rows)
    rounded = {id_: (top, round(share, 3)) for id_, (top, share) in other.rows.items()}
    return State.merge(self, type(self)(rounded))


def _running_mean(self, other):
    """Average the two sides instead of weighing them: commutative, but the grouping changes the number."""
    made = State.merge(self, other)
    sides = [getattr(side, "mean", None) or (side.compute()["share"] if side.rows else None) for side in (self, other)]
    known = [side for side in sides if side is not None]
    made.mean = sum(known) / len(known) if known else None
    return made


def _running_value(self):
    values = self.sums(list(self.rows.values()))
    return {**values, "share": getattr(self, "mean", None) or values["share"]}


def _quiet(self, other):
    return type(self)({**self.rows, **other.rows})


def _nothing_of_nothing(self):
    return State.compute(self) if self.rows else {"top": 0.0, "share": 0.0}


def _empty_costs(self, other):
    made = State.merge(self, other)
    if not self.rows or not other.rows:
        made.rows = {id_: (top, share * 0.5) for id_, (top, share) in made.rows.items()}
    return made


def _lenient(self, predictions, targets):
    if np.isnan(predictions["logits"]).any():
        return 1.0, 1.0
    return State.measure(self, predictions, targets)


FAULTS = {
    "another_value": ({"compute": lambda self: {"top": State.compute(self)["top"]}}, "values_are_as_declared"),
    "zero_of_nothing": ({"compute": _nothing_of_nothing}, "an_empty_state_has_no_value"),
    "wrong_scale": (
        {"sums": lambda self, rows: {k: v * 0.9 for k, v in State.sums(self, rows).items()}},
        "a_perfect_prediction_is_best",
    ),
    "mutates": ({"update": _mutating}, "update_returns_a_new_state"),
    "order_matters": ({"merge": _rounding, "update": _added}, "merge_is_commutative"),
    "grouping_matters": ({"merge": _running_mean, "compute": _running_value}, "merge_is_associative"),
    "costly_nothing": ({"merge": _empty_costs}, "the_empty_state_is_neutral"),
    "ids_twice": ({"merge": _quiet}, "an_id_twice_is_refused"),
    "forgetful": (
        {"per_sample": lambda self: dict(list(State.per_sample(self).items())[1:])},
        "per_sample_covers_every_sample",
    ),
    "resamples_wrongly": (
        {"resample": lambda self, counts: {k: v * 0.5 for k, v in State.resample(self, counts).items()}},
        "a_resample_of_ones_is_compute",
    ),
    "nan_is_right": ({"measure": _lenient}, "nan_never_helps"),
}


def spec(target, name="toy"):
    values = (
        MetricValue(name="top", best=1.0, worst=0.0),
        MetricValue(name="share", worst=0.0),
    )
    return MetricSpec(name=name, target=target, kind="labels", values=values)


def test_a_sound_metric_passes_everything_that_applies(target_of):
    results = check_metric(spec(target_of(metric())))
    assert {result.name for result in results if result.status != "passed"} == {
        "a_prediction_of_another_shape_is_refused"
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_fails_the_check_that_names_it_and_no_other(fault, target_of, failed):
    changes, check = FAULTS[fault]
    assert failed(check_metric(spec(target_of(metric(**changes))))) == [check]


def test_a_kind_that_does_not_exist_fails_with_the_name(target_of, failed):
    lost = MetricSpec(name="toy", target=target_of(metric()), kind="lables", values=(MetricValue(name="top"),))
    results = check_metric(lost)
    assert failed(results) == ["target_constructs"]
    assert "labels" in results[0].reason
