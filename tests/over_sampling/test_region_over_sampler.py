"""RegionOverSampler against imbalanced-learn's own samplers, and its records."""

import pickle

import numpy as np
import pytest
from imblearn.over_sampling import (
    ADASYN,
    SMOTE,
    SVMSMOTE,
    BorderlineSMOTE,
    KMeansSMOTE,
    RandomOverSampler,
)
from imblearn.pipeline import Pipeline
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from esmlearn.exceptions import DataError, ResamplingWarning
from esmlearn.over_sampling import RegionOverSampler, TargetRegions
from tests.over_sampling._data import make_long_tail

SAMPLERS = {
    "random": RandomOverSampler(),
    "smote": SMOTE(),
    "smote-3": SMOTE(k_neighbors=3),
    "smote-cosine": SMOTE(k_neighbors=NearestNeighbors(n_neighbors=4, metric="cosine")),
    "adasyn": ADASYN(),
    "borderline-1": BorderlineSMOTE(),
    "borderline-2": BorderlineSMOTE(kind="borderline-2"),
    "svm": SVMSMOTE(),
    "kmeans": KMeansSMOTE(kmeans_estimator=3, cluster_balance_threshold=0.01),
}
EDGES = [28.0, 48.0]


@pytest.fixture(scope="module")
def data():
    return make_long_tail(600)


def by_imblearn(sampler, X, y, level):
    """What imbalanced-learn makes of the regions when they are classes."""
    labels = np.digitize(y, EDGES)
    wanted = {r: round(np.sum(labels == r) * (1 + p / 100)) for r, p in level.items()}
    sampler = clone(sampler).set_params(random_state=0, sampling_strategy=wanted)
    return sampler.fit_resample(X, labels)


@pytest.mark.filterwarnings("ignore::esmlearn.exceptions.ResamplingWarning")
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("level", [{2: 100}, {0: 100, 2: 300}], ids=["one", "two"])
@pytest.mark.parametrize(
    ("dtype", "shift"), [(np.float32, 0), (np.float64, 0), (np.float32, 5), (np.float64, 1e4)]
)
def test_features_are_those_of_imblearn_bit_for_bit(name, level, dtype, shift):
    X, y, _ = make_long_tail(600, dtype=dtype, shift=shift)
    X_expected, labels = by_imblearn(SAMPLERS[name], X, y, level)
    sampler = RegionOverSampler(SAMPLERS[name], level=level, regions=EDGES, random_state=0)
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    assert X_resampled.dtype == dtype
    assert_array_equal(X_resampled, X_expected)
    assert_array_equal(y_resampled[:600], y)
    assert_array_equal(sampler.synthetic_region_, labels[600:])


@pytest.mark.parametrize("name", SAMPLERS)
def test_target_is_interpolated_like_the_features(name, data):
    X, y, _ = data
    sampler = RegionOverSampler(
        SAMPLERS[name], level={2: 200}, regions=EDGES, random_state=0, fallback="error"
    )
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    base, partner = sampler.parents_.T
    assert (sampler.parents_ >= 0).all()
    step = X[partner].astype(np.float64) - X[base]
    moved = X_resampled[len(y) :].astype(np.float64) - X[base]
    square = (step**2).sum(axis=1)
    share = np.divide((moved * step).sum(axis=1), square, out=np.zeros(len(base)), where=square > 0)
    assert_allclose(moved, share[:, np.newaxis] * step, atol=1e-4)
    expected = y[base] + share * (y[partner] - y[base])
    assert_allclose(y_resampled[len(y) :], expected, atol=1e-4)


