"""What holds for whatever rows come."""

import warnings

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from esmlearn.exceptions import ResamplingWarning
from esmlearn.over_sampling import GaussianNoiseOverSampler, RegionOverSampler

NAMES = ["random", "smote", "adasyn", "borderline", "svm", "kmeans"]
fast = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def tables(draw):
    """Rows with distinct features and a tail of 0 to 12 members, of any size of numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n, n_rare = draw(st.integers(30, 80)), draw(st.integers(0, 12))
    X = rng.normal(size=(n, draw(st.integers(1, 5)))) * 10.0 ** draw(st.integers(-6, 6))
    y = rng.normal(size=n)
    y[:n_rare] += 20
    order = rng.permutation(n)
    y = y * 10.0 ** draw(st.integers(-6, 6)) + draw(st.sampled_from([0.0, 1e3]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return X[order].astype(dtype), y[order], np.sort(y)[n - n_rare] if n_rare else y.max() + 1.0


def resample(sampler, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResamplingWarning)
        return sampler.fit_resample(X, y)


@fast
@given(tables(), st.sampled_from(NAMES), st.sampled_from([50, 100, 300]))
def test_originals_come_first_and_targets_lie_between_their_parents(table, name, level):
    X, y, edge = table
    sampler = RegionOverSampler(name, level=level, regions=[edge], rare=[1], random_state=0)
    X_resampled, y_resampled = resample(sampler, X, y)
    assert_array_equal(X_resampled[: len(y)], X)
    assert_array_equal(y_resampled[: len(y)], y)
    assert len(X_resampled) == len(y_resampled) == len(y) + len(sampler.parents_)
    assert np.isfinite(X_resampled).all()
    assert np.isfinite(y_resampled).all()
    assert (y[sampler.parents_] >= edge).all()
    if name in ("random", "smote"):
        assert len(y_resampled) == len(y) + round(np.sum(y >= edge) * level / 100)
    if sampler.report_["sampler"].tolist() != ["SVMSMOTE"]:
        ends = y[sampler.parents_]
        y_new = y_resampled[len(y) :]
        assert (y_new >= ends.min(axis=1, initial=np.inf)).all()
        assert (y_new <= ends.max(axis=1, initial=-np.inf)).all()


@fast
@given(tables(), st.sampled_from(["smote", "adasyn", "borderline"]))
def test_order_of_other_rows_does_not_matter(table, name):
    X, y, edge = table
    order = np.argsort(y >= edge, kind="stable")  # members keep their order among each other
    sampler = RegionOverSampler(name, regions=[edge], rare=[1], random_state=0)
    first, second = resample(sampler, X, y), resample(sampler, X[order], y[order])
    assert_array_equal(first[0][len(y) :], second[0][len(y) :])
    assert_allclose(first[1][len(y) :], second[1][len(y) :])


@fast
@given(tables(), st.sampled_from([50, 100, 300]))
def test_noise_keeps_counts_and_ranges(table, level):
    X, y, edge = table
    sampler = GaussianNoiseOverSampler(level=level, regions=[edge], rare=[1], random_state=0)
    _, y_resampled = resample(sampler, X, y)
    members, y_new = y[y >= edge], y_resampled[len(y) :]
    assert len(y_new) == round(len(members) * level / 100)
    if len(y_new):
        assert members.min() <= y_new.min()
        assert y_new.max() <= members.max()
