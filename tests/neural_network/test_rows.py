import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esmlearn.exceptions import DataError
from esmlearn.neural_network._rows import all_rows, draw, split_rows

WEIGHTS = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 5))


@given(WEIGHTS, st.floats(0, 1, exclude_max=True))
def test_draw_rounds_each_weight_and_keeps_the_sum(weight, start):
    copies = draw(weight, start)
    assert (np.abs(copies - weight) < 1 + 1e-8).all()
    assert abs(copies.sum() - weight.sum()) <= 1 + 1e-8


def test_draw_gives_the_weight_on_average():
    weight = np.random.default_rng(0).uniform(0, 3, 50)
    starts = (np.arange(1000) + 0.5) / 1000
    mean = np.mean([draw(weight, start) for start in starts], axis=0)
    np.testing.assert_allclose(mean, weight, atol=2e-3)


@st.composite
def tables(draw):
    """A table with repeated rows, classes, perhaps groups, and a fraction."""
    n_rows = draw(st.integers(4, 60))
    kinds = draw(arrays(np.int64, n_rows, elements=st.integers(0, 20)))
    groups = draw(arrays(np.int64, n_rows, elements=st.integers(0, 9)))
    y = draw(arrays(np.int64, n_rows, elements=st.integers(0, 2)))
    kinds[:2], groups[:2] = [0, 1], [0, 1]
    return kinds[:, None].astype(np.float32), y, groups if draw(st.booleans()) else None


@settings(deadline=None)
@given(tables(), st.floats(0.05, 0.5), st.integers(0, 1000))
def test_no_group_and_no_copy_is_on_both_sides(table, fraction, seed):
    X, y, groups = table
    train, valid = split_rows(
        X, None, groups=groups, strata=y, fraction=fraction, rng=np.random.RandomState(seed)
    )
    units = X[:, 0] if groups is None else groups
    assert not np.intersect1d(units[train.index], units[valid.index]).size
    assert sorted([*train.index, *valid.index]) == list(range(len(X)))
    assert len(train.index) > 0
    assert len(valid.index) > 0


@settings(deadline=None)
@given(tables(), st.integers(0, 1000))
def test_the_last_bits_of_the_features_draw_no_other_rows(table, seed):
    X, y, groups = table

    def parts(X):
        rng = np.random.RandomState(seed)
        drawn = split_rows(X, None, groups=groups, strata=y, fraction=0.2, rng=rng)
        return [part.index.tolist() for part in drawn]

    assert parts(np.nextafter(X, np.float32(99))) == parts(X)


def test_classes_keep_their_shares_and_a_single_row_trains():
    y = np.repeat([0, 1, 2], [100, 50, 1])
    X = np.arange(151, dtype=np.float32)[:, None]
    rng = np.random.RandomState(0)
    _, valid = split_rows(X, None, groups=None, strata=y, fraction=0.1, rng=rng)
    np.testing.assert_array_equal(np.bincount(y[valid.index], minlength=3), [10, 5, 0])


def test_whole_numbers_are_counts_and_others_are_relative():
    counted = all_rows(4, np.array([2.0, 0, 1, 3]))
    assert counted.weight is None
    assert counted.index.tolist() == [0, 0, 2, 3, 3, 3]
    relative = all_rows(4, np.array([0.2, 0, 0.1, 0.3]))
    assert relative.index.tolist() == [0, 2, 3]
    assert relative.weight.mean() == pytest.approx(1)


def test_huge_whole_numbers_do_not_repeat_rows():
    part = all_rows(3, np.array([1e6, 2e6, 3e6]))
    assert len(part.index) == 3


@pytest.mark.parametrize(("groups", "what"), [(None, "distinct row"), (np.zeros(6), "group")])
def test_one_unit_cannot_be_split(groups, what):
    with pytest.raises(DataError, match=f"only 1 {what}.*early_stopping=False"):
        split_rows(
            np.ones((6, 2), np.float32),
            None,
            groups=groups,
            strata=None,
            fraction=0.1,
            rng=np.random.RandomState(0),
        )
