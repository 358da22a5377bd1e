import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from esmlearn.over_sampling import TargetRegions
from esmlearn.study import RegionLogisticRegression, default_models


@parametrize_with_checks([RegionLogisticRegression()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_answers_are_means_of_regions():
    rng = np.random.default_rng(0)
    y = np.r_[rng.normal(37, 2, 80), rng.normal(90, 2, 20)]
    X = y[:, None] + rng.normal(0, 1, (100, 3))
    model = RegionLogisticRegression(regions=TargetRegions(method="edges", edges=[60.0])).fit(X, y)
    assert np.allclose(np.unique(model.predict(X)), [y[:80].mean(), y[80:].mean()])


def test_one_region_is_the_mean():
    X, y = np.arange(10.0)[:, None], np.arange(10.0)
    model = RegionLogisticRegression(regions=[100.0]).fit(X, y)
    assert model.predict([[3.0]]) == pytest.approx(4.5)


def test_sgd_stays_finite_on_many_features_with_far_values():
    rng = np.random.default_rng(0)
    X = rng.standard_t(2, (200, 1280))
    y = 37 + X[:, :5].sum(axis=1)
    model = default_models("regression")["sgd"].fit(X[:150], y[:150])
    # With the squared loss of SGDRegressor's default these are beyond 1e9.
    assert np.abs(model.predict(X[150:]) - y[150:]).max() < 1e3
