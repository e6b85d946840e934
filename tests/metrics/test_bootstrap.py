"""Intervals: seeded, free of order and chunks, near what theory says, and paired."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metrics.metric_cases import CASES, one_by_one, samples
from probe4d_metrics import Accuracy, bootstrap, bootstrap_ci, paired_difference


def hits(correct, start=0):
    """Return the state of an accuracy whose samples are right or wrong as told."""
    ids = [f"clip {i:05d}" for i in range(start, start + len(correct))]
    return (
        Accuracy().empty().update_batch(ids, {"label": np.asarray(correct, int)}, {"label": np.ones(len(correct), int)})
    )


@pytest.mark.parametrize("name", sorted(CASES))
def test_intervals_depend_on_samples_and_seed_alone(name):
    metric, found = samples(name, 0, 12)
    ordered, shuffled = one_by_one(metric, found), one_by_one(metric, found[5:] + found[:5])
    intervals = bootstrap_ci(ordered, resamples=50)
    assert str(intervals) == str(bootstrap_ci(shuffled, resamples=50))
    assert str(intervals) != str(bootstrap_ci(ordered, resamples=50, seed=1))
    for value, (low, high) in intervals.items():
        assert low <= high, value


def test_an_interval_is_as_wide_as_theory_says():
    share, count = 0.3, 2000
    low, high = bootstrap_ci(hits(np.arange(count) < share * count))["top1"]
    deviation = math.sqrt(share * (1 - share) / count)
    assert low == pytest.approx(share - 1.96 * deviation, abs=0.15 * deviation)
    assert high == pytest.approx(share + 1.96 * deviation, abs=0.15 * deviation)
    narrow = bootstrap_ci(hits(np.arange(count) < share * count), level=0.5)["top1"]
    assert low < narrow[0] < narrow[1] < high


def test_chunks_of_any_size_draw_the_same(monkeypatch):
    metric, found = samples("pose", 0, 9)
    state = one_by_one(metric, found)
    whole = bootstrap_ci(state, resamples=37), paired_difference(state, one_by_one(metric, found[2:]), resamples=37)
    monkeypatch.setattr(bootstrap, "CHUNK", 20)
    parts = bootstrap_ci(state, resamples=37), paired_difference(state, one_by_one(metric, found[2:]), resamples=37)
    for name, interval in whole[0].items():
        assert parts[0][name] == pytest.approx(interval, rel=1e-13)
        assert parts[1][name]["ci95"] == pytest.approx(whole[1][name]["ci95"], rel=1e-12)


def test_a_value_that_nothing_defines_has_no_interval():
    assert bootstrap_ci(Accuracy().empty())["top1"] == pytest.approx((math.nan, math.nan), nan_ok=True)
    found = bootstrap_ci(hits([1, 0, 1]))
    assert found["top5"] == pytest.approx((math.nan, math.nan), nan_ok=True)
    assert found["top1"][0] >= 0


def test_a_paired_difference_sees_what_two_intervals_do_not():
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.5
    better = hard | (rng.random(400) < 0.06)
    one, other = hits(better), hits(hard)
    found = paired_difference(one, other)["top1"]
    assert found["difference"] == one.compute()["top1"] - other.compute()["top1"]
    assert found["samples"] == 400
    assert found["verdict"] == "higher"
    assert found["ci95"][0] > 0
    assert found["p"] < 0.01
    back = paired_difference(other, one)["top1"]
    assert (back["difference"], back["verdict"]) == (-found["difference"], "lower")
    unpaired = [bootstrap_ci(state)["top1"] for state in (one, other)]
    assert unpaired[0][0] < unpaired[1][1]  # they overlap


def test_equal_results_are_too_close_to_call():
    state = hits(np.arange(50) % 2)
    found = paired_difference(state, state)["top1"]
    assert found == {"difference": 0.0, "ci95": (0.0, 0.0), "p": 1.0, "verdict": "too close to call", "samples": 50}
    assert paired_difference(state, state)["top5"]["verdict"] is None
    assert list(paired_difference(state, state, level=0.9)["top1"])[1] == "ci90"


def test_only_common_samples_are_compared():
    one, other = hits([1, 1, 0, 0]), hits([0, 0, 1, 1, 1], start=2)  # clips 2 and 3 are common
    found = paired_difference(one, other)["top1"]
    assert (found["samples"], found["difference"]) == (2, 0.0)
    with pytest.raises(ValueError, match="got none in common"):
        paired_difference(one, hits([1], start=9))


def test_any_state_that_keeps_the_contract_is_resampled():
    class Stranger:
        """A state of a third party, whose samples stand in an order of its own."""

        data = {"b": 1.0, "a": 0.0, "c": 1.0}  # noqa: RUF012

        def compute(self):
            return {"top1": 2 / 3}

        def per_sample(self):
            return {name: {"top1": value} for name, value in self.data.items()}

        def resample(self, counts):
            return {"top1": counts @ np.array(list(self.data.values())) / counts.sum(axis=1)}

    ours = Accuracy().empty()
    for name, value in Stranger.data.items():
        ours = ours.update(name, {"label": np.array(int(value))}, {"label": np.array(1)})
    assert bootstrap_ci(Stranger())["top1"] == pytest.approx(bootstrap_ci(ours)["top1"])
    assert paired_difference(Stranger(), ours)["top1"]["ci95"] == pytest.approx((0, 0), abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"resamples": 0}, "resamples: expected at least 1"), ({"level": 1.0}, "level: expected a share")],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_ci(hits([1]), **options)