@pytest.mark.parametrize("name", ["random", "smote", "adasyn", "borderline-1", "svm", "kmeans"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_synthetic_targets_lie_on_a_straight_line(name, dtype):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.normal(37, 3, 200)
    line = np.sort(rng.uniform(-3, 3, 20))
    X[:20] = line[:, np.newaxis] + 0.001 * rng.normal(size=(20, 3))
    y[:20] = 100 + 10 * line
    sampler = RegionOverSampler(SAMPLERS[name], regions=[60.0], rare=[1], level=300, random_state=0)
    X_resampled, y_resampled = sampler.fit_resample(X.astype(dtype), y)
    X_new, y_new = X_resampled[200:], y_resampled[200:]
    assert len(y_new) > 50
    assert np.abs(y_new - (100 + 10 * X_new[:, 0])).mean() <= 0.02


def test_level_is_percent_to_add(data):
    X, y, _ = data
    n = np.sum(y >= EDGES[1])
    for level in (100, 200, 300, 50):
        sampler = RegionOverSampler(level=level, regions=EDGES, rare=[2], random_state=0)
        assert len(sampler.fit_resample(X, y)[1]) == len(y) + round(n * level / 100)
        assert sampler.sampling_strategy_ == {2: n + round(n * level / 100)}


def test_level_balance(data):
    X, y, _ = data
    sampler = RegionOverSampler(level="balance", regions=EDGES, rare=[0, 2], random_state=0)
    _, y_resampled = sampler.fit_resample(X, y)
    assert len(set(np.bincount(np.digitize(y_resampled, EDGES)))) == 1


@pytest.mark.parametrize("off", [{"sampler": None}, {"level": 0}])
def test_off_changes_nothing(off, data):
    X, y, _ = data
    sampler = RegionOverSampler(**off)
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    assert_array_equal(X_resampled, X)
    assert_array_equal(y_resampled, y)
    assert sampler.parents_.shape == (0, 2)


def test_names_are_short_for_samplers(data):
    X, y, _ = data
    by_name, by_instance = (
        RegionOverSampler(s, regions=EDGES, rare=[2], random_state=1).fit_resample(X, y)
        for s in ("borderline", BorderlineSMOTE())
    )
    assert_array_equal(by_name[0], by_instance[0])


def test_seed_of_sampler_is_kept_unless_one_is_given(data):
    X, y, _ = data
    params = {"regions": EDGES, "rare": [2]}
    kept = RegionOverSampler(SMOTE(random_state=3), **params).fit_resample(X, y)[0]
    given = RegionOverSampler(SMOTE(), random_state=3, **params).fit_resample(X, y)[0]
    other = RegionOverSampler(SMOTE(random_state=3), random_state=4, **params).fit_resample(X, y)[0]
    assert_array_equal(kept, given)
    assert not np.array_equal(kept, other)


def test_no_global_random_state_is_touched(data):
    X, y, _ = data
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    position = np.random.get_state()[2]  # noqa: NPY002
    for seed in (0, None):
        for sampler in ("random", "smote", SMOTE()):
            RegionOverSampler(sampler, regions=EDGES, rare=[2], random_state=seed).fit_resample(
                X, y
            )
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert np.random.get_state()[2] == position  # noqa: NPY002


def test_records(data):
    X, y, _ = data
    sampler = RegionOverSampler("random", regions=EDGES, rare=[2], random_state=0)
    X_resampled, y_resampled = sampler.fit_resample(X, y)
    assert sampler.n_original_ == len(y)
    assert_array_equal(X[sampler.sample_indices_], X_resampled)
    assert_array_equal(y[sampler.sample_indices_], y_resampled)
    assert sampler.report_.loc[2, "sampler"] == "RandomOverSampler"
    sampler.set_params(sampler="smote").fit_resample(X, y)
    assert not hasattr(sampler, "sample_indices_")


@pytest.mark.filterwarnings("ignore::esmlearn.exceptions.ResamplingWarning")
def test_adasyn_shortfall_is_recorded(data):
    X, y, _ = data
    sampler = RegionOverSampler("adasyn", regions=EDGES, rare=[2], random_state=0)
    _, y_resampled = sampler.fit_resample(X, y)
    assert sampler.report_.loc[2, "n_made"] == len(y_resampled) - len(y)


def test_svm_smote_tells_how_many_left_their_region(data):
    X, y, _ = data
    sampler = RegionOverSampler("svm", level=300, regions=EDGES, rare=[2], random_state=0)
    _, y_resampled = sampler.fit_resample(X, y)
    assert sampler.report_.loc[2, "n_outside"] == np.sum(y_resampled[len(y) :] < EDGES[1])


@pytest.mark.filterwarnings("ignore::esmlearn.exceptions.ResamplingWarning")
@pytest.mark.parametrize("name", ["smote", "adasyn", "borderline", "svm"])
def test_sparse_features_give_the_same_rows(name, data):
    X, y, _ = data
    X = np.where(np.abs(X) < 0.5, 0, X)
    params = {"regions": EDGES, "rare": [2], "random_state": 0}
    dense, _ = RegionOverSampler(name, **params).fit_resample(X, y)
    for kind in (sparse.csr_matrix, sparse.csc_matrix):
        rows, _ = RegionOverSampler(name, **params).fit_resample(kind(X), y)
        assert rows.format == kind(X).format
        assert_allclose(rows.toarray(), dense, rtol=1e-5, atol=1e-6)


def test_grid_over_samplers_and_levels(data):
    X, y, _ = data
    model = Pipeline(
        [
            ("scale", StandardScaler()),
            ("resample", RegionOverSampler(regions=EDGES, rare=[2], random_state=0)),
            ("net", Ridge()),
        ]
    )
    grid = {
        "resample__sampler": [None, "random", "smote", SMOTE(k_neighbors=3)],
        "resample__level": [100, 300],
    }
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"].round(9))) == 7


def test_pickle_after_fit(data):
    X, y, _ = data
    sampler = RegionOverSampler(SMOTE(), regions=TargetRegions(), random_state=0)
    first = sampler.fit_resample(X, y)
    again = pickle.loads(pickle.dumps(sampler)).fit_resample(X, y)
    assert_array_equal(first[0], again[0])
    assert_array_equal(first[1], again[1])


def test_parameters_are_not_changed(data):
    X, y, _ = data
    inner, regions = SMOTE(sampling_strategy="minority"), TargetRegions()
    RegionOverSampler(inner, regions=regions, random_state=0).fit_resample(X, y)
    assert inner.get_params() == SMOTE(sampling_strategy="minority").get_params()
    assert not hasattr(regions, "edges_")


class Appending:
    """A sampler that is not imbalanced-learn's: each new row is the mean of two members."""

    def __init__(self, sampling_strategy=None, move=0.0):
        self.sampling_strategy, self.move = sampling_strategy, move

    def get_params(self, deep=True):
        return {"sampling_strategy": self.sampling_strategy, "move": self.move}

    def set_params(self, **params):
        vars(self).update(params)
        return self

    def fit_resample(self, X, y):
        new, labels = [], []
        for label, total in self.sampling_strategy.items():
            members = X[y == label]
            n = total - len(members)
            new.append((members[np.arange(n) % len(members)] + members[::-1][:n]) / 2)
            labels += [label] * n
        return np.vstack([X + self.move, *new]), np.r_[y, labels]


def test_foreign_sampler(data):
    X, y, _ = data
    sampler = RegionOverSampler(Appending(), regions=EDGES, rare=[2])
    _, y_resampled = sampler.fit_resample(X, y)
    members = y[y >= EDGES[1]]
    assert_allclose(y_resampled[len(y) :], (members + members[::-1]) / 2, rtol=1e-5)
    assert (sampler.parents_ == -1).all()


def test_sampler_that_changes_training_rows_is_refused(data):
    X, y, _ = data
    with pytest.raises(DataError, match="changed or removed training rows"):
        RegionOverSampler(Appending(move=1), regions=EDGES, rare=[2]).fit_resample(X, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"level": {9: 100}}, "Region 9"),
        ({"level": {1: -5}}, r"level\[1\] is -5"),
        ({"level": {2: 100, -1: 300}}, "but 2 and -1 name the same region"),
        ({"rare": [7]}, "Region 7"),
        ({"families": "between"}, "groups="),
        ({"target": "classes", "rare": ["x"]}, "Class 'x'"),
    ],
)
def test_bad_parameters(params, message, data):
    X, y, _ = data
    y = np.digitize(y, EDGES) if "target" in params else y
    with pytest.raises(DataError, match=message):
        RegionOverSampler(regions=EDGES, **params).fit_resample(X, y)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_target_is_named(value, data):
    X, y, _ = data
    y = y.copy()
    y[17] = value
    with pytest.raises(DataError, match=rf"y\[17\] is {value}"):
        RegionOverSampler().fit_resample(X, y)


