import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import gaussian_kde
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from esmlearn.exceptions import DataError
from esmlearn.over_sampling import TargetRegions
from esmlearn.over_sampling._density import kernel_density
from tests.over_sampling._data import make_long_tail

METHODS = ["relevance", "density", "histogram", "quantile"]


@pytest.fixture(scope="module")
def y():
    return make_long_tail(2000)[1]


@pytest.mark.parametrize("method", METHODS)
def test_long_tail_is_found(method, y):
    regions = TargetRegions(method).fit(y)
    assert regions.rare_[-1]
    assert not regions.rare_[regions.region([np.median(y)])[0]]
    assert regions.counts_.sum() == len(y)
    assert len(regions.rare_) == len(regions.counts_) == regions.n_regions_


@pytest.mark.parametrize("method", METHODS)
def test_tail_limits_rare_to_one_side(method, y):
    regions = TargetRegions(method, tail="lower").fit(y)
    assert not regions.rare_[-1]
    assert regions.relevance([y.max()])[0] == 0


def test_edge_belongs_to_region_above():
    regions = TargetRegions("edges", edges=[50, 85]).fit([30.0, 50.0, 85.0, 90.0])
    assert_array_equal(regions.region([49.999, 50, 84.999, 85, 1e9, -1e9]), [0, 1, 1, 2, 2, 0])


def test_box_plot_control_points_are_whiskers_and_median():
    y = np.r_[np.arange(101.0), 300.0]
    regions = TargetRegions().fit(y)
    assert_allclose(regions.control_points_, [[50.5, 0], [100, 1]])
    assert_allclose(regions.relevance([0, 50.5, 75.25, 100, 300]), [0, 0, 0.5, 1, 1])


def test_no_outliers_means_nothing_is_rare():
    regions = TargetRegions().fit(np.arange(50.0))
    assert regions.n_regions_ == 1
    assert not regions.rare_.any()


def test_heaped_target_has_control_points_that_differ():
    regions = TargetRegions().fit([37.0] * 90 + [20.0] * 2 + [90.0] * 8)
    assert_allclose(regions.control_points_, [[20, 1], [37, 0], [90, 1]])


def test_given_control_points(y):
    regions = TargetRegions(control_points=[[60, 1], [40, 0]], min_count=1).fit(y)
    assert_allclose(regions.relevance([30, 40, 50, 60, 70]), [0, 0, 0.5, 1, 1])
    assert_allclose(regions.relevance(regions.edges_), 0.8)


def test_density_is_linear_between_grid_points_and_zero_outside(y):
    density = kernel_density(y)
    asked = np.r_[y, density.grid, -1e9, 1e9, np.nextafter(density.grid[-1], np.inf)]
    expected = np.interp(asked, density.grid, density.values, left=0, right=0)
    assert_allclose(density(asked), expected, rtol=1e-9, atol=1e-12)


def test_kernel_density_agrees_with_scipy(y):
    regions = TargetRegions().fit(y)
    reference = gaussian_kde(y, bw_method=regions.density_.bandwidth / y.std(ddof=1))
    at = np.linspace(y.min(), y.max(), 200)
    assert_allclose(regions.density_(at), reference(at), atol=2e-3 * reference(at).max())


def test_weights_are_dense_weight(y):
    regions = TargetRegions().fit(y)
    density = regions.density_(y)
    scaled = (density - density.min()) / np.ptp(density)
    expected = np.maximum(1 - 0.7 * scaled, 1e-6)
    assert_allclose(regions.weights(y, alpha=0.7), expected / expected.mean())
    assert_allclose(regions.weights(y, alpha=0), 1)
    with pytest.raises(DataError, match="alpha=-1"):
        regions.weights(y, alpha=-1)


def test_table(y):
    regions = TargetRegions("edges", edges=[30.0, 50.0, 500.0], rare=[-2]).fit(y)
    table = regions.table()
    assert_array_equal(table["count"], np.histogram(y, [-np.inf, 30, 50, 500, np.inf])[0])
    assert_array_equal(table["rare"], [False, False, True, False])
    assert_allclose(table["low"], [y.min(), 30, 50, 500])
    assert_allclose(table["high"], [30, 50, 500, 500])
    assert np.isnan(table["relevance"].iloc[-1])
    assert isinstance(table, pd.DataFrame)


