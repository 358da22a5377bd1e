import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate

from esmlearn.exceptions import DataError
from esmlearn.metrics import (
    balanced_mean_absolute_error,
    make_region_scorer,
    region_errors,
    region_precision_recall_fscore,
    region_scorers,
    sera,
)
from esmlearn.over_sampling import TargetRegions

ALL = [
    "precision",
    "recall",
    "f1",
    "mae",
    "rmse",
    "bias",
    "balanced_mae",
    "sera",
    "relevance_weighted_rmse",
    "utility_f1",
    "spearman",
]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    y = 37 + 6 * X[:, 0] + 8 * np.maximum(X[:, 0] - 1, 0) ** 2 + rng.normal(size=200)
    return X, y, TargetRegions(rare=[-1]).fit(y)


def test_values_are_those_of_the_metrics(data):
    X, y, regions = data
    model = Ridge().fit(X, y)
    prediction = model.predict(X)
    scores = {name: make_region_scorer(name, regions=regions)(model, X, y) for name in ALL}
    _, recall, _, _ = region_precision_recall_fscore(y, prediction, regions=regions, labels="rare")
    assert scores["recall"] == recall[0]
    assert_allclose(
        scores["balanced_mae"], -balanced_mean_absolute_error(y, prediction, regions=regions)
    )
    assert_allclose(scores["sera"], -sera(y, prediction, relevance=regions) / len(y))
    assert scores["mae"] < 0 < scores["spearman"]


