import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esmlearn.model_selection._partition.assignment import assign_groups, distinct_rows


def fold_counts(counts, fold, n_folds):
    held = np.zeros((n_folds, counts.shape[1]))
    np.add.at(held, fold, counts)
    return held


def long_tailed_groups(n_groups, n_strata, seed=0):
    """Many singletons, few large families, strata from 60 % to 1 %."""
    rng = np.random.default_rng(seed)
    sizes = np.minimum(rng.zipf(2.0, n_groups), 60)
    shares = 0.5 ** np.arange(n_strata)
    return np.array([rng.multinomial(s, shares / shares.sum()) for s in sizes])


@pytest.mark.parametrize("n_strata", [1, 7, 13])
@pytest.mark.parametrize("n_folds", [2, 5, 10])
def test_sizes_and_shares_are_even(n_strata, n_folds):
    counts = long_tailed_groups(3000, n_strata)
    fold = assign_groups(counts, np.full(n_folds, 1 / n_folds), rng=np.random.RandomState(0))
    held = fold_counts(counts, fold, n_folds)
    size = held.sum(axis=1)
    assert np.abs(size / size.mean() - 1).max() <= 0.01
    assert np.abs(held / size[:, None] - held.sum(0) / held.sum()).max() <= 0.005


def test_unequal_fractions_are_met():
    counts = long_tailed_groups(2000, 4)
    fold = assign_groups(counts, np.array([0.1, 0.9]), largest_first=False)
    held = fold_counts(counts, fold, 2)
    assert held[0].sum() / held.sum() == pytest.approx(0.1, abs=0.002)


def test_an_exact_solution_is_found_by_exchanges():
    counts = np.array([[8], [7], [6], [5], [4]])  # largest first gives 17 against 13
    fold = assign_groups(counts, np.array([0.5, 0.5]))
    assert fold_counts(counts, fold, 2).ravel().tolist() == [15, 15]


def test_draws_differ_by_seed_and_repeat():
    counts = long_tailed_groups(300, 3)
    fractions = np.full(5, 0.2)
    first, again, other = (
        assign_groups(counts, fractions, rng=np.random.RandomState(seed)) for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).any()


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_every_group_gets_a_fold_and_no_fold_stays_empty_needlessly(data):
    n_folds = data.draw(st.integers(2, 6))
    n_groups = data.draw(st.integers(n_folds, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    counts = rng.integers(0, 4, (n_groups, 3)) + np.array([1, 0, 0])
    fold = assign_groups(counts, np.full(n_folds, 1 / n_folds), rng=np.random.RandomState(0))
    assert fold.shape == (n_groups,)
    assert set(fold) <= set(range(n_folds))
    if n_groups >= 4 * n_folds:
        assert set(fold) == set(range(n_folds))


@given(counts=st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=30))
def test_distinct_rows_are_those_of_numpy(counts):
    rows, which = distinct_rows(np.array(counts))
    expected, expected_which = np.unique(counts, axis=0, return_inverse=True)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(which, expected_which.reshape(-1))
