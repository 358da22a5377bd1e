"""Fallbacks, warnings and records where a sampler cannot make the rows asked for."""

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from numpy.testing import assert_array_equal
from sklearn.neighbors import NearestNeighbors

from esmlearn.exceptions import ResamplingWarning
from esmlearn.over_sampling import RegionOverSampler
from tests.over_sampling._data import make_long_tail

INTERPOLATING = ["smote", "adasyn", "borderline", "svm", "kmeans"]


def make_far_tail(n_rare, *, distance=100.0, n=120, seed=0):
    """Rare rows that are far from all others."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 4)), rng.normal(37, 3, n)
    X[:n_rare] += distance
    y[:n_rare] = 80 + np.arange(n_rare)
    return X, y


def resample(sampler, X, y, match, **params):
    params = {"regions": [60.0], "rare": [1], "random_state": 0, **params}
    sampler = RegionOverSampler(sampler, **params)
    with pytest.warns(ResamplingWarning, match=match):
        result = sampler.fit_resample(X, y)
    return sampler, *result


@pytest.mark.parametrize("name", INTERPOLATING)
def test_region_without_members_gets_nothing(name):
    X, y = make_far_tail(0)
    sampler, _, y_resampled = resample(name, X, y, "no members")
    assert_array_equal(y_resampled, y)
    assert "no members" in sampler.report_.loc[1, "notes"]


@pytest.mark.parametrize("name", INTERPOLATING)
def test_single_member_is_copied(name):
    X, y = make_far_tail(1)
    sampler, X_resampled, y_resampled = resample(name, X, y, "single member", level=300)
    assert_array_equal(X_resampled[120:], X[[0, 0, 0]])
    assert_array_equal(y_resampled[120:], [80, 80, 80])
    assert sampler.report_.loc[1, "sampler"] == "RandomOverSampler"


def test_random_copies_a_single_member_without_warning():
    X, y = make_far_tail(1)
    sampler = RegionOverSampler("random", regions=[60.0], rare=[1], random_state=0)
    assert len(sampler.fit_resample(X, y)[1]) == 121


@pytest.mark.parametrize("neighbors", [5, NearestNeighbors(n_neighbors=6)])
def test_few_members_get_fewer_neighbours(neighbors):
    X, y = make_far_tail(3)
    sampler, _, y_resampled = resample(
        SMOTE(k_neighbors=neighbors), X, y, "3 members allow 2 neighbours instead of 5", level=200
    )
    assert len(y_resampled) == 126
    assert set(sampler.parents_.ravel()) == {0, 1, 2}
    assert sampler.report_.loc[1, "sampler"] == "SMOTE"


def test_adasyn_without_majority_neighbours_becomes_smote():
    X, y = make_far_tail(20)
    sampler, X_resampled, _ = resample("adasyn", X, y, "SMOTE was used instead")
    smote = RegionOverSampler("smote", regions=[60.0], rare=[1], random_state=0)
    assert_array_equal(X_resampled, smote.fit_resample(X, y)[0])
    assert "Not any neigbours" in sampler.report_.loc[1, "notes"]
    assert sampler.report_.loc[1, ["n_asked", "n_made"]].tolist() == [20, 20]


def test_borderline_that_makes_nothing_becomes_smote():
    X, y = make_far_tail(20)
    sampler, _, y_resampled = resample("borderline", X, y, "given no rows")
    assert len(y_resampled) == 140
    assert sampler.report_.loc[1, "sampler"] == "SMOTE"


def test_kmeans_without_clusters_becomes_smote():
    X, y = make_far_tail(20, distance=0.0)
    sampler, _, y_resampled = resample("kmeans", X, y, "No clusters found .* SMOTE was used")
    assert len(y_resampled) == 140
    assert sampler.report_.loc[1, "sampler"] == "SMOTE"


def test_fallback_random():
    X, y = make_far_tail(20)
    sampler, _, y_resampled = resample("adasyn", X, y, "random copies", fallback="random")
    assert set(y_resampled[120:]) <= set(y)
    assert sampler.report_.loc[1, "sampler"] == "RandomOverSampler"


@pytest.mark.parametrize("name", ["adasyn", "borderline"])
def test_fallback_error(name):
    X, y = make_far_tail(20)
    sampler = RegionOverSampler(name, regions=[60.0], rare=[1], fallback="error")
    with pytest.raises((ValueError, RuntimeError)):
        sampler.fit_resample(X, y)


def test_wrong_parameter_of_sampler_is_an_error():
    X, y = make_far_tail(20)
    with pytest.raises(ValueError, match="k_neighbors"):
        RegionOverSampler(SMOTE(k_neighbors=0), regions=[60.0], rare=[1]).fit_resample(X, y)


def test_one_bad_region_does_not_spoil_the_others():
    X, y = make_far_tail(20)
    y[20:50] = 10 + np.arange(30) / 10
    params = {"regions": [20.0, 60.0], "rare": [0, 2]}
    sampler, _, _ = resample("adasyn", X, y, "Region 2 .* SMOTE was used instead", **params)
    assert sampler.report_["sampler"].tolist() == ["ADASYN", "SMOTE"]
    assert_array_equal(np.sort(sampler.synthetic_region_), sampler.synthetic_region_)


def test_clear_shortfall_warns():
    X, y, _ = make_long_tail(600)
    sampler, _, y_resampled = resample("adasyn", X, y, "rows were made of", regions=[48.0])
    made = sampler.report_.loc[1, "n_made"]
    assert made == len(y_resampled) - 600
    assert made < 0.95 * sampler.report_.loc[1, "n_asked"]
