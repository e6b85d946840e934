"""Chance as a pure function of seed, epoch and index."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d_datasets.pretraining.draws import below, draws, permutation, substitute

SEEDS = st.integers(0, 2**63 - 1)


@given(SEEDS, st.integers(0, 2**40), st.integers(1, 300))
def test_an_epoch_shows_each_video_once(seed, epoch, count):
    assert sorted(permutation(seed, epoch, count)) == list(range(count))


@given(SEEDS, SEEDS, SEEDS, st.integers(0, 99))
def test_the_same_numbers_draw_the_same(seed, epoch, index, attempt):
    assert draws(seed, epoch, index, attempt) == draws(seed, epoch, index, attempt)


def test_every_number_counts():
    drawn = {draws(*numbers) for numbers in np.ndindex(3, 4, 5, 2)}
    assert len(drawn) == 3 * 4 * 5 * 2
    assert not np.array_equal(permutation(0, 0, 50), permutation(0, 1, 50))
    assert not np.array_equal(permutation(0, 0, 50), permutation(1, 0, 50))


def test_no_other_version_of_anything_draws_otherwise():
    # A run that goes on under another numpy or Python sees the clips that it would have seen.
    assert permutation(7, 3, 12).tolist() == [9, 7, 11, 0, 3, 8, 2, 4, 10, 6, 5, 1]
    assert [draws(7, 3, 2).start % 1000, draws(7, 3, 2).flip % 1000, substitute(7, 3, 2, 1, 1000)] == [25, 23, 144]


@given(st.integers(0, 2**64 - 1), st.integers(1, 10**9))
def test_a_word_falls_below_its_bound(word, bound):
    assert 0 <= below(word, bound) < bound


def test_places_and_flips_are_even():
    drawn = [draws(0, 0, index) for index in range(4000)]
    for name in ("start", "top", "left"):
        counts = np.bincount([below(getattr(one, name), 10) for one in drawn], minlength=10)
        assert abs(counts - 400).max() < 5 * 19  # five standard deviations
    assert sum(one.flip & 1 for one in drawn) == pytest.approx(2000, abs=5 * 32)
    tops = np.array([[below(one.top, 1000), below(one.left, 1000), below(one.start, 1000)] for one in drawn])
    assert abs(np.corrcoef(tops.T) - np.eye(3)).max() < 0.08
