import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate

from esmlearn.exceptions import DataError
from esmlearn.metrics import ndcg_score, ranking_scorers, spearman, top_k_recall

METRICS = [ndcg_score, top_k_recall]
# Few values, so that there are ties.
tied = hnp.arrays(np.float64, 30, elements=st.integers(-4, 4).map(float))
shares = st.one_of(st.integers(1, 40), st.floats(0.01, 1.0), st.none())


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y_true = rng.normal(size=100)
    return y_true, y_true + rng.normal(size=100)


def proteingym_ndcg(y_true, y_pred, n_top):
    """Return the score by its definition in ProteinGym, which breaks ties by the row."""
    gains = (y_true - y_true.min()) / (y_true.max() - y_true.min())
    discount = 1 / np.log2(np.arange(n_top) + 2)
    found, ideal = (gains[np.argsort(-order)][:n_top] @ discount for order in (y_pred, gains))
    return found / ideal


def proteingym_recall(y_true, y_pred):
    best, called = (y > np.percentile(y, 90) for y in (y_true, y_pred))
    return (best & called).sum() / best.sum()


def test_without_ties_they_are_those_of_proteingym(data):
    y_true, y_pred = data
    assert ndcg_score(*data, k=0.1) == pytest.approx(proteingym_ndcg(y_true, y_pred, 10))
    assert ndcg_score(*data, k=7) == pytest.approx(proteingym_ndcg(y_true, y_pred, 7))
    assert ndcg_score(*data) == pytest.approx(proteingym_ndcg(y_true, y_pred, 100))
    assert top_k_recall(*data) == pytest.approx(proteingym_recall(y_true, y_pred))
    assert top_k_recall(*data, k=10) == top_k_recall(*data)


def test_ndcg_of_gains_is_that_of_scikit_learn(data):
    gains = np.r_[0.0, 1.0, np.random.default_rng(1).integers(0, 5, 98) / 4]
    predicted = data[1].round()
    expected = metrics.ndcg_score([gains], [predicted], k=20)
    assert ndcg_score(gains, predicted, k=20) == pytest.approx(expected)


def test_predictions_that_are_nearly_equal_are_not_ties(data):
    y_true, y_pred = data
    assert ndcg_score(y_true, 1 + y_pred * 1e-14) == pytest.approx(ndcg_score(*data), abs=1e-3)
    assert ndcg_score(y_true, 1e-12 * y_pred, k=5) == pytest.approx(ndcg_score(*data, k=5))


def test_ties_count_with_their_mean():
    """Over all orders of tied predictions, and with any of the tied targets."""
    y_true, y_pred = np.array([3.0, 1.0, 3.0, 3.0, 0.0]), np.array([2.0, 1.0, 1.0, 1.0, 0.0])
    assert top_k_recall(y_true, y_pred, k=2) == pytest.approx((1 + 2 / 3) / 2)
    assert top_k_recall(y_true, np.zeros(5), k=2) == pytest.approx(3 / 5)
    assert top_k_recall(y_true, y_true, k=2) == 1


@pytest.mark.parametrize("metric", METRICS)
@settings(deadline=None)
@given(y_true=tied, y_pred=tied, k=shares, seed=st.integers(0, 9))
def test_invariants(metric, y_true, y_pred, k, seed):
    k = 0.1 if k is None and metric is top_k_recall else k
    score = metric(y_true, y_pred, k=k)
    assert 0 <= score <= 1 + 1e-12
    order = np.random.default_rng(seed).permutation(30)
    assert metric(y_true[order], y_pred[order], k=k) == pytest.approx(score)
    assert metric(y_true, np.exp(y_pred), k=k) == pytest.approx(score)
    assert metric(3 * y_true - 1, y_pred, k=k) == pytest.approx(score)
    best = metric(y_true, y_true, k=k)
    assert best == pytest.approx(1) or (metric is ndcg_score and len(set(y_true)) == 1)


def test_what_is_not_defined_is_zero_or_named():
    assert ndcg_score([1.0, 1.0], [0.0, 1.0]) == 0
    assert ndcg_score([1.0], [0.0]) == 0
    assert top_k_recall([1.0], [0.0]) == 1
    assert top_k_recall([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], k=10) == 1
    with pytest.raises(DataError, match="y_true is empty"):
        top_k_recall([], [])


@pytest.mark.parametrize("k", [0, -1, 0.0, 1.5, True, "10 %"])
@pytest.mark.parametrize("metric", METRICS)
def test_other_numbers_of_samples_are_refused(metric, k):
    with pytest.raises(DataError, match=r"k is .*; expected a number of samples of at least 1"):
        metric([1.0, 2.0], [1.0, 2.0], k=k)
    with pytest.raises(DataError, match=r"k is "):
        ranking_scorers(k=k)


def test_scorers_are_those_of_the_metrics(data):
    y = data[0]
    X = data[1][:, None]
    scorers = ranking_scorers(k=0.2)
    model = Ridge().fit(X, y)
    y_pred = model.predict(X)
    assert scorers["spearman"](model, X, y) == spearman(y, y_pred)
    assert scorers["ndcg"](model, X, y) == ndcg_score(y, y_pred, k=0.2)
    assert scorers["top_k_recall"](model, X, y) == top_k_recall(y, y_pred, k=0.2)


def test_scorers_serve_several_metrics_and_searches(data):
    y, X = data[0], data[1][:, None]
    scores = cross_validate(Ridge(), X, y, cv=3, scoring=ranking_scorers())
    assert {"test_spearman", "test_ndcg", "test_top_k_recall"} < set(scores)
    grid = {"alpha": [0.1, 1.0]}
    for refit in ranking_scorers():
        search = GridSearchCV(Ridge(), grid, cv=3, scoring=ranking_scorers(), refit=refit)
        assert np.isfinite(search.fit(X, y).best_score_)
