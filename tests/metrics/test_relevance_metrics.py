import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import fixed_quad
from scipy.stats import spearmanr

from esmlearn.exceptions import DataError
from esmlearn.metrics import relevance_weighted_rmse, sera, sera_curve, spearman, utility_f1
from esmlearn.over_sampling import TargetRegions


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y_true = rng.gamma(2, 10, 300)
    return y_true, y_true + rng.normal(0, 8, 300)


def test_sera_is_the_integral_of_its_curve_by_quadrature(data):
    y_true, y_pred = data
    regions = TargetRegions().fit(y_true)
    relevance = regions.relevance(y_true)
    error = (y_pred - y_true) ** 2

    def squared_error(thresholds):
        return (error * (relevance >= thresholds[:, np.newaxis])).sum(axis=1)

    steps = np.unique(np.r_[0, relevance, 1])
    area = sum(
        fixed_quad(squared_error, low, high, n=4)[0] for low, high in itertools.pairwise(steps)
    )
    assert_allclose(sera(y_true, y_pred, relevance=regions), area, rtol=1e-12)


def test_sera_curve_is_the_sum_over_what_is_at_least_so_relevant(data):
    y_true, y_pred = data
    relevance = TargetRegions("density").fit(y_true).relevance(y_true).round(2)
    thresholds, curve = sera_curve(y_true, y_pred, relevance=relevance)
    expected = [((y_pred - y_true) ** 2)[relevance >= t].sum() for t in thresholds]
    assert_allclose(curve, expected, rtol=1e-12)
    assert thresholds[0] == 0
    assert thresholds[-1] == 1
    area = np.dot(np.diff(thresholds), curve[1:])
    assert_allclose(sera(y_true, y_pred, relevance=relevance), area, rtol=1e-12)


relevances = hnp.arrays(np.float64, 20, elements=st.floats(0, 1))
numbers = hnp.arrays(np.float64, 20, elements=st.floats(-1e3, 1e3))


@settings(deadline=None)
@given(numbers, numbers, relevances)
def test_sera_invariants(y_true, y_pred, relevance):
    area = sera(y_true, y_pred, relevance=relevance)
    thresholds, curve = sera_curve(y_true, y_pred, relevance=relevance)
    assert (np.diff(thresholds) > 0).all()
    assert (np.diff(curve) <= 0).all()
    assert_allclose(area, np.dot(np.diff(thresholds), curve[1:]), rtol=1e-12, atol=1e-9)
    assert 0 <= area <= curve[0] * (1 + 1e-12)


def test_relevance_from_values_functions_and_regions_is_the_same(data):
    y_true, y_pred = data
    regions = TargetRegions().fit(y_true)
    ways = [regions, regions.relevance, regions.relevance(y_true)]
    for metric in (sera, relevance_weighted_rmse):
        assert len({metric(y_true, y_pred, relevance=way) for way in ways}) == 1


def test_relevance_weighted_rmse(data):
    y_true, y_pred = data
    assert_allclose(
        relevance_weighted_rmse(y_true, y_pred, relevance=np.ones(300)),
        np.sqrt(((y_pred - y_true) ** 2).mean()),
    )
    assert relevance_weighted_rmse(y_true, y_pred, relevance=np.zeros(300)) == 0


@pytest.mark.parametrize(
    ("relevance", "message"),
    [
        ([0.5, 1.5], r"relevance\[1\] is 1.5"),
        ([0.5, -0.1], r"relevance\[1\] is -0.1"),
        ([0.5, np.nan], r"relevance\[1\] is nan"),
        ([0.5], "inconsistent"),
    ],
)
def test_bad_relevance(relevance, message):
    with pytest.raises(ValueError, match=message):
        sera([1.0, 2.0], [1.0, 2.0], relevance=relevance)


def hot(y):
    return (np.asarray(y) >= 85).astype(float)


def test_utility_f1_of_close_and_far_finds():
    y_true = [37.0, 40.0, 90.0, 95.0]
    assert utility_f1(y_true, y_true, relevance=hot) == 1
    assert utility_f1(y_true, [37, 40, 50, 60], relevance=hot) == 0
    assert utility_f1([30.0, 40.0], [30, 40], relevance=hot) == 0
    assert_allclose(utility_f1(y_true, [37, 40, 95, 95], relevance=hot, tolerance=10), 0.75)
    assert_allclose(utility_f1(y_true, [37, 90, 90, 95], relevance=hot, tolerance=10), 0.8)


def test_utility_f1_needs_a_function():
    with pytest.raises(DataError, match="as a function of the target"):
        utility_f1([1.0, 2.0], [1.0, 2.0], relevance=[0.0, 1.0])


def test_spearman_agrees_with_scipy(data):
    y_true, y_pred = data
    assert_allclose(spearman(y_true, y_pred), spearmanr(y_true, y_pred)[0], rtol=1e-12)
    tied = y_pred.round(-1)
    assert_allclose(spearman(y_true, tied), spearmanr(y_true, tied)[0], rtol=1e-12)


def test_spearman_of_constant_predictions_is_zero():
    assert spearman([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]) == 0
    assert_array_equal(spearman([1.0], [1.0], constant=-1), -1)
