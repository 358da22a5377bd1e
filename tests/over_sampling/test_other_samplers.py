"""Noise, under-sampling and relevance sampling."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import chisquare
from sklearn.base import clone

from esmlearn.exceptions import ResamplingWarning
from esmlearn.over_sampling import (
    GaussianNoiseOverSampler,
    RegionUnderSampler,
    RelevanceSampler,
    TargetRegions,
)
from tests.over_sampling._data import make_long_tail

SAMPLERS = [
    GaussianNoiseOverSampler(random_state=0),
    RegionUnderSampler(random_state=0),
    RelevanceSampler(random_state=0),
]


@pytest.fixture(scope="module")
def data():
    X, y, _ = make_long_tail(500)
    return X, y


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_same_seed_same_result_after_clone_and_pickle(sampler, data):
    first = sampler.fit_resample(*data)
    for again in (clone(sampler), pickle.loads(pickle.dumps(sampler))):
        X, y = again.fit_resample(*data)
        assert_array_equal(X, first[0])
        assert_array_equal(y, first[1])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_fit_learns_without_resampling(sampler, data):
    fitted = clone(sampler).fit(*data)
    assert fitted.n_original_ == 500
    assert fitted.sampling_strategy_


class TestGaussianNoise:
    def test_noise_is_a_fraction_of_the_spread_in_the_region(self, data):
        X, y = data
        X = X.copy()
        X[y >= 48, 0] = 3.0
        sampler = GaussianNoiseOverSampler(
            0.1, level=10_000, regions=[48.0], rare=[1], random_state=0
        )
        X_resampled, _ = sampler.fit_resample(X, y)
        noise = X_resampled[500:] - X[sampler.parents_[:, 0]]
        assert_allclose(noise[:, 0], 0)
        spread = X[y >= 48].std(axis=0)[1:]
        assert_allclose(noise.std(axis=0)[1:] / spread, 0.1, rtol=0.05)

    def test_targets_stay_within_the_members_of_the_region(self, data):
        X, y = data
        sampler = GaussianNoiseOverSampler(
            target_scale=5.0, level=500, regions=[48.0], rare=[1], random_state=0
        )
        y_new = sampler.fit_resample(X, y)[1][500:]
        members = y[y >= 48]
        assert members.min() <= y_new.min() < y_new.max() <= members.max()

    def test_members_are_used_in_turn(self, data):
        X, y = data
        sampler = GaussianNoiseOverSampler(level=200, regions=[48.0], rare=[1], random_state=0)
        sampler.fit_resample(X, y)
        assert set(np.unique(sampler.parents_[:, 0], return_counts=True)[1]) == {2}

    def test_without_noise_rows_are_copies(self, data):
        X, y = data
        sampler = GaussianNoiseOverSampler(0.0, regions=[48.0], rare=[1], random_state=0)
        X_resampled, y_resampled = sampler.fit_resample(X, y)
        assert_array_equal(X_resampled[500:], X[sampler.parents_[:, 0]])
        assert_allclose(y_resampled[500:], y[sampler.parents_[:, 0]])

    def test_sparse_features_are_refused(self, data):
        with pytest.raises(TypeError, match="dense data is required"):
            GaussianNoiseOverSampler().fit_resample(sparse.csr_matrix(data[0]), data[1])


class TestUnderSampling:
    def test_rare_rows_all_stay_and_order_is_kept(self, data):
        X, y = data
        sampler = RegionUnderSampler(keep=30, regions=[48.0], rare=[1], random_state=0)
        X_resampled, y_resampled = sampler.fit_resample(X, y)
        kept = sampler.sample_indices_
        assert (np.diff(kept) > 0).all()
        assert_array_equal(X_resampled, X[kept])
        assert_array_equal(y_resampled, y[kept])
        assert set(np.flatnonzero(y >= 48)) <= set(kept)
        assert np.sum(y_resampled < 48) == round(np.sum(y < 48) * 0.3)

    def test_keep_all(self, data):
        X, y = data
        assert_array_equal(RegionUnderSampler(keep=100).fit_resample(X, y)[0], X)

    def test_everything_rare_warns(self, data):
        X, y = data
        sampler = RegionUnderSampler(regions=[48.0], rare=[0, 1])
        with pytest.warns(ResamplingWarning, match="Every region"):
            assert_array_equal(sampler.fit_resample(X, y)[1], y)

    def test_sparse_features_keep_their_format(self, data):
        X, y = data
        rows, _ = RegionUnderSampler(random_state=0).fit_resample(sparse.csc_matrix(X), y)
        dense, _ = RegionUnderSampler(random_state=0).fit_resample(X, y)
        assert rows.format == "csc"
        assert_array_equal(rows.toarray(), dense)


class TestRelevanceSampling:
    def test_counts(self, data):
        X, y = data
        sampler = RelevanceSampler(over=40, under=10, random_state=0)
        _, y_resampled = sampler.fit_resample(X, y)
        assert len(y_resampled) == 500 + 200 - 50
        assert sampler.sampling_strategy_ == {"add": 200, "remove": 50}

    def test_relevant_rows_are_copied_and_irrelevant_removed(self, data):
        X, y = data
        sampler = RelevanceSampler(over=100, under=50, random_state=0)
        sampler.fit_resample(X, y)
        relevance = sampler.regions_.relevance(y)
        kept, added = sampler.sample_indices_[:250], sampler.sample_indices_[250:]
        assert (relevance[added] > 0).all()
        assert set(np.flatnonzero(relevance == 1)) <= set(kept)
        assert relevance[added].mean() > 2 * relevance.mean()

    def test_rows_are_drawn_in_proportion_to_their_relevance(self, data):
        X, y = data
        regions = TargetRegions("density")
        sampler = RelevanceSampler(over=20000, under=0, regions=regions, random_state=0)
        sampler.fit_resample(X, y)
        drawn = np.bincount(sampler.sample_indices_[500:], minlength=500)
        relevance = regions.fit(y).relevance(y)
        often = relevance > 0.01
        expected = drawn[often].sum() * relevance[often] / relevance[often].sum()
        assert chisquare(drawn[often], expected).pvalue > 0.01

    def test_nothing_relevant_warns(self, data):
        X, _ = data
        with pytest.warns(ResamplingWarning, match="only 0 targets"):
            RelevanceSampler(under=0).fit_resample(X, np.arange(500.0))

    def test_relevance_by_density(self, data):
        X, y = data
        sampler = RelevanceSampler(regions=TargetRegions("density"), random_state=0)
        assert len(sampler.fit_resample(X, y)[1]) == 500


@pytest.mark.parametrize(
    "sampler", [GaussianNoiseOverSampler(), RegionUnderSampler(), RelevanceSampler()], ids=repr
)
def test_without_a_seed_no_global_random_state_is_moved(sampler):
    X, y, _ = make_long_tail(200, 4)
    before = np.random.get_state()[2]  # noqa: NPY002
    sampler.fit_resample(X, y)
    assert np.random.get_state()[2] == before  # noqa: NPY002
