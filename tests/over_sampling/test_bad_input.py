"""What no sampler or regressor of this room can use, each refuses in the same words."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from esmlearn.exceptions import DataError, ResamplingWarning
from esmlearn.over_sampling import (
    DenseWeightRegressor,
    GaussianNoiseOverSampler,
    RegionOverSampler,
    RegionUnderSampler,
    RelevanceSampler,
    TwoStageRegressor,
)

HERE = {"regions": [60.0], "rare": [1], "random_state": 0}
SAMPLERS = [
    RegionOverSampler(**HERE),
    GaussianNoiseOverSampler(**HERE),
    RegionUnderSampler(**HERE),
    RelevanceSampler(regions=[60.0], random_state=0),
]
REGRESSORS = [DenseWeightRegressor(), TwoStageRegressor(**HERE)]
ALL = SAMPLERS + REGRESSORS


def use(estimator, X, y):
    """Resample, or fit and predict."""
    if hasattr(estimator, "fit_resample"):
        return estimator.fit_resample(X, y)[1]
    return estimator.fit(X, y).predict(X)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), np.r_[rng.normal(37, 2, 50), rng.normal(90, 2, 10)]
    X[50:] += 2
    return X, y


@pytest.mark.parametrize("estimator", ALL, ids=repr)
class TestRefused:
    @pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf")])
    def test_target_that_is_not_finite(self, estimator, data, value, shown):
        X, y = data
        y[7] = value
        with pytest.raises(DataError, match=rf"(?i)y\[7\] is {shown}"):
            use(estimator, X, y)

    @pytest.mark.parametrize("value", [np.nan, -np.inf])
    def test_feature_that_is_not_finite(self, estimator, data, value):
        X, y = data
        X[7, 2] = value
        for features in (X, pd.DataFrame(X), X.astype(np.float32)):
            with pytest.raises(DataError, match=rf"(?i)X\[7, 2\] is {value}"):
                use(estimator, features, y)

    def test_sparse_feature_that_is_not_finite(self, estimator, data):
        X, y = data
        X[7, 2] = np.nan
        if not estimator.__sklearn_tags__().input_tags.sparse:
            pytest.skip("takes no sparse features")
        with pytest.raises(ValueError, match="contains NaN"):
            use(estimator, sparse.csr_matrix(X), y)

    def test_constant_target(self, estimator, data):
        with pytest.raises(DataError, match=r"constant \(37 in all 60 rows\)"):
            use(estimator, data[0], np.full(60, 37.0))

    def test_one_row(self, estimator, data):
        with pytest.raises(ValueError, match=r"1 sample|n_samples=1"):
            use(estimator, data[0][:1], data[1][:1])

    def test_targets_of_another_length(self, estimator, data):
        with pytest.raises(ValueError, match=r"\[60, 59\]"):
            use(estimator, data[0], data[1][:-1])


@pytest.mark.parametrize("estimator", ALL, ids=repr)
@pytest.mark.parametrize("n_rare", [0, 1])
@pytest.mark.filterwarnings("ignore::esmlearn.exceptions.ResamplingWarning")
def test_region_with_hardly_a_member_is_handled(estimator, n_rare, data):
    X, y = data
    y[:] = np.linspace(30, 45, 60)
    y[60 - n_rare :] = 90
    assert np.isfinite(use(estimator, X, y)).all()


@pytest.mark.parametrize("n_rare", [0, 1])
def test_region_with_hardly_a_member_is_warned_of(n_rare, data):
    X, y = data
    y[:] = np.linspace(30, 45, 60)
    y[60 - n_rare :] = 90
    for estimator in (SAMPLERS[0], REGRESSORS[1]):
        with pytest.warns(ResamplingWarning, match="members|member"):
            use(estimator, X, y)


@pytest.mark.parametrize("regressor", REGRESSORS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_types_of_targets_and_features(regressor, dtype, data):
    """Whole numbers are quantities; few digits cost few digits."""
    X, y = data
    exact = use(regressor, X, y)
    assert_allclose(use(regressor, X, y.astype(dtype)), exact, atol=2.0)
    if dtype != np.int64:
        assert_allclose(use(regressor, X.astype(dtype), y), exact, atol=2.0)
