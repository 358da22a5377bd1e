from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from esmlearn.exceptions import DataError
from esmlearn.over_sampling import TargetRegions
from esmlearn.study._candidates import Candidate
from esmlearn.study._conclusion import (
    _decidable,
    _simplest,
    _useful,
    conclude,
    interval_of,
    shuffled_metric,
)
from esmlearn.study._metrics import Predicted, metrics_of


@pytest.mark.parametrize(
    ("ridge", "kept"),
    [
        ([10.1, 14.1, 19.9], "ridge"),  # as good as the best in hard and in easy folds
        ([11.1, 15.1, 21.1], "forest"),  # within the spread of folds, and worse in each of them
        ([8.0, 14.0, 32.0], "forest"),  # its own spread is not its merit
    ],
)
def test_the_simplest_is_kept_only_where_the_folds_do_not_tell_it_from_the_best(ridge, kept):
    metric = metrics_of("regression")[0]
    errors = {"dummy": [9.0, 14.0, 20.0], "ridge": ridge, "forest": [10.0, 14.0, 20.0]}
    results = pd.DataFrame(
        [
            {"fold": fold, "candidate": name, metric.column: value}
            for name, values in errors.items()
            for fold, value in enumerate(values)
        ]
    )
    candidates = [Candidate(name) for name in errors]
    assert _simplest(candidates, candidates[2], results, metric).name == kept


def make_predictions(task, *, seed=0, n=200, n_folds=4):
    """Predictions and folds as a study holds them, and the metric that decides by default."""
    rng = np.random.default_rng(seed)
    about = {"task": task, "components": np.arange(n), "regions": None, "classes": None}
    if task == "classification":
        about["classes"] = [f"class {i}" for i in range(10)]
        y, other = rng.choice(about["classes"], (2, n), p=[0.55] + [0.05] * 9)
        prediction = np.where(rng.random(n) < 0.5, y, other)
    else:
        y = rng.gamma(2, 10, n)
        prediction = 15 + 0.3 * y + rng.normal(0, 5, n)
        about["regions"] = TargetRegions("edges", edges=[45.0]).fit(y)
    predicted = Predicted(y, prediction, None, SimpleNamespace(**about))
    return predicted, rng.integers(0, n_folds, n), metrics_of(task)[0]


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_the_interval_is_that_of_the_mean_over_folds(task):
    predicted, fold, metric = make_predictions(task)
    rng, draws = np.random.default_rng(0), []
    for _ in range(300):
        drawn = rng.integers(0, len(fold), len(fold))
        # The metric of rows that are there as often as they were drawn.
        parts = [np.sort(drawn[fold[drawn] == k]) for k in range(4)]
        draws.append(np.mean([metric.value(predicted.take(rows)) for rows in parts]))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert interval_of(metric, predicted, fold) == pytest.approx((low, high), rel=0.04)


def test_a_fold_of_one_family_is_not_in_every_draw():
    predicted, fold, metric = make_predictions("regression")
    predicted.data.components = fold
    low, high = interval_of(metric, predicted, fold)
    assert low < high


def test_shuffled_error_is_the_mean_over_all_pairs_of_a_region():
    predicted, fold, metric = make_predictions("regression")
    for k, found in shuffled_metric(metric, predicted, fold, n_draws=400).items():
        y, prediction = predicted.y_true[fold == k], predicted.y_pred[fold == k]
        errors = np.abs(y[:, None] - prediction).mean(axis=1)
        region = predicted.data.regions.region(y)
        expected = np.mean([errors[region == r].mean() for r in np.unique(region)])
        assert found == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("informed", "useful"), [(True, True), (False, False)])
def test_moving_all_predictions_towards_the_tail_is_no_use(informed, useful):
    """It lowers the balanced error below that of the dummy in every fold."""
    predicted, fold, decides = make_predictions("regression", n=2000)
    data, y = predicted.data, predicted.y_true
    noise = np.random.default_rng(1).normal(0, 2, len(fold))
    moved = {
        "dummy": np.full(len(fold), y.mean()),
        "ridge-smote-300": 28 + noise + (0.3 * (y - y.mean()) if informed else 0),
    }
    moved = {name: Predicted(y, values, None, data) for name, values in moved.items()}
    results = pd.DataFrame(
        [
            {
                "candidate": name,
                "fold": k,
                "n_train": 1500,
                "n_test": 500,
                decides.column: decides.value(prediction.take(np.flatnonzero(fold == k))),
            }
            for name, prediction in moved.items()
            for k in range(4)
        ]
    )
    errors = results.pivot(index="fold", columns="candidate", values=decides.column)
    assert (errors["ridge-smote-300"] < errors["dummy"]).all()
    shuffled = shuffled_metric(decides, moved["ridge-smote-300"], fold)
    candidate = Candidate("ridge", "smote", 300)
    assert _useful(results, candidate, decides, shuffled) is useful


def test_what_is_undefined_does_not_decide():
    metric = metrics_of("classification")[3]
    nan = np.nan
    values = {"ridge": [nan] * 3, "logistic": [0.8, nan, 0.7], "forest": [0.9, nan, 0.6]}
    results = pd.DataFrame(
        [
            {"fold": fold, "candidate": name, "model": name, metric.column: value}
            for name, own in values.items()
            for fold, value in enumerate(own)
        ]
    )
    kept = _decidable(results, metric)
    assert set(kept["candidate"]) == {"logistic", "forest"}
    assert set(kept["fold"]) == {0, 2}
    with pytest.raises(DataError, match="ROC AUC is undefined for every model"):
        _decidable(results[results["candidate"] == "ridge"], metric)
    with pytest.raises(
        DataError, match="keep is 'ridge', for which ROC AUC is undefined; expected"
    ):
        _decidable(results, metric, "ridge")
    alone = results.replace({"logistic": "dummy", "forest": "covariates"})
    with pytest.raises(DataError, match="undefined for every model"):
        _decidable(alone, metric)


@pytest.mark.parametrize("yardstick", ["dummy", "covariates"])
def test_a_yardstick_is_never_kept(yardstick):
    """The best of the others is, and not one that merely varies too much to be told apart."""
    predicted, fold, metric = make_predictions("regression")
    errors = {
        yardstick: [10.0, 10.0, 10.0, 10.0],
        "ridge": [11.0, 11.1, 11.2, 11.0],
        "ridge-random-100": [10.2, 14.0, 17.0, 12.0],
    }
    candidates = [Candidate(yardstick), Candidate("ridge"), Candidate("ridge", "random", 100)]
    results = pd.DataFrame(
        [
            {
                "fold": k,
                "candidate": one.name,
                "model": one.model,
                "n_train": 150,
                "n_test": 50,
                metric.column: errors[one.name][k],
            }
            for one in candidates
            for k in range(4)
        ]
    )
    found = conclude(results, candidates, metric, lambda name: predicted, fold)
    assert (found.top.name, found.chosen.name) == (yardstick, "ridge")
