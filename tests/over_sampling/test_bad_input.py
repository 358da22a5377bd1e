"""Input that no sampler or regressor of this package can use, refused in the same words."""

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


@pytest.mark.parametrize("sampler", SAMPLERS[:3])
def test_whole_numbers_of_few_values_are_divided_by_given_regions(sampler, data):
    X, y = data
    whole = np.where(y > 60, 90, np.where(y > 37, 40, 30))
    expected = use(sampler, X, whole.astype(float))
    np.testing.assert_array_equal(use(sampler, X, whole), expected)
    assert sampler.regions_ is not None


@pytest.mark.parametrize("sampler", SAMPLERS[:3])
def test_numbers_that_are_text_are_not_taken_for_classes(sampler, data):
    X, y = data
    text = y.round(1).astype(str).astype(object)
    text[0] = "n/a"
    with pytest.raises(DataError, match=r"regions divide a quantity, but y\[1\] is '\d+\.\d'"):
        sampler.fit_resample(X, text)


@pytest.mark.parametrize("names", [("cold", "hot"), (False, True)])
def test_classes_have_no_regions(names, data):
    X, y = data
    sampler = RegionOverSampler("random", regions=[60.0], random_state=0)
    sampler.fit_resample(X, np.array(names)[(y > 60).astype(int)])
    assert sampler.regions_ is None


@pytest.mark.parametrize("level", [1, 0.5, {1: 2}])
def test_a_percentage_that_adds_no_row_is_told(level, data):
    with pytest.warns(ResamplingWarning, match=r"% of .* 10 rows.* is no row"):
        resampled = RegionOverSampler(**HERE, level=level).fit_resample(*data)
    assert len(resampled[1]) == 60


def test_no_percentage_asks_for_no_row(data):
    assert len(RegionOverSampler(**HERE, level=0).fit_resample(*data)[1]) == 60


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_before_the_embedder_is_told(sampler):
    with pytest.raises(DataError, match=r"X holds text .*behind the step that makes numbers"):
        sampler.fit_resample(pd.Series(["MKV", "MKL", "MAL"]), [30.5, 40.0, 90.0])


def test_a_region_beyond_all_targets_is_named_by_its_edge(data):
    X, y = data
    sampler = RegionOverSampler(regions=[500.0], rare=[1], random_state=0)
    with pytest.warns(ResamplingWarning, match=r"Region 1 \(500 and more, 0 rows\)"):
        sampler.fit_resample(X, y)


def test_a_single_class_is_named_as_it_was_given(data):
    with pytest.raises(DataError, match="only one class, 'hot', so"):
        RegionOverSampler().fit_resample(data[0], np.full(60, "hot"))