@pytest.mark.parametrize(
    "sampler",
    [
        SVMSMOTE(svm_estimator=SVC()),
        KMeansSMOTE(kmeans_estimator=MiniBatchKMeans(3), cluster_balance_threshold=0.01),
    ],
    ids=["svm", "kmeans"],
)
def test_unseeded_estimators_of_a_sampler_are_seeded(sampler, data):
    X, y, _ = data
    params = {"regions": EDGES, "rare": [2], "fallback": "error"}
    before = np.random.get_state()  # noqa: NPY002
    first, again = (
        RegionOverSampler(sampler, random_state=0, **params).fit_resample(X, y) for _ in range(2)
    )
    RegionOverSampler(sampler, **params).fit_resample(X, y)
    after = np.random.get_state()  # noqa: NPY002
    assert_array_equal(before[1], after[1])
    assert before[2] == after[2]
    for one, other in zip(first, again, strict=True):
        assert_array_equal(one, other)
    assert all(v is None for k, v in sampler.get_params().items() if k.endswith("random_state"))


def test_a_samplers_own_generator_draws_what_it_draws_by_itself(data):
    X, y, _ = data
    labels = np.digitize(y, EDGES)
    wanted = {2: 2 * int(np.sum(labels == 2))}
    given, plain = (
        SVMSMOTE(svm_estimator=SVC(), random_state=np.random.RandomState(5)) for _ in range(2)
    )
    expected = plain.set_params(sampling_strategy=wanted).fit_resample(X, labels)[0]
    sampler = RegionOverSampler(given, level={2: 100}, regions=EDGES)
    assert_array_equal(sampler.fit_resample(X, y)[0], expected)


def test_constant_target_is_refused(data):
    with pytest.raises(DataError, match="constant"):
        RegionOverSampler().fit_resample(data[0], np.full(len(data[0]), 37.0))


def test_nothing_rare_warns(data):
    X, y, _ = data
    with pytest.warns(ResamplingWarning, match="No region of the target is rare"):
        result = RegionOverSampler(rare=[]).fit_resample(X, y)
    assert len(result[1]) == len(y)
