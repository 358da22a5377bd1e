import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor

from esmlearn.exceptions import DataError
from esmlearn.over_sampling import DenseWeightRegressor, TargetRegions
from tests.over_sampling._data import make_long_tail


@pytest.fixture(scope="module")
def data():
    X, y, _ = make_long_tail(400)
    return X, y


def test_it_is_the_regressor_with_weights(data):
    X, y = data
    weights = TargetRegions().fit(y).weights(y, alpha=0.5)
    expected = Ridge().fit(X, y, sample_weight=weights).predict(X)
    assert_allclose(DenseWeightRegressor(Ridge(), alpha=0.5).fit(X, y).predict(X), expected)


def test_no_weights(data):
    X, y = data
    expected = Ridge().fit(X, y).predict(X)
    assert_allclose(DenseWeightRegressor(alpha=0).fit(X, y).predict(X), expected, rtol=1e-5)


def test_rare_targets_are_predicted_better(data):
    X, y = data
    rare = y > np.quantile(y, 0.97)
    error = {
        alpha: np.abs(DenseWeightRegressor(alpha=alpha).fit(X, y).predict(X) - y)[rare].mean()
        for alpha in (0, 1)
    }
    assert error[1] < error[0]


def test_grid_over_strengths_and_inner_parameters(data):
    grid = {"alpha": [0, 0.5, 1], "regressor__alpha": [1, 10]}
    search = GridSearchCV(DenseWeightRegressor(Ridge()), grid, cv=3).fit(*data)
    assert len(search.cv_results_["params"]) == 6


def test_sparse_features(data):
    X, y = data
    model = DenseWeightRegressor().fit(sparse.csr_matrix(X), y)
    assert_array_equal(model.predict(sparse.csr_matrix(X)).shape, y.shape)


def test_regressor_without_weights_is_refused(data):
    with pytest.raises(DataError, match="takes no sample_weight"):
        DenseWeightRegressor(KNeighborsRegressor()).fit(*data)


def test_given_weights_are_multiplied(data):
    X, y = data
    given = np.random.default_rng(0).random(len(y))
    weights = given * TargetRegions().fit(y).weights(y)
    expected = Ridge().fit(X, y, sample_weight=weights).predict(X)
    found = DenseWeightRegressor(Ridge()).fit(X, y, sample_weight=given).predict(X)
    assert_allclose(found, expected)


def test_a_search_passes_sample_weights_on(data):
    X, y = data
    weight = np.random.default_rng(0).uniform(0, 2, len(X))
    with config_context(enable_metadata_routing=True):
        model = DenseWeightRegressor().set_fit_request(sample_weight=True)
        model = model.set_score_request(sample_weight=False)
        search = GridSearchCV(model, {"alpha": [0.5]}, cv=2).fit(X, y, sample_weight=weight)
    expected = DenseWeightRegressor(alpha=0.5).fit(X, y, sample_weight=weight).predict(X)
    assert_array_equal(search.predict(X), expected)
    assert not np.array_equal(expected, DenseWeightRegressor(alpha=0.5).fit(X, y).predict(X))
