import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from esmlearn.over_sampling import RegionOverSampler
from esmlearn.over_sampling._imblearn import nearest as search_module
from esmlearn.over_sampling._imblearn import proxies
from esmlearn.over_sampling._imblearn.nearest import can_search, nearest

D = 96


KINDS = (
    "independent",
    "families",
    "far from the origin",
    "few large features",
    "few large rows",
    "tiny",
    "huge",
    "shares",
    "mostly zero",
)


def make_rows(kind, n, seed=0):
    rng = np.random.default_rng(seed)
    families = rng.normal(size=(n // 8, D))[rng.integers(0, n // 8, n)]
    rows = families + 0.3 * rng.normal(size=(n, D))
    return {
        "independent": rng.normal(size=(n, D)),
        "families": rows,
        "far from the origin": rows + 300,
        "few large features": rows * np.where(np.arange(D) < 3, 100, 1),
        "few large rows": rows * np.where(rng.random(n) < 0.05, 100, 1)[:, np.newaxis],
        "tiny": 1e-9 * rows,
        "huge": 1e9 * rows,
        "shares": rng.dirichlet(np.full(D, 0.3), n),
        "mostly zero": rows * (rng.random((n, D)) < 0.1),
    }[kind]


def from_sklearn(inside, at, k):
    return NearestNeighbors(n_neighbors=k).fit(inside).kneighbors(at, return_distance=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_those_of_scikit_learn(kind, dtype):
    X = make_rows(kind, 600).astype(dtype)
    assert_array_equal(nearest(X, X, 6), from_sklearn(X, X, 6))
    at = X[::7].copy()
    assert_array_equal(nearest(X, at, 11), from_sklearn(X, at, 11))


def test_neighbours_are_found_block_by_block(monkeypatch):
    X = make_rows("families", 900)
    whole = nearest(X, X, 6)
    monkeypatch.setattr(search_module, "_TILE", 100 * len(X))
    assert_array_equal(nearest(X, X, 6), whole)
    assert_array_equal(nearest(X, X[:50].copy(), 6), whole[:50])


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(8, 120),
    k=st.integers(1, 12),
    kind=st.sampled_from(KINDS),
    digits=st.sampled_from([0, 1, 16]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_what_is_returned_is_never_wrong(seed, n, k, kind, digits, dtype):
    """Rounded rows have equal distances, which only scikit-learn itself can order."""
    X = make_rows(kind, n, seed).round(digits).astype(dtype)
    k = min(k, n)
    found = nearest(X, X, k)
    if found is not None:
        assert_array_equal(found, from_sklearn(X, X, k))


def test_what_single_precision_leaves_open_is_settled_in_double(monkeypatch):
    """Neighbours on a line, closer to each other than single precision can tell."""
    X = np.zeros((40, D))
    X[:, 0] = 1 + 1e-7 * np.sort(np.random.default_rng(0).uniform(1, 2, 40)) ** 3
    X[0] = 0
    X[1:, 1:] = 0.5
    settled = []
    settle = search_module._Search._sort_exactly
    monkeypatch.setattr(
        search_module._Search, "_sort_exactly", lambda *args: settled.append(1) or settle(*args)
    )
    found = nearest(X, X[:1].copy(), 5)
    assert settled
    assert_array_equal(found, from_sklearn(X, X[:1], 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_returned_where_rounding_errors_decide(dtype):
    X = make_rows("families", 200).astype(dtype)
    twice = np.vstack([X, X[:1]])
    assert nearest(twice, twice, 6) is None
    assert nearest(np.vstack([X, X]), X[:20].copy(), 6) is None
    near = 1 + 1e-15 * make_rows("independent", 200).astype(dtype)
    assert nearest(near, near, 6) is None
    assert nearest(np.zeros((20, D), dtype), np.zeros((20, D), dtype), 3) is None


@pytest.mark.parametrize("scale", [1e200, 1e-40])
def test_nothing_is_returned_where_products_would_overflow_or_vanish(scale):
    X = scale * make_rows("families", 100)
    assert nearest(X, X, 6) is None


def test_nothing_is_returned_when_all_rows_are_asked_for():
    X = make_rows("families", 60)
    assert nearest(X, X, 60) is None
    assert nearest(X, X[:0], 6) is None


@pytest.mark.parametrize(
    "search",
    [
        NearestNeighbors(metric="cosine"),
        NearestNeighbors(p=1),
        NearestNeighbors(algorithm="kd_tree"),
        NearestNeighbors(metric_params={"w": np.ones(D)}),
        NearestNeighbors(n_neighbors=None),
    ],
)
def test_other_searches_are_left_to_scikit_learn(search):
    assert not can_search(search, make_rows("families", 60))


def test_other_rows_are_left_to_scikit_learn():
    X = make_rows("families", 60)
    assert can_search(NearestNeighbors(), X)
    assert not can_search(NearestNeighbors(), X[:, :20])
    assert not can_search(NearestNeighbors(), sparse.csr_matrix(X))
    with sklearn.config_context(enable_cython_pairwise_dist=False):
        assert not can_search(NearestNeighbors(), X)


@pytest.mark.parametrize("copies", [0, 5])
def test_samplers_search_by_it_and_stay_those_of_imbalanced_learn(copies, monkeypatch):
    found = []
    monkeypatch.setattr(proxies, "nearest", lambda *args: found.append(nearest(*args)) or found[-1])
    X = make_rows("families", 400, seed=copies).astype(np.float32)
    y = np.r_[np.linspace(20, 40, 300), np.linspace(70, 90, 100)]
    X[-copies or len(X) :] = X[-50 : -50 + copies]
    X_resampled, _ = RegionOverSampler(
        "smote", level=200, regions=[60.0], rare=[1], random_state=0
    ).fit_resample(X, y)
    expected, _ = SMOTE(sampling_strategy={1: 300}, random_state=0).fit_resample(X, y > 60)
    assert_array_equal(X_resampled, expected)
    assert [table is None for table in found] == [copies > 0]
