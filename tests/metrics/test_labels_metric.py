"""Labels: ties, NaN, and the reference's numbers where it has no NaN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe4d_metrics import Accuracy, label_ranks, labels

GOLDENS = Path(__file__).parent / "goldens"


def state_of(logits, label):
    ids = [f"{i:03d}" for i in range(len(label))]
    return Accuracy().empty().update_batch(ids, {"logits": logits}, {"label": label})


def test_top1_is_the_references_except_that_a_row_with_nan_is_wrong():
    with np.load(GOLDENS / "metric_top1.npz") as file:
        logits, label = file["logits"], file["labels"][:, 0]
        per_item, mask, masked_mean = file["per_item"], file["mask"][:, 0] > 0, file["masked_mean"]
    nan = np.isnan(logits).any(axis=1)
    assert nan.tolist() == [i == 2 for i in range(9)]
    assert per_item[2] == 1  # the reference takes NaN for the highest
    expected = np.where(nan, 0, per_item)
    state = state_of(logits, label)
    assert [row["top1"] for row in state.per_sample().values()] == expected.tolist()
    assert state.compute()["top1"] == 1 / 9
    assert state.counts() == {"nan_rows": 1}
    assert float(masked_mean) == pytest.approx(2 / 7)
    clean = mask & ~nan
    assert state_of(logits[clean], label[clean]).compute()["top1"] == per_item[clean].mean()


def test_the_first_index_wins_ties():
    logits = np.zeros((6, 6))
    state = state_of(logits, np.arange(6))
    assert state.compute() == {"top1": 1 / 6, "top5": 5 / 6}
    assert label_ranks(logits, np.arange(6)).tolist() == list(range(6))
    infinite = np.full((2, 3), -np.inf)
    assert label_ranks(infinite, np.array([0, 2])).tolist() == [0, 2]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(1, 12), count=st.integers(1, 9))
def test_ranks_agree_with_a_stable_sort(seed, classes, count):
    rng = np.random.default_rng(seed)
    logits = rng.integers(-2, 3, (count, classes)).astype(np.float32)
    label = rng.integers(0, classes, count)
    expected = [
        sorted(range(classes), key=lambda c: (-row[c], c)).index(own) for row, own in zip(logits, label, strict=True)
    ]
    assert label_ranks(logits, label).tolist() == expected
    assert state_of(logits, label).compute()["top5"] == np.mean([rank < 5 for rank in expected])


def test_blocks_of_rows_give_the_same_ranks(monkeypatch):
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(50, 7)), rng.integers(0, 7, 50)
    whole = label_ranks(logits, label)
    monkeypatch.setattr(labels, "BLOCK", 20)
    assert label_ranks(logits, label).tolist() == whole.tolist()


def test_predicted_labels_define_top1_only():
    state = Accuracy().empty().update("a", {"label": np.array(3)}, {"label": np.array(3)})
    state = state.update("b", {"label": np.array(2)}, {"label": np.array(3)})
    assert state.compute() == pytest.approx({"top1": 0.5, "top5": np.nan}, nan_ok=True)
    assert state.left_out == ()


@pytest.mark.parametrize(
    ("predictions", "label", "message"),
    [
        ({"logits": np.zeros(3)}, np.array(3), "labels: expected 0 to 2, got 3"),
        ({"logits": np.zeros(3)}, np.array(-1), "labels: expected 0 to 2, got -1"),
        ({"logits": np.zeros(3)}, np.array(1.0), "targets.label: expected integers, got float64"),
        ({"label": np.array(1.0)}, np.array(1), "predictions.label: expected integers, got float64"),
        ({"logits": np.zeros((2, 3))}, np.array(1), r"logits: expected shape \(b, c\), got \(1, 2, 3\)"),
        ({"logits": np.zeros(3), "label": np.array(1)}, np.array(1), "expected either logits or label"),
        ({}, np.array(1), "expected either logits or label"),
    ],
)
def test_bad_samples_are_refused_by_name(predictions, label, message):
    with pytest.raises(ValueError, match=f"sample 'clip': .*{message}"):
        Accuracy().empty().update("clip", predictions, {"label": label})