def test_region_without_targets_is_rare(y):
    assert TargetRegions("edges", edges=[500.0]).fit(y).rare_[1]


def test_small_regions_are_joined(y):
    for method in ("density", "histogram"):
        regions = TargetRegions(method, min_count=40).fit(y)
        assert regions.counts_.min() >= 40


def test_refit_leaves_nothing_behind(y):
    regions = TargetRegions("histogram").fit(y)
    regions.set_params(method="relevance").fit(y[:300])
    fresh = TargetRegions().fit(y[:300])
    assert vars(regions).keys() == vars(fresh).keys()
    assert_array_equal(regions.relevance(y), fresh.relevance(y))


def test_clone_and_pickle(y):
    regions = TargetRegions("quantile", quantiles=[0.1, 0.9])
    assert clone(regions.fit(y)).get_params() == regions.get_params()
    again = pickle.loads(pickle.dumps(regions))
    assert_array_equal(again.region(y), regions.region(y))
    with pytest.raises(NotFittedError):
        clone(regions).region(y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "edges"}, "needs edges"),
        ({"method": "edges", "edges": [5, 3]}, r"edges\[1\] is 3.0"),
        ({"method": "edges", "edges": [5, np.nan]}, r"edges\[1\] is nan"),
        ({"method": "edges", "edges": []}, "at least one"),
        ({"edges": [50]}, "edges are for method='edges', but method is 'relevance'"),
        ({"method": "quantile", "quantiles": [0.5, 1.0]}, "between 0 and 1"),
        ({"control_points": [[1, 2, 3]]}, "value, relevance"),
        ({"control_points": [[1, 0], [2, 1.5]]}, r"control_points\[1\]"),
        ({"method": "edges", "edges": [50], "rare": [0, 2]}, r"Region 2 \(at index 1\)"),
        ({"method": "edges", "edges": [50], "rare": [0.5]}, "whole numbers"),
    ],
)
def test_bad_parameters(params, message, y):
    with pytest.raises(DataError, match=message):
        TargetRegions(**params).fit(y)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([1.0, np.nan, 2.0], r"y\[1\] is nan"),
        ([1.0, 2.0, -np.inf], r"y\[2\] is -inf"),
        ([37.0] * 5, "constant"),
        ([0.3, 0.1 + 0.2] * 3, "constant"),
        ([-1e308, 0.0, 1e308], "too far"),
        ([37.0], "at least two values .* n_samples=1"),
        (["37.0", "cold"], r"y\[1\] is 'cold'; expected numbers. Correct or remove it"),
        ([{}, 37.0], "not numeric"),
        ([1 + 1j, 2], "must be real"),
    ],
)
def test_bad_targets(target, message):
    with pytest.raises(DataError, match=message):
        TargetRegions().fit(target)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["region", "relevance", "weights"])
def test_values_that_lie_in_no_region_are_named(method, value, y):
    regions = TargetRegions().fit(y)
    with pytest.raises(DataError, match=rf"y\[1\] is {value}"):
        getattr(regions, method)([40.0, value])


finite = st.floats(-1e6, 1e6, allow_nan=False, width=32)


@settings(deadline=None)
@given(hnp.arrays(np.float64, st.integers(2, 60), elements=finite), st.sampled_from(METHODS))
def test_every_target_has_one_region_and_a_relevance(y, method):
    if np.ptp(y) == 0:
        return
    regions = TargetRegions(method, min_count=2).fit(y)
    labels, relevance = regions.region(y), regions.relevance(y)
    assert ((labels >= 0) & (labels < regions.n_regions_)).all()
    assert ((relevance >= 0) & (relevance <= 1)).all()
    assert (np.diff(regions.edges_) > 0).all()
    assert np.isfinite(regions.weights(y)).all()
    order = np.random.default_rng(0).permutation(len(y))
    again = TargetRegions(method, min_count=2).fit(y[order])
    assert_allclose(again.edges_, regions.edges_, rtol=1e-9)