class Diverged(RegressorMixin, BaseEstimator):
    """A model that predicts nonsense."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.where(np.arange(len(X)) % 2, np.nan, np.inf)


@pytest.mark.parametrize("model", [Ridge(), DummyRegressor(), Diverged()])
@pytest.mark.filterwarnings("ignore:Some predictions are NaN:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_scores_are_finite_in_every_fold(model, data):
    X, y, regions = data
    order = np.argsort(y)  # most folds hold no rare protein at all
    for known, labels in ((regions, "auto"), ([45.0], [1]), ([45.0], "auto"), ([1e6], [1])):
        scoring = region_scorers(known, labels=labels)
        result = cross_validate(model, X[order], y[order], cv=8, scoring=scoring)
        for name, values in result.items():
            assert np.isfinite(values).all(), name


def test_predictions_that_are_not_finite_rank_last(data):
    X, y, regions = data
    bad = Diverged().fit(X, y)
    for name in ALL:
        scorer = make_region_scorer(name, regions=regions)
        with pytest.warns(RuntimeWarning, match="NaN or infinite"):
            worst = scorer(bad, X, y)
        assert worst <= scorer(DummyRegressor().fit(X, y), X, y)


@pytest.mark.filterwarnings("ignore:Some predictions:RuntimeWarning")
@pytest.mark.parametrize("constant", [1e160, -1e308])
def test_predictions_whose_squares_overflow_have_finite_scores(constant, data):
    X, y, regions = data
    model = DummyRegressor(strategy="constant", constant=constant).fit(X, y)
    for scorer in region_scorers(regions).values():
        assert np.isfinite(scorer(model, X, y))


@pytest.mark.parametrize("name", ["mae", "rmse", "bias"])
def test_error_without_targets_in_the_region_is_that_of_all_others(name, data):
    X, y, _ = data
    model = Ridge().fit(X, y)
    params = {"regions": [37.0, 1e6], "labels": [2]}
    with pytest.warns(UndefinedMetricWarning, match=rf"None of 200 targets .* \[2\], so {name} "):
        score = make_region_scorer(name, **params)(model, X, y)
    errors = region_errors(y, model.predict(X), regions=[37.0])[name]
    assert_allclose(score, -np.abs(errors).mean())
    assert make_region_scorer(name, zero_division=12.5, **params)(model, X, y) == -12.5


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_score_without_targets_in_the_region_is_zero_or_as_said(name, data):
    X, y, _ = data
    model = Ridge().fit(X, y)
    params = {"regions": [1e6], "labels": [1]}
    with pytest.warns(UndefinedMetricWarning, match=f"so {name} is not defined; .* to be 0"):
        assert make_region_scorer(name, **params)(model, X, y) == 0
    assert make_region_scorer(name, zero_division=1, **params)(model, X, y) == 1


def test_regions_with_targets_decide_where_others_have_none(data):
    X, y, _ = data
    model = Ridge().fit(X, y)
    some, one = (
        make_region_scorer("mae", regions=[37.0, 1e6], labels=labels)(model, X, y)
        for labels in ([1, 2], [1])
    )
    assert some == one


def test_grid_ranks_candidates_where_folds_lack_the_region(data):
    X, y, _ = data
    order = np.argsort(y)
    scorer = make_region_scorer("mae", regions=[45.0], labels=[1])
    search = GridSearchCV(Ridge(), {"alpha": [1e-3, 1e5]}, scoring=scorer, cv=8)
    with pytest.warns(UndefinedMetricWarning):
        search.fit(X[order], y[order])
    assert search.best_params_ == {"alpha": 1e-3}
    assert (search.cv_results_["mean_test_score"] < 0).all()


def test_labels_that_choose_nothing_are_refused(data):
    _, y, _ = data
    nothing_rare = TargetRegions("edges", edges=[45.0], rare=[]).fit(y)
    with pytest.raises(DataError, match="chooses no region"):
        make_region_scorer("recall", regions=nothing_rare, labels="rare")


def test_grid_is_refitted_on_a_region_score(data):
    X, y, regions = data
    scoring = region_scorers(regions)
    search = GridSearchCV(Ridge(), {"alpha": [1e-3, 1e5]}, scoring=scoring, refit="neg_sera")
    assert search.fit(X, y).best_params_ == {"alpha": 1e-3}


def test_scorers_pickle_and_clone(data):
    X, y, regions = data
    scorer = make_region_scorer("f1", regions=regions, beta=2.0)
    model = Ridge().fit(X, y)
    assert pickle.loads(pickle.dumps(scorer))(model, X, y) == scorer(model, X, y)
    clone(GridSearchCV(Ridge(), {}, scoring=scorer))


def test_names():
    assert sorted(region_scorers([50.0])) == [
        "f1",
        "neg_balanced_mae",
        "neg_bias",
        "neg_mae",
        "neg_rmse",
        "precision",
        "recall",
        "spearman",
    ]


def test_labels_are_rare_regions_if_known(data):
    X, y, regions = data
    model = Ridge().fit(X, y)
    rare, last, everything = (
        make_region_scorer("recall", regions=regions, labels=labels)(model, X, y)
        for labels in ("auto", [-1], None)
    )
    assert rare == last
    assert rare != everything


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"metric": "accuracy", "regions": [5]}, "'accuracy' is not known"),
        ({"metric": "sera", "regions": [5]}, "needs the relevance"),
        ({"metric": "recall", "regions": [5], "labels": [4]}, "Region 4"),
        ({"metric": "recall", "regions": [5, 1]}, r"regions\[1\]"),
        ({"metric": "recall", "regions": 65.0}, r"regions must be a 1-D list .* got 65\.0"),
        ({"metric": "recall", "regions": None}, "regions must be a 1-D list .* got None"),
        ({"metric": "recall", "regions": [5], "zero_division": 0.5}, "0 or 1, got 0.5"),
        ({"metric": "recall", "regions": [5], "zero_division": np.nan}, "0 or 1, got nan"),
        ({"metric": "mae", "regions": [5], "zero_division": -1}, "at least 0, got -1"),
        ({"metric": "mae", "regions": [5], "zero_division": np.inf}, "at least 0, got inf"),
        ({"metric": "mae", "regions": [5], "zero_division": "raise"}, "got 'raise'"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(DataError, match=message):
        make_region_scorer(**params)


@pytest.mark.parametrize(
    "name", ["precision", "recall", "f1", "mae", "rmse", "bias", "balanced_mae"]
)
def test_weights_of_whole_numbers_are_repeated_rows(name, data):
    X, y, _ = data
    model, weight = Ridge().fit(X, y), np.arange(len(y)) % 3
    scorer = make_region_scorer(name, regions=[60.0])
    repeated = np.repeat(np.arange(len(y)), weight)
    weighted = scorer(model, X, y, sample_weight=weight)
    assert weighted == pytest.approx(scorer(model, X[repeated], y[repeated]))
    with config_context(enable_metadata_routing=True):
        requested = make_region_scorer(name, regions=[60.0]).set_score_request(sample_weight=True)
        scores = cross_validate(
            Ridge().set_fit_request(sample_weight=False),
            X,
            y,
            scoring=requested,
            params={"sample_weight": weight + 1},
        )
    assert np.isfinite(scores["test_score"]).all()


@pytest.mark.parametrize("name", ["sera", "relevance_weighted_rmse", "utility_f1", "spearman"])
def test_metrics_without_weights_refuse_them(name, data):
    X, y, _ = data
    scorer = make_region_scorer(name, regions=TargetRegions().fit(y))
    with pytest.raises(DataError, match=f"'{name}' takes no sample_weight"):
        scorer(Ridge().fit(X, y), X, y, sample_weight=np.ones(len(y)))


@pytest.mark.parametrize(
    ("name", "said", "score"),
    [("sera", 12.5, -12.5), ("relevance_weighted_rmse", 12.5, -12.5), ("utility_f1", 1, 1)],
)
def test_targets_without_relevance_are_warned_of_or_score_as_said(name, said, score):
    X, y = np.arange(60.0)[:, None], np.linspace(30, 45, 60)
    regions = TargetRegions().fit(y)
    model = DummyRegressor().fit(X, y)
    with pytest.warns(UndefinedMetricWarning, match="None of 60 targets is relevant"):
        assert make_region_scorer(name, regions=regions)(model, X, y) == 0
    assert make_region_scorer(name, regions=regions, zero_division=said)(model, X, y) == score
