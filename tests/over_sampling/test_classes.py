"""Rare classes are over-sampled by the same object."""

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import ADASYN, SMOTE
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

from esmlearn.exceptions import DataError
from esmlearn.over_sampling import GaussianNoiseOverSampler, RegionOverSampler, RegionUnderSampler
from tests.over_sampling._data import make_long_tail

NAMES = np.array(["nucleus", "membrane", "peroxisome"])


@pytest.fixture(scope="module")
def data():
    X, y, _ = make_long_tail(300)
    return X, NAMES[np.digitize(y, [40, 48])]


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), ADASYN(random_state=0)])
@pytest.mark.filterwarnings("ignore::esmlearn.exceptions.ResamplingWarning")
def test_classes_are_handed_to_imblearn(sampler, data):
    X, y = data
    n = np.sum(y == "peroxisome")
    expected = sampler.set_params(sampling_strategy={"peroxisome": 3 * n}).fit_resample(X, y)
    given = RegionOverSampler(sampler, level={"peroxisome": 200}).fit_resample(X, y)
    assert_array_equal(given[0], expected[0])
    assert_array_equal(given[1], expected[1])


def test_rare_classes_are_those_below_the_mean(data):
    X, y = data
    sampler = RegionOverSampler(random_state=0)
    sampler.fit_resample(X, y)
    counts = pd.Series(y).value_counts()
    rare = sorted(counts.index[counts < 100])
    assert list(sampler.sampling_strategy_) == rare
    assert sampler.sampling_strategy_ == {name: 2 * counts[name] for name in rare}
    assert set(sampler.synthetic_region_) == set(rare)


def test_rare_classes_by_name(data):
    X, y = data
    sampler = RegionOverSampler("random", rare=["membrane"], random_state=0).fit(X, y)
    assert list(sampler.sampling_strategy_) == ["membrane"]


def test_categories_stay_categories(data):
    X, y = data
    series = pd.Series(y, dtype="category", name="location")
    y_given = RegionOverSampler(random_state=0).fit_resample(X, series)[1]
    assert y_given.dtype == series.dtype


def test_classes_get_no_noise_and_keep_their_names(data):
    X, y = data
    y_given = GaussianNoiseOverSampler(random_state=0).fit_resample(X, y)[1]
    assert set(y_given) == set(NAMES)


def test_under_sampling_of_common_classes(data):
    X, y = data
    sampler = RegionUnderSampler(keep=50, random_state=0)
    y_given = sampler.fit_resample(X, y)[1]
    for name, n in sampler.sampling_strategy_.items():
        assert np.sum(y_given == name) == n == round(np.sum(y == name) / 2)


def test_one_class_is_refused(data):
    X, y = data
    with pytest.raises(DataError, match="only one class"):
        RegionOverSampler().fit_resample(X, ["nucleus"] * len(y))


def test_missing_class_is_named(data):
    X, y = data
    y = y.astype(object)
    y[3] = None
    with pytest.raises(DataError, match=r"y\[3\] is None"):
        RegionOverSampler().fit_resample(X, y)


@pytest.mark.parametrize("name", ["random", "smote"])
def test_probabilities_of_more_rows_are_taken_back_by_how_many_they_are(name):
    """Two normal distributions, of which the probability of each class is known."""
    rng = np.random.default_rng(0)
    rare = rng.random(20000) < 0.1
    X = rng.normal(size=(20000, 1)) + rare[:, np.newaxis]
    sampler = RegionOverSampler(name, level=300, random_state=0)
    model = LogisticRegression().fit(*sampler.fit_resample(X, np.where(rare, "rare", "usual")))
    at = np.linspace(-2, 3, 11)[:, np.newaxis]
    density = np.hstack([0.1 * np.exp(-((at - 1) ** 2) / 2), 0.9 * np.exp(-(at**2) / 2)])
    true = density / density.sum(axis=1, keepdims=True)
    shifted = model.predict_proba(at)
    assert_allclose(shifted[5, 0] / shifted[5, 1] / (true[5, 0] / true[5, 1]), 4, rtol=0.1)
    grown = 1 + (sampler.report_["n_made"] / sampler.report_["n_members"]).reindex(
        model.classes_, fill_value=0.0
    )
    taken_back = shifted / grown.to_numpy()
    assert_allclose(taken_back / taken_back.sum(axis=1, keepdims=True), true, atol=0.05)
