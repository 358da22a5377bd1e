"""Interpolation within and between homolog families."""

import numpy as np
import pytest
import sklearn
from imblearn.pipeline import Pipeline
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from esmlearn.exceptions import DataError, ResamplingWarning
from esmlearn.over_sampling import RegionOverSampler, TwoStageRegressor
from tests.over_sampling._data import make_long_tail

INTERPOLATING = ["smote", "adasyn", "borderline", "svm", "kmeans"]
pytestmark = pytest.mark.filterwarnings("ignore::esmlearn.exceptions.ResamplingWarning")


@pytest.fixture(scope="module")
def data():
    return make_long_tail(800)


def parents_of(name, kind, data, level=300):
    X, y, families = data
    sampler = RegionOverSampler(
        name, level=level, regions=[48.0], rare=[1], families=kind, random_state=0
    )
    sampler.fit_resample(X, y, groups=families)
    return sampler.parents_


@pytest.mark.parametrize("name", INTERPOLATING)
def test_between_never_joins_a_family(name, data):
    base, neighbor = parents_of(name, "between", data).T
    moved = base != neighbor
    assert moved.any()
    assert (data[2][base] != data[2][neighbor])[moved].all()


@pytest.mark.parametrize("name", INTERPOLATING)
def test_within_never_leaves_a_family(name, data):
    base, neighbor = parents_of(name, "within", data).T
    assert (base != neighbor).any()
    assert_array_equal(data[2][base], data[2][neighbor])


@pytest.mark.parametrize("kind", ["within", "between"])
def test_neighbours_are_the_nearest_that_are_allowed(kind, data):
    X, y, families = data
    members = np.flatnonzero(y >= 48)
    order = NearestNeighbors(n_neighbors=len(members)).fit(X[members]).kneighbors(X[members])[1]
    allowed = {}
    for row, found in zip(members, members[order], strict=True):
        same = families[found] == families[row]
        found = found[(found != row) & (same if kind == "within" else ~same)]
        allowed[row] = set(found[:5]) or {row}
    for base, neighbor in parents_of("smote", kind, data):
        assert neighbor in allowed[base]


def test_row_without_allowed_neighbour_is_copied_and_noted(data):
    X, y, _ = data
    families = np.arange(len(y))
    sampler = RegionOverSampler("smote", regions=[48.0], families="within", random_state=0)
    with pytest.warns(ResamplingWarning, match="had no allowed neighbour and were copied"):
        X_resampled, _ = sampler.fit_resample(X, y, groups=families)
    assert_array_equal(X_resampled[len(y) :], X[sampler.parents_[:, 0]])
    assert "no allowed neighbour" in sampler.report_.loc[1, "notes"]


def test_families_reach_the_sampler_through_a_pipeline(data):
    X, y, families = data
    with sklearn.config_context(enable_metadata_routing=True):
        sampler = RegionOverSampler(regions=[48.0], families="between", random_state=0)
        model = Pipeline([("s", sampler.set_fit_resample_request(groups=True)), ("m", Ridge())])
        model.fit(X, y, groups=families)
    base, neighbor = model.named_steps["s"].parents_.T
    assert (families[base] != families[neighbor]).all()


def test_sampler_that_cannot_keep_to_families_is_refused(data):
    from imblearn.over_sampling import BorderlineSMOTE

    X, y, families = data
    sampler = RegionOverSampler(
        BorderlineSMOTE(kind="borderline-2"), regions=[48.0], families="within"
    )
    with pytest.raises(DataError, match="cannot keep to families"):
        sampler.fit_resample(X, y, groups=families)


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize(
    "act",
    [
        RegionOverSampler(regions=[48.0], rare=[1], families="within").fit_resample,
        TwoStageRegressor(regions=[48.0], rare=[1]).fit,
    ],
)
def test_a_missing_family_is_named(data, act, missing):
    """NaN would be a family of its own, of all rows whose family is not known."""
    X, y, families = data
    groups = families.astype(object)
    groups[3] = missing
    with pytest.raises(DataError, match=r"^groups\[3\] is (None|nan), .* family of every row"):
        act(X, y, groups=groups)
